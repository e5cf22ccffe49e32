"""Command line: ``diffusion-ner mix``, or ``python -m dataset_builder.mix``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from dataset_builder.mix.build import MixSettings, build_mix
from dataset_builder.mix.origins import differing_files
from dataset_builder.open_types.layers import PACKAGE
from modeling.cli.exits import execute, wrong_use
from modeling.cli.flags import add_flag, given
from modeling.cli.parser import CommandParser


def build_parser() -> CommandParser:
    """The options of the command line; their names are those of MixSettings."""
    parser = CommandParser(
        "mix",
        "--ner-mix DIR --pile FILE --output DIR",
        "Build the training mix of the small model.",
        "diffusion-ner mix --ner-mix sets --pile train.json.gz --output runs/mix",
    )
    parser.add_argument(
        "--ner-mix", type=Path, required=True, metavar="DIR", help="folder of the sets and label_map.json"
    )
    parser.add_argument(
        "--pile", type=Path, required=True, metavar="FILE", help="the Pile-NER file (.json.gz)"
    )
    add_flag(
        parser, "output", required=True, metavar="DIR", help="folder to write; an existing one is replaced"
    )
    parser.add_argument("--ner-mix2", type=Path, metavar="DIR", help="folder of the further sets")
    parser.add_argument(
        "--open-types",
        type=Path,
        nargs="?",
        const=PACKAGE,
        metavar="DIR",
        help="passages with open types: written/ and layers/ of DIR (without DIR: those of the repository)",
    )
    parser.add_argument(
        "--open-texts", type=Path, metavar="DIR", help="plain-text files that some layers belong to"
    )
    parser.add_argument(
        "--open-share", type=float, metavar="P", help="share of the drawn rows with open types"
    )
    add_flag(parser, "seed", rare=False)
    parser.add_argument("--validation", type=float, metavar="P", help="share of the texts held back")
    parser.add_argument("--hold-out", action="append", metavar="SOURCE", help="kept out of training")
    parser.add_argument(
        "--exclude", type=Path, nargs="+", metavar="FILE", help="files of texts to drop, one a line"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status (wrong usage: SystemExit with status 2)."""
    return execute(build_parser(), _run, arguments)


def _run(arguments: argparse.Namespace) -> int:
    flags = [field.name for field in fields(MixSettings) if hasattr(arguments, field.name)]
    chosen: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in given(arguments, *flags).items()
    }
    with wrong_use(ValueError):
        settings = MixSettings(**chosen)
    with wrong_use(FileNotFoundError):
        for line in differing_files(settings.files()):
            print(f"warning: {line}", file=sys.stderr)
        report = build_mix(settings)
    columns = ("rows in", "rows", "ment. in", "mentions", "empty", "types")
    print(" " * 27, *(f"{column:>8}" for column in columns))
    for name, source in report["sources"].items():
        counts = [source[key] for key in ("rows_in", "rows", "mentions_in", "mentions", "empty")]
        print(f"{name:27}", *(f"{count:8}" for count in (*counts, len(source["types"]))))
    print(report["totals"], f"empty {report['empty_percent']}%")
    return 0


if __name__ == "__main__":
    sys.exit(main())
