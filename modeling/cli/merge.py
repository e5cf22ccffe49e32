"""Merge an adapter into its base, and check that the merged model answers alike.

    diffusion-ner merge runs/sft runs/merged --dtype bfloat16

The work is in ``backbones.merge``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .exits import execute, wrong_use
from .flags import add_flag, add_flags, given
from .parser import CommandParser


def build_parser() -> CommandParser:
    """The options of the command line."""
    parser = CommandParser(
        "merge",
        "ADAPTER OUTPUT",
        "Merge an adapter into its base. The logits of a fixed prompt, before merging and after the written\n"
        "folder is loaded again, must agree; in 16 bits they agree less closely, for a merged weight is\n"
        "rounded once more than its two parts.",
        "diffusion-ner merge runs/sft runs/merged --dtype bfloat16",
    )
    parser.add_argument("adapter", metavar="ADAPTER", help="Hub id or folder of an adapter")
    parser.add_argument("folder", metavar="OUTPUT", type=Path, help="folder to write; it must not exist")
    add_flag(parser, "dtype", rare=False, help="of the merged weights (default: as the base is stored)")
    add_flag(parser, "device", help="that computes, such as cuda (default: cpu)")
    add_flags(parser, "revision")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status (wrong usage: SystemExit with status 2)."""
    return execute(build_parser(), _run, argv, check=_check)


def _check(arguments: argparse.Namespace) -> None:
    if arguments.folder.exists():
        raise ValueError(f"{arguments.folder} exists; name a new folder, or remove it")


def _run(arguments: argparse.Namespace) -> int:
    from ..backbones.sources import resolve

    with wrong_use(FileNotFoundError):
        resolve(arguments.adapter)
    import torch

    from ..backbones.merge import merge

    dtype = {} if arguments.dtype is None else {"dtype": getattr(torch, arguments.dtype)}
    record = merge(arguments.adapter, arguments.folder, **given(arguments, "device", "revision"), **dtype)
    agreement = f"logits agree to {record['difference']:.2g} of the largest"
    print(f"wrote {arguments.folder} in {record['dtype']}: {agreement}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
