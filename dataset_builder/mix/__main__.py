"""Command line: ``python -m dataset_builder.mix --ner-mix DIR --pile FILE --output DIR``."""

import argparse
import sys
from pathlib import Path

from dataset_builder.mix.build import MixSettings, build_mix
from dataset_builder.mix.origins import differing_files
from dataset_builder.open_types.layers import PACKAGE


def main() -> None:
    """Parse the arguments, build, print a summary."""
    parser = argparse.ArgumentParser(
        prog="python -m dataset_builder.mix", description="Build the training mix."
    )
    parser.add_argument("--ner-mix", type=Path, required=True, help="folder of the sets and label_map.json")
    parser.add_argument("--pile", type=Path, required=True, help="the Pile-NER file (.json.gz)")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder to write; an existing one is replaced"
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
        "--open-share", type=float, default=0.4, help="share of the drawn rows that have open types"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--validation", type=float, default=0.01, help="share of the texts held back")
    parser.add_argument(
        "--hold-out", action="append", default=[], metavar="SOURCE", help="kept out of training"
    )
    parser.add_argument(
        "--exclude", type=Path, nargs="+", default=[], metavar="FILE", help="texts to drop, one a line"
    )
    arguments = parser.parse_args()
    settings = MixSettings(
        ner_mix=arguments.ner_mix,
        pile=arguments.pile,
        output=arguments.output,
        seed=arguments.seed,
        validation=arguments.validation,
        hold_out=tuple(arguments.hold_out),
        exclude=tuple(arguments.exclude),
        ner_mix2=arguments.ner_mix2,
        open_types=arguments.open_types,
        open_texts=arguments.open_texts,
        open_share=arguments.open_share,
    )
    for line in differing_files(settings.files()):
        print(f"warning: {line}", file=sys.stderr)
    report = build_mix(settings)
    columns = ("rows in", "rows", "ment. in", "mentions", "empty", "types")
    print(" " * 27, *(f"{column:>8}" for column in columns))
    for name, source in report["sources"].items():
        counts = [source[key] for key in ("rows_in", "rows", "mentions_in", "mentions", "empty")]
        print(f"{name:27}", *(f"{count:8}" for count in (*counts, len(source["types"]))))
    print(report["totals"], f"empty {report['empty_percent']}%")


if __name__ == "__main__":
    main()
