"""Command line: ``diffusion-ner data --source FILE --output DIR``, or ``python -m dataset_builder.build``."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import fields

from dataset_builder.hub import SOURCE_REPOSITORY, download_source, push_to_hub
from dataset_builder.settings import DEFAULT_TOKENIZER, BuildSettings
from modeling.cli.exits import execute, wrong_use
from modeling.cli.flags import add_flag, add_flags, given, positive_number
from modeling.cli.parser import CommandParser


def build_parser() -> CommandParser:
    """The options of the command line."""
    parser = CommandParser(
        "data",
        "--output DIR [--source FILE]",
        "Turn Pile-NER-type into spans and prompt/completion rows, as Parquet with a card.",
        "diffusion-ner data --source train.json --output runs/pile_ner",
    )
    parser.add_argument(
        "--source",
        metavar="FILE",
        help=f"Pile-NER-type as .json or .jsonl, or gzip of it (default: {SOURCE_REPOSITORY} of the Hub)",
    )
    add_flag(parser, "output", required=True, metavar="DIR", help="folder of the data set")
    add_flags(parser, "overwrite")
    parser.add_argument(
        "--tokenizer",
        metavar="ID_OR_DIR",
        help=f"that the limits are meant for: Hub id or folder (default: {DEFAULT_TOKENIZER})",
    )
    parser.add_argument(
        "--max-seq-length", type=positive_number, metavar="N", help="most tokens of prompt and completion"
    )
    parser.add_argument(
        "--max-completion-tokens", type=positive_number, metavar="N", help="most tokens of a completion"
    )
    parser.add_argument("--validation-share", type=float, metavar="P", help="share of the passages held out")
    add_flag(parser, "seed", rare=False)
    add_flags(parser, "processes", "push_to_hub", "private")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status (wrong usage: SystemExit with status 2)."""
    return execute(build_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> int:
    # datasets takes seconds to import: --help and wrong flags do not wait for it.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from dataset_builder.report import figure_table, issue_table
    from dataset_builder.source import SourceFile
    from dataset_builder.tokens import TokenCounter
    from dataset_builder.write import check_output, write_dataset

    with wrong_use(ValueError):
        settings = BuildSettings(**given(options, *(field.name for field in fields(BuildSettings))))
    console, errors = Console(), Console(stderr=True)
    # Drawn by this process only when something was done: a drawing thread would not survive a fork.
    bar = Progress(
        TextColumn("{task.description:>8}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=errors,
        auto_refresh=False,
    )
    tasks = {name: bar.add_task(name, total=1.0, start=False) for name in ("reading", "cutting", "writing")}

    def show(name: str, share: float) -> None:
        bar.start_task(tasks[name])
        bar.update(tasks[name], completed=share, refresh=True)

    check_output(options.output, options.overwrite)
    source = SourceFile(options.source or download_source())
    counter = TokenCounter.load(options.tokenizer or DEFAULT_TOKENIZER)
    processes = options.processes or min(2, os.cpu_count() or 1)
    with bar:
        report = write_dataset(source, counter, options.output, settings, processes, options.overwrite, show)
    console.print(issue_table(report.as_dict()), figure_table(report.as_dict()))
    console.print(f"wrote {options.output}", highlight=False)
    if options.push_to_hub:
        address = push_to_hub(options.output, options.push_to_hub, options.private)
        console.print(f"uploaded {address}", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
