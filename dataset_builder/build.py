"""Command line: ``python -m dataset_builder.build --source FILE --output DIR``."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from dataset_builder.hub import SOURCE_REPOSITORY, UploadError, download_source, push_to_hub
from dataset_builder.report import figure_table, issue_table
from dataset_builder.settings import DEFAULT_TOKENIZER, BuildSettings
from dataset_builder.source import SourceError, SourceFile
from dataset_builder.tokens import TokenCounter, TokenizerError
from dataset_builder.write import OutputError, check_output, write_dataset


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the checked command line."""
    defaults = BuildSettings()
    parser = argparse.ArgumentParser(
        prog="python -m dataset_builder.build",
        description="Turn Pile-NER-type into spans and prompt/completion rows, as Parquet with a card.",
    )
    parser.add_argument(
        "--source",
        metavar="FILE",
        help=f"Pile-NER-type as .json or .jsonl, or gzip of it (default: {SOURCE_REPOSITORY} of the Hub)",
    )
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier build in DIR")
    parser.add_argument(
        "--tokenizer",
        metavar="ID_OR_DIR",
        default=DEFAULT_TOKENIZER,
        help="tokenizer that the limits are meant for: Hub id or folder (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=defaults.seed, help="default: %(default)s")
    parser.add_argument(
        "--max-seq-length",
        type=int,
        default=defaults.max_seq_length,
        help="most tokens of prompt and completion (default: %(default)s)",
    )
    parser.add_argument(
        "--max-completion-tokens",
        type=int,
        default=defaults.max_completion_tokens,
        help="most tokens of a completion (default: %(default)s)",
    )
    parser.add_argument(
        "--validation-share",
        type=float,
        default=defaults.validation_share,
        help="share of the passages held out (default: %(default)s)",
    )
    parser.add_argument(
        "--num-proc",
        type=int,
        default=min(2, os.cpu_count() or 1),
        help="processes; the result does not depend on it (default: %(default)s)",
    )
    parser.add_argument("--push-to-hub", metavar="REPO", help="upload the data set to this Hub id")
    parser.add_argument("--private", action="store_true", help="make a new Hub repository private")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = parse_arguments(arguments)
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

    try:
        settings = BuildSettings(
            options.seed, options.max_seq_length, options.max_completion_tokens, options.validation_share
        )
        check_output(options.output, options.overwrite)
        source = SourceFile(options.source or download_source())
        counter = TokenCounter.load(options.tokenizer)
        with bar:
            report = write_dataset(
                source, counter, options.output, settings, options.num_proc, options.overwrite, show
            )
        console.print(issue_table(report.as_dict()), figure_table(report.as_dict()))
        console.print(f"wrote {options.output}", highlight=False)
        if options.push_to_hub:
            address = push_to_hub(options.output, options.push_to_hub, options.private)
            console.print(f"uploaded {address}", highlight=False)
    except (SourceError, TokenizerError, OutputError, UploadError, ValueError) as error:
        errors.print(f"error: {error}", highlight=False, markup=False, soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
