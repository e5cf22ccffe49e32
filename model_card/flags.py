"""Command line flags that several commands share, and how a command ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CalledProcessError

from dataset_builder.benchmarks import BENCHMARKS
from model_card.evidence.predictions import RUNS
from modeling.cli.flags import positive_number

DTYPES = ("bfloat16", "float32")
FAILED, WRONG_USE = 1, 2


class UsageError(ValueError):
    """Flags that do not go together; the message names them and the fix."""


def add_model(parser: argparse.ArgumentParser, default: str | None = "mini") -> None:
    """Add which model runs, where and in which numbers."""
    told = "the embedded model" if default == "mini" else default
    parser.add_argument("--model", default=default, help=f"Hub id or folder; default: {told}")
    parser.add_argument("--revision", help="branch, tag or commit of a Hub repository")
    add_device(parser)
    parser.add_argument("--dtype", default="float32", choices=DTYPES, help="default: float32")
    parser.add_argument("--batch-size", type=positive_number, default=32, help="default: 32")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add where a model runs."""
    parser.add_argument("--device", help="such as cuda or cpu; default: a GPU if there is one")


def add_data(parser: argparse.ArgumentParser, *, only: bool = True) -> None:
    """Add which test sets are read, and how much of them."""
    parser.add_argument("--data", type=Path, help="folder of the benchmarks; default: download")
    parser.add_argument("--limit", type=positive_number, help="the first sentences of each set; default: all")
    if only:
        parser.add_argument("--only", nargs="+", choices=BENCHMARKS, help="benchmarks to run; default: all")


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Add where predictions and results are kept."""
    parser.add_argument("--runs", type=Path, default=RUNS, help=f"folder of the predictions; default: {RUNS}")
    parser.add_argument(
        "--results",
        type=Path,
        help="folder of the results; default: model_card/results/MODEL, or among the runs with --limit",
    )


def add_output(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add the file of the results."""
    parser.add_argument("--output", type=Path, required=required, help="JSON file for the results")


def guarded(command: Callable[[], int]) -> int:
    """Run a command; say what went wrong in one line, with status 2 for wrong use and 1 for a failure."""
    try:
        return command()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_USE
    except (ImportError, OSError, ValueError, CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
