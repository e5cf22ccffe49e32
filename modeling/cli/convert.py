"""Convert Dream as published to its native form, which transformers loads without remote modelling code.

    diffusion-ner convert Dream-org/Dream-v0-Base-7B runs/dream

The work is in ``backbones.convert_dream``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .exits import execute, wrong_use
from .flags import add_flags, given
from .parser import CommandParser


def build_parser() -> CommandParser:
    """The options of the command line."""
    parser = CommandParser(
        "convert",
        "SOURCE OUTPUT",
        "Convert Dream as published to its native form, which transformers loads without remote modelling\n"
        "code. Only the configuration changes: weight files are fetched or copied byte for byte, and their\n"
        "SHA-256 is compared with the source's. The same command finishes a run that was cut off.",
        "diffusion-ner convert Dream-org/Dream-v0-Base-7B runs/dream",
    )
    parser.add_argument(
        "source", metavar="SOURCE", help="Hub id or folder of a Dream repository as published"
    )
    parser.add_argument("folder", metavar="OUTPUT", type=Path, help="folder to write")
    add_flags(parser, "revision")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status (wrong usage: SystemExit with status 2)."""
    return execute(build_parser(), _run, argv, again=lambda arguments: "the same command goes on")


def _run(arguments: argparse.Namespace) -> int:
    from ..backbones.sources import resolve

    with wrong_use(FileNotFoundError):
        resolve(arguments.source)
    from ..backbones.convert_dream import convert

    convert(arguments.source, arguments.folder, progress=print, **given(arguments, "revision"))
    print(f"wrote {arguments.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
