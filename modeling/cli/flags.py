"""Command line flags that several commands share: labels, the model, how it decodes."""

from __future__ import annotations

import argparse
from typing import Any


def split_labels(value: str) -> list[str]:
    """Return the labels of a list separated by commas."""
    return [label.strip() for label in value.split(",") if label.strip()]


def positive_number(value: str) -> int:
    """Return a whole number of at least 1."""
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not a whole number of at least 1")
    return int(value)


def probability(value: str) -> float:
    """Return a number from 0 to 1."""
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:  # refuses nan as well
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 0 to 1")
    return number


def add_label_flags(parser: argparse.ArgumentParser) -> None:
    """Add ``--labels`` and ``--label``, which fill one list."""
    add = parser.add_argument
    add(
        "--labels",
        type=split_labels,
        action="extend",
        metavar="A,B",
        help="entity types, separated by commas",
    )
    add(
        "--label", action="append", dest="labels", metavar="A", help="one entity type, which may hold a comma"
    )


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Add which model runs and in which numbers."""
    add = parser.add_argument
    add(
        "--model",
        metavar="MODEL",
        help="Hub id or folder (default: the embedded model, which needs no network)",
    )
    add("--dtype", choices=("float32", "bfloat16"), help="of the weights (default: bfloat16 on a GPU)")
    add("--quantize", choices=("int8",), help="run the encoder in 8-bit integers: faster on a CPU")


def add_decoding_flags(parser: argparse.ArgumentParser) -> None:
    """Add how canvases are denoised and which entities are kept."""
    add = parser.add_argument
    add(
        "--canvas",
        choices=("aligned", "completion"),
        help="how answers are denoised (default: the model's own)",
    )
    add("--decoding", choices=("grounded", "plain"), help="of the completion canvas (default: grounded)")
    add("--steps", type=positive_number, metavar="N", help="denoising steps (default: depends on the canvas)")
    add(
        "--adaptive",
        choices=("threshold", "entropy"),
        help="take as many steps as a text needs, --steps at most, by this rule",
    )
    add("--nested", action="store_true", help="entities may lie inside others (completion canvas only)")
    add("--threshold", type=probability, default=0.0, metavar="P", help="least score, 0 to 1 (default: 0)")


def decoding_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of a prediction that ``add_decoding_flags`` asked for, but the canvas."""
    return {
        "steps": arguments.steps,
        "decoding": arguments.decoding,
        "adaptive": arguments.adaptive,
        "nested": arguments.nested,
    }
