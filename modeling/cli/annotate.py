"""Annotate a corpus on Ray Data, each document once, on this machine or a cluster.

    diffusion-ner annotate --input texts.jsonl --output annotated --labels "person, place"
    diffusion-ner annotate --input s3://bucket/texts --output s3://bucket/out --labels x --address auto
    diffusion-ner annotate --check annotated

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
from dataclasses import replace
from typing import TYPE_CHECKING

from ..canvas.template import check_types
from .exits import execute, wrong_use
from .flags import (
    DECODING,
    LABELS,
    add_flag,
    add_flags,
    decoding_options,
    default_of,
    given,
    positive_number,
)
from .parser import CommandParser

if TYPE_CHECKING:
    from ..corpus.documents import Corpus
    from ..corpus.settings import Settings
    from ..corpus.storage import Folder

# pyarrow, Ray and torch take seconds to import: what needs them imports them inside.

_EXIT_STATUS = """\
exit status:
  0    all documents are annotated (--check: every id is there once)
  1    some have dead letters, or the run cannot begin or go on; the same command goes on
       (--check: the output is not what the input says)
  2    wrong use: a flag, a value, a file or a model that the command line names
  130  interrupted
"""


def build_parser() -> CommandParser:
    """The options of the command line."""
    parser = CommandParser(
        "annotate",
        '--input DATA ... --output OUT --labels "A, B" | --check OUT',
        "Annotate a corpus with entities on Ray Data, each document once; given again, it goes on.",
        """
diffusion-ner annotate --input texts.jsonl --output annotated --labels "person, place"
diffusion-ner annotate --check annotated
""",
        _EXIT_STATUS,
    )
    add = parser.add_argument
    add_flag(
        parser,
        "input",
        nargs="+",
        metavar="DATA",
        help="files or folders of Parquet or JSON Lines: paths, s3://, gs://, hf://datasets/ORG/NAME",
    )
    add_flag(
        parser,
        "output",
        type=str,
        metavar="OUT",
        help="folder to write, a path that all workers see, s3:// or gs://",
    )
    add("--check", metavar="OUT", help="compare an output with its input instead: is every id there once?")
    add_flags(parser, *LABELS, "model", "revision")
    add_flag(
        parser,
        "device",
        choices=("cpu", "cuda"),
        metavar=None,
        help="of the workers (default: cuda if the cluster has GPUs)",
    )
    add_flag(parser, "dtype", choices=("float32", "bfloat16"))
    add_flags(parser, "quantize", *DECODING)
    add("--address", metavar="HOST:PORT", help="of a Ray cluster, or auto (default: Ray on this machine)")
    add("--workers", type=positive_number, metavar="N", help="models that run at once (default: all fit)")
    rare = parser.rare.add_argument
    rare("--cores", type=positive_number, metavar="N", help="CPU cores of a worker")
    rare(
        "--documents-per-part",
        type=positive_number,
        metavar="N",
        help="what is handed to a worker at once and lost if it dies",
    )
    rare("--retry-failed", action="store_true", help="try parts with dead letters again")
    rare("--ids-by-place", action="store_true", help="call documents by file and place, not by a column")
    add_flags(parser, "text_field", "id_field", "batch_tokens", "retries")
    add_flag(parser, "input_format", choices=("parquet", "jsonl"), metavar=None)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status (wrong usage: SystemExit with status 2)."""
    return execute(
        build_parser(), _run, argv, check=_check_usage, again=lambda arguments: "the same command goes on"
    )


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
    if arguments.ids_by_place and arguments.id_field is not None:
        raise ValueError("--ids-by-place and --id-field exclude each other; leave one out")


def _run(arguments: argparse.Namespace) -> int:
    return _check(arguments.check) if arguments.check else _annotate(arguments)


def _check(address: str) -> int:
    from ..corpus.check import check
    from ..corpus.storage import Folder

    with wrong_use(ValueError, FileNotFoundError):
        verdict = check(Folder(address))
    print(*verdict.lines(), sep="\n")
    return 0 if verdict.sound else 1


def _annotate(arguments: argparse.Namespace) -> int:
    from ..backbones.sources import resolve
    from ..corpus.documents import Columns, find_corpus
    from ..corpus.parts import drop_dead_letters
    from ..corpus.settings import DOCUMENTS_PER_PART, Settings, claim, revision_of
    from ..corpus.storage import Folder

    columns = Columns(**given(arguments, text="text_field", id="id_field"))
    if arguments.ids_by_place:
        columns = replace(columns, id=None)
    with wrong_use(ValueError, FileNotFoundError):
        corpus = find_corpus(arguments.input, columns, arguments.input_format)
        resolve(arguments.model)
    if corpus.passed_over:
        names = ", ".join(corpus.passed_over[:5])
        print(f"passed over {len(corpus.passed_over)} other files ({names})", file=sys.stderr)
    settings = Settings(
        tuple(arguments.labels),
        arguments.model,
        revision_of(arguments.model, arguments.revision),
        _threshold(arguments),
        arguments.canvas,
        decoding_options(arguments),
        arguments.dtype,
        arguments.quantize,
        columns,
        arguments.input_format,
        arguments.documents_per_part or DOCUMENTS_PER_PART,
    )
    output = Folder(arguments.output)
    with wrong_use(ValueError):
        claim(output, settings, corpus, arguments.input)
    if arguments.retry_failed:
        print(f"{drop_dead_letters(output):,} parts with dead letters are tried again", file=sys.stderr)
    return _work(arguments, settings, corpus, output)


def _threshold(arguments: argparse.Namespace) -> float:
    """Return the threshold that was given, or the library's; the output's record names it."""
    if arguments.threshold is not None:
        return arguments.threshold
    from ..extraction.extractor import EntityExtractor

    return default_of(EntityExtractor.batch_predict_entities, "threshold")


def _work(arguments: argparse.Namespace, settings: Settings, corpus: Corpus, output: Folder) -> int:
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

        workload = Workload(**given(arguments, "batch_tokens", "retries"))
        cluster = job.Cluster(**given(arguments, "address", "workers", "cores", "device"))
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
