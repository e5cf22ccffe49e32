"""Annotate a corpus on Ray Data, each document once, on this machine or a cluster.

    python -m modeling.annotate --input texts.jsonl --output annotated --labels "person, place"
    python -m modeling.annotate --input s3://bucket/texts --output s3://bucket/out --labels x --address auto
    python -m modeling.annotate --check annotated

A run that was stopped, by whatever, goes on when the same command is given again. The output is a folder of
Parquet files with id, text_hash (SHA-256), entities (start, end, text, label, score) and model_revision.
Documents that cannot be annotated are in its _dead_letter/*.jsonl, with the error.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from ..canvas.template import check_types
from .flags import (
    add_decoding_flags,
    add_label_flags,
    add_model_flags,
    decoding_options,
    positive_number,
)

if TYPE_CHECKING:
    from ..corpus.documents import Corpus
    from ..corpus.settings import Settings
    from ..corpus.storage import Folder

# pyarrow, Ray and torch take seconds to import: what needs them imports them inside.

_EXIT_STATUS = """\
exit status:
  0    all documents are annotated (--check: every id is there once)
  1    some have dead letters (--check: the output is not what the input says)
  2    wrong usage, or the run cannot begin or go on; given again, the same command goes on
  130  interrupted
"""


def build_parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m modeling.annotate",
        description="Annotate a corpus with entities on Ray Data, each document once.",
        epilog=_EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--input",
        nargs="+",
        metavar="DATA",
        help="files or folders of Parquet or JSON Lines: paths, s3://, gs://, hf://datasets/ORG/NAME",
    )
    add("--output", metavar="OUT", help="folder to write, a path that all workers see, s3:// or gs://")
    add("--check", metavar="OUT", help="compare an output with its input instead: is every id there once?")
    add_label_flags(parser)
    add("--text-column", default="text", metavar="NAME", help="of the input (default: text)")
    add("--id-column", default="id", metavar="NAME", help="strings or whole numbers (default: id)")
    add("--ids-by-place", action="store_true", help="call documents by file and place, not by a column")
    add("--format", choices=("parquet", "jsonl"), help="of files whose names do not tell")
    add_model_flags(parser)
    add("--revision", metavar="REV", help="branch, tag or commit of a Hub model")
    add_decoding_flags(parser)
    add(
        "--documents-per-part",
        type=positive_number,
        default=2000,
        metavar="N",
        help="what is handed to a worker at once and lost if it dies (default: 2000)",
    )
    add("--batch-tokens", type=positive_number, metavar="N", help="tokens that run at once on a worker")
    add("--retries", type=int, choices=range(11), default=2, metavar="N", help="of a document (default: 2)")
    add("--retry-failed", action="store_true", help="try parts with dead letters again")
    add("--address", metavar="HOST:PORT", help="of a Ray cluster, or auto (default: Ray on this machine)")
    add("--workers", type=positive_number, metavar="N", help="models that run at once (default: all fit)")
    add("--cores", type=positive_number, default=1, metavar="N", help="CPU cores of a worker (default: 1)")
    add("--device", choices=("cpu", "cuda"), help="of the workers (default: cuda if the cluster has GPUs)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status (wrong usage: SystemExit with status 2)."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    try:
        _check_usage(arguments)
    except ValueError as error:
        parser.error(str(error))
    try:
        return _check(arguments.check) if arguments.check else _annotate(arguments)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _check_usage(arguments: argparse.Namespace) -> None:
    if arguments.check:
        if arguments.input or arguments.output or arguments.labels:
            raise ValueError("--check OUT goes alone: the output names its input")
        return
    if not arguments.input or not arguments.output:
        raise ValueError("give --input DATA and --output OUT, or --check OUT")
    if arguments.labels is None:
        raise ValueError('no entity types given; name them, for example --labels "person, organization"')
    arguments.labels = check_types(arguments.labels)


def _check(address: str) -> int:
    from ..corpus.check import check
    from ..corpus.storage import Folder

    verdict = check(Folder(address))
    print(*verdict.lines(), sep="\n")
    return 0 if verdict.sound else 1


def _annotate(arguments: argparse.Namespace) -> int:
    from ..corpus.documents import Columns, find_corpus
    from ..corpus.parts import drop_dead_letters
    from ..corpus.settings import Settings, claim, revision_of
    from ..corpus.storage import Folder

    columns = Columns(arguments.text_column, None if arguments.ids_by_place else arguments.id_column)
    corpus = find_corpus(arguments.input, columns, arguments.format)
    if corpus.passed_over:
        names = ", ".join(corpus.passed_over[:5])
        print(f"passed over {len(corpus.passed_over)} other files ({names})", file=sys.stderr)
    settings = Settings(
        tuple(arguments.labels),
        arguments.model,
        revision_of(arguments.model, arguments.revision),
        arguments.threshold,
        arguments.canvas,
        decoding_options(arguments),
        arguments.dtype,
        arguments.quantize,
        columns,
        arguments.format,
        arguments.documents_per_part,
    )
    output = Folder(arguments.output)
    claim(output, settings, corpus, arguments.input)
    if arguments.retry_failed:
        print(f"{drop_dead_letters(output):,} parts with dead letters are tried again", file=sys.stderr)
    return _run(arguments, settings, corpus, output)


def _run(arguments: argparse.Namespace, settings: Settings, corpus: Corpus, output: Folder) -> int:
    """Annotate what is missing; the exit status is 1 if some documents have dead letters."""
    from tqdm import tqdm

    from ..corpus.parts import DEAD_LETTERS, finished_parts

    there = finished_parts(output)
    if there.count:
        print(f"{there.count:,} parts are there already", file=sys.stderr)
    missing = [
        (fragment, there.numbers.get(fragment.number, set()))
        for fragment in corpus.fragments
        if fragment.number not in there.complete
    ]
    documents = failed = entities = 0
    told: set[str] = set()
    start = time.perf_counter()
    if missing:
        from ..corpus import job
        from ..corpus.annotator import Workload

        workload = Workload(batch_tokens=arguments.batch_tokens, retries=arguments.retries)
        cluster = job.Cluster(arguments.address, arguments.workers, arguments.cores, arguments.device)
        size = sum(fragment.size for fragment, _ in missing)
        with (
            job.connected(cluster) as pool,
            closing(job.annotate(missing, settings, workload, output, pool)) as outcomes,
            tqdm(total=size, unit="B", unit_scale=True, disable=None) as bar,
        ):
            for outcome in outcomes:
                documents += outcome.documents
                failed += outcome.failed
                entities += outcome.entities
                bar.update(outcome.size)
                bar.set_postfix_str(f"{documents / (time.perf_counter() - start):,.1f} documents/s")
                if outcome.warning and outcome.warning not in told:
                    told.add(outcome.warning)
                    tqdm.write(f"{outcome.part}: {outcome.warning}", file=sys.stderr)
        if left := {fragment.number for fragment, _ in missing} - finished_parts(output).complete:
            raise OSError(f"{len(left)} stretches of the input are not complete; give the command again")
    seconds = time.perf_counter() - start
    rate = documents / seconds if documents else 0.0
    print(
        f"{documents:,} documents with {entities:,} entities in {seconds:,.1f} s, {rate:,.1f} documents/s",
        file=sys.stderr,
    )
    letters = output.names(DEAD_LETTERS)
    if letters:
        new = f"{failed:,} documents could not be annotated; " if failed else ""
        print(
            f"{new}dead letters are in {output.address}/{DEAD_LETTERS} ({len(letters):,} files)",
            file=sys.stderr,
        )
    return 1 if letters else 0


if __name__ == "__main__":
    sys.exit(main())
