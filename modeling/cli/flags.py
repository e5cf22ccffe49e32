"""The flags of the commands: each is declared here once, whichever commands have it.

No flag has a default of its own: one that is not given is None (a switch: False), and the library decides.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..extraction.labels import parse_labels
from .parser import CommandParser


def labels(value: str) -> list[str]:
    """Return the labels of ``--labels``: of the string, or with ``@`` of a file, one a line."""
    try:
        if not value.startswith("@"):
            return parse_labels(value)
        return parse_labels(Path(value[1:]).expanduser().read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read {value[1:]!r}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise argparse.ArgumentTypeError(f"{value[1:]!r} is not UTF-8 text, one label a line") from None
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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


@dataclass(frozen=True)
class Flag:
    """One flag.

    Args:
        names: as they are written; the first is the usual one.
        help: what it does.
        rare: whether ``--help-all`` alone shows it.
        settings: further arguments of ``argparse``'s ``add_argument``.
    """

    names: tuple[str, ...]
    help: str
    rare: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


def _flag(*names: str, help: str, rare: bool = False, **settings: Any) -> Flag:
    return Flag(names, help, rare, settings)


def _number(*names: str, help: str, rare: bool = False) -> Flag:
    return _flag(*names, help=help, rare=rare, type=positive_number, metavar="N")


def _switch(*names: str, help: str, rare: bool = False) -> Flag:
    return _flag(*names, help=help, rare=rare, action="store_true")


FLAGS: dict[str, Flag] = {
    # What to ask for.
    "labels": _flag(
        "--labels",
        type=labels,
        action="extend",
        metavar="A,B",
        help='entity types: "person, city", "person; city", a JSON list, or @FILE with one a line',
    ),
    "label": _flag(
        "--label", dest="labels", action="append", metavar="A", help="one entity type, which may hold a comma"
    ),
    "threshold": _flag("--threshold", type=probability, metavar="P", help="least score of an entity, 0 to 1"),
    # Which model, where it runs and in which numbers.
    "model": _flag("--model", metavar="MODEL", help="Hub id or folder (default: the embedded model)"),
    "revision": _flag(
        "--revision", metavar="REV", rare=True, help="branch, tag or commit of a Hub repository"
    ),
    "device": _flag(
        "--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps (default: the best one there is)"
    ),
    "dtype": _flag(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        rare=True,
        help="of the weights (default: bfloat16 on a GPU)",
    ),
    "quantize": _flag(
        "--quantize",
        choices=("int8",),
        rare=True,
        help="run the encoder in 8-bit integers: faster on a CPU",
    ),
    "threads": _number("--threads", rare=True, help="CPU threads (default: torch's choice)"),
    # How canvases are denoised.
    "canvas": _flag(
        "--canvas", choices=("aligned", "completion"), help="how answers are denoised (default: the model's)"
    ),
    "decoding": _flag(
        "--decoding", choices=("grounded", "plain"), rare=True, help="of the completion canvas"
    ),
    "steps": _number("--steps", help="denoising steps (default: depends on the canvas)"),
    "adaptive": _flag(
        "--adaptive",
        choices=("threshold", "entropy"),
        rare=True,
        help="take as many steps as a text needs, --steps at most, by this rule",
    ),
    "nested": _switch("--nested", rare=True, help="entities may lie inside others (completion canvas alone)"),
    "batch_size": _number("--batch-size", rare=True, help="texts that run at once"),
    "batch_tokens": _number(
        "--batch-tokens", rare=True, help="tokens that run at once, for texts of unlike length"
    ),
    # Files in and out.
    "input": _flag("--input", metavar="FILE", help="file to read"),
    "output": _flag("--output", type=Path, metavar="FILE", help="file to write (default: standard output)"),
    "overwrite": _switch("--overwrite", help="replace what an earlier run wrote there"),
    "input_format": _flag(
        "--input-format", "--format", metavar="FORMAT", rare=True, help="of files whose names do not tell"
    ),
    "output_format": _flag(
        "--output-format", metavar="FORMAT", rare=True, help="of an output whose name does not tell"
    ),
    "text_field": _flag(
        "--text-field",
        "--text-column",
        metavar="NAME",
        rare=True,
        help="key or column that holds the text (default: text)",
    ),
    "id_field": _flag(
        "--id-field",
        "--id-column",
        metavar="NAME",
        rare=True,
        help="key or column that holds a string or whole number of its own (default: id)",
    ),
    "resume": _switch("--resume", help="go on where an earlier run into --output stopped"),
    "limit": _number("--limit", rare=True, help="read the first N texts alone"),
    "seed": _flag("--seed", type=int, metavar="N", rare=True, help="of everything that is drawn"),
    # Workers and data sets.
    "retries": _flag(
        "--retries", type=int, choices=range(11), metavar="N", rare=True, help="of a text that fails"
    ),
    "processes": _number(
        "--num-proc", rare=True, help="processes that work at once; they do not change the result"
    ),
    "push_to_hub": _flag("--push-to-hub", metavar="REPO", rare=True, help="upload the result to this Hub id"),
    "private": _switch("--private", rare=True, help="make a new Hub repository private"),
}

LABELS = ("labels", "label", "threshold")
DECODING = ("canvas", "steps", "decoding", "adaptive", "nested")


def add_flags(parser: CommandParser, *names: str) -> None:
    """Add flags of the table to a command, in this order."""
    for name in names:
        add_flag(parser, name)


def add_flag(parser: CommandParser, name: str, **changes: Any) -> None:
    """Add one flag of the table; ``changes`` are what its help or its number of values is in this command."""
    flag = FLAGS[name]
    rare = changes.pop("rare", flag.rare)
    settings = {"help": flag.help, **flag.settings, **changes}
    settings.setdefault("dest", name)
    (parser.rare if rare else parser).add_argument(*flag.names, **settings)


def given(arguments: argparse.Namespace, *names: str, **others: str) -> dict[str, Any]:
    """Return the flags that were given, as keyword arguments; what is left out is the library's to decide.

    Args:
        names: of flags, which are also names of keyword arguments.
        others: names of keyword arguments, with the flag of each.
    """
    wanted = {name: name for name in names} | others
    values = {keyword: getattr(arguments, flag) for keyword, flag in wanted.items()}
    return {keyword: value for keyword, value in values.items() if value is not None and value is not False}


def decoding_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of a prediction that the decoding flags ask for, but the canvas."""
    return {name: getattr(arguments, name) for name in DECODING if name != "canvas"}


def default_of(function: Callable[..., Any], parameter: str) -> Any:
    """Return the default that a function of the library has for one of its parameters."""
    return inspect.signature(function).parameters[parameter].default
