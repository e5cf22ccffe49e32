"""Extract entities from the command line.

    diffusion-ner extract --labels "person, organization" "Ronaldo plays for Al Nassr"
    diffusion-ner extract --labels "person" --input texts.jsonl --output entities.jsonl

Texts given as arguments are answered by tables. Files and standard input (-) are answered text by text and in
order; ``extraction.formats`` says which formats there are. In JSON Lines each object comes back with all its
keys and "entities", or, where it cannot be used, with "line" and "error".
"""

from __future__ import annotations

import argparse
import errno
import gzip
import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from ..canvas.template import check_types
from ..extraction.formats import (
    CONLL,
    INPUTS,
    JSON_LINES,
    OUTPUTS,
    format_of,
    read_texts,
    unpacked,
    write_entities,
    write_header,
)
from ..extraction.jsonlines import Row, answer_rows, batches, check_encodable, skip_answered
from .exits import UsageError, execute, wrong_use
from .flags import DECODING, LABELS, add_flag, add_flags, decoding_options, default_of, given
from .parser import CommandParser

if TYPE_CHECKING:
    from ..extraction.extractor import EntityExtractor

# torch, transformers and rich take seconds to import: what needs them imports them inside, so that --help and
# usage errors come at once.

BLOCK = 16  # batches of a file that are sorted by length together
TABLE = "table"  # for people, on a terminal


def build_parser() -> CommandParser:
    """The options of the command line."""
    parser = CommandParser(
        "extract",
        '--labels "A, B" TEXT ... | --input FILE | -',
        "Extract entities of the types you name, by masked diffusion.",
        """
diffusion-ner extract --labels "person, organization" "Ronaldo plays for Al Nassr"
diffusion-ner extract --labels @labels.txt --input texts.csv --output entities.jsonl
cat texts.jsonl | diffusion-ner extract --labels person -
""",
    )
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="text to read; - reads standard input")
    add_flags(parser, *LABELS)
    add_flag(
        parser, "input", help="texts to read: .jsonl, .txt (a text a line), .csv, .tsv, each perhaps .gz"
    )
    add_flag(parser, "output", help="file to write: .jsonl, .csv, .tsv, .conll (default: standard output)")
    parser.add_argument("--json", action="store_true", help="answer TEXT by JSON Lines instead of a table")
    add_flags(parser, "resume", "model", "revision", "device", "dtype", "quantize", "threads", *DECODING)
    add_flags(parser, "batch_size", "batch_tokens")
    add_flag(parser, "input_format", choices=INPUTS, metavar=None, help="document: the file is one text")
    add_flag(parser, "output_format", choices=(*OUTPUTS, TABLE), metavar=None)
    add_flags(parser, "text_field", "limit")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status (wrong usage: SystemExit with status 2)."""
    return execute(build_parser(), _run, argv, check=_check, explain=_explained, again=_again)


def _resumable(arguments: argparse.Namespace) -> bool:
    return (
        arguments.output is not None
        and arguments.source is not None
        and arguments.output_format == JSON_LINES
        and arguments.output.suffix != ".gz"
    )


def _again(arguments: argparse.Namespace) -> str:
    return "--resume goes on from here" if _resumable(arguments) else ""


def _explained(arguments: argparse.Namespace, error: Exception) -> str | None:
    """Return the message of an error; of a disk that is full, how to go on."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return None
    again = "go on with --resume: what is written stays" if _resumable(arguments) else "run it again"
    return f"cannot write {arguments.output or 'standard output'}: {error.strerror}; make room and {again}"


def _check(arguments: argparse.Namespace) -> None:
    """Settle `arguments.source` ("-", a file name, or None for texts) and the formats.

    Raises:
        ValueError: something does not fit; the message says what.
    """
    texts, output = arguments.texts, arguments.output
    if bool(texts) == (arguments.input is not None):
        raise ValueError("give either TEXT, or - for standard input, or --input FILE")
    if "-" in texts and len(texts) > 1:
        raise ValueError("- (standard input) cannot be mixed with texts")
    arguments.source = "-" if texts == ["-"] else arguments.input
    if arguments.labels is not None:
        arguments.labels = check_types(arguments.labels)
    elif arguments.source is None:
        raise ValueError('no entity types given; name them, for example --labels "person, organization"')
    if arguments.source is None:
        for text in texts:
            check_encodable(text)
    _settle_formats(arguments)
    if arguments.resume and not _resumable(arguments):
        raise ValueError(
            "--resume needs --output FILE in JSON Lines, not compressed, and a file or standard input to "
            "read: it goes on where that output ends"
        )
    if output is not None and not output.absolute().parent.is_dir():
        raise ValueError(f"--output {output}: there is no folder {output.parent}")
    if arguments.input is not None:
        if os.path.isdir(arguments.input):
            raise ValueError(f"--input {arguments.input} is a folder; name one file (or use annotate)")
        if not os.path.exists(arguments.input):
            raise ValueError(f"--input {arguments.input}: there is no such file")
        if output is not None and output.exists() and output.samefile(arguments.input):
            raise ValueError(f"--output {output} is the input file; name another one")


def _settle_formats(arguments: argparse.Namespace) -> None:
    """Fill in the formats that were not named.

    Raises:
        ValueError: a name does not tell one, or one does not go with the rest.
    """
    read, written = arguments.input_format, arguments.output_format
    if arguments.json and written not in (None, JSON_LINES):
        raise ValueError(f"--json and --output-format {written} exclude each other; leave one out")
    if arguments.source is not None and read is None:
        read = format_of(arguments.source, INPUTS)
        suffix = os.path.splitext(arguments.source)[1]
        if read is None and suffix not in ("", ".gz"):
            raise ValueError(
                f"--input {arguments.source}: the name does not tell the format; "
                f"give --input-format {', '.join(INPUTS[:-1])} or {INPUTS[-1]}"
            )
        read = read or JSON_LINES  # of standard input and pipes
    if written is None and arguments.json:
        written = JSON_LINES
    if written is None and arguments.output is not None:
        written = format_of(arguments.output.name, OUTPUTS)
    if written is None:
        written = TABLE if arguments.source is None else JSON_LINES
    if written == TABLE and arguments.source is not None:
        raise ValueError("--output-format table is for TEXT; for files use jsonl, csv, tsv or conll")
    if written == CONLL and arguments.nested:
        raise ValueError("--nested does not go with conll, which has one tag a word; use jsonl, csv or tsv")
    arguments.input_format, arguments.output_format = read, written


def _run(arguments: argparse.Namespace) -> int:
    with ExitStack() as stack:
        source: io.BufferedReader | None = None
        if arguments.source == "-":
            source = sys.stdin.buffer  # type: ignore[assignment]  # a BufferedReader unless it was replaced
        elif arguments.source is not None:
            source = stack.enter_context(open(arguments.source, "rb"))
        # What does not fit is refused before anything is written.
        with wrong_use(ValueError, FileNotFoundError):
            extractor = _load(arguments)
            extractor.options(None, **decoding_options(arguments))
        if source is not None:
            return _extract_lines(extractor, source, arguments, stack)
        _extract_texts(extractor, _open_output(arguments, stack), arguments)
        return 0


def _load(arguments: argparse.Namespace) -> EntityExtractor:
    from ..backbones.sources import resolve

    resolve(arguments.model)  # a folder that is not there is told at once
    import torch
    from transformers.utils.logging import disable_progress_bar

    from ..extraction.extractor import EntityExtractor

    if arguments.model is None or not sys.stderr.isatty():
        disable_progress_bar()  # of loading weights: the embedded model's are there at once
    dtype = {} if arguments.dtype is None else {"dtype": getattr(torch, arguments.dtype)}
    return EntityExtractor.from_pretrained(
        arguments.model, **given(arguments, "device", "canvas", "revision", "quantize", "threads"), **dtype
    )


def _open_output(arguments: argparse.Namespace, stack: ExitStack, keep: int = 0) -> IO[str]:
    """Open what is written to; of a file ``keep`` bytes stay."""
    if arguments.output is not None:
        if keep:
            os.truncate(arguments.output, keep)
        mode = "a" if keep else "w"
        opened: Any = gzip.open if arguments.output.suffix == ".gz" else open
        return stack.enter_context(opened(arguments.output, f"{mode}t", encoding="utf-8", newline="\n"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        if arguments.output_format == TABLE:
            sys.stdout.reconfigure(errors="backslashreplace")  # better than no table on an ASCII terminal
        else:
            sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # files are so in every locale
    return sys.stdout


def _extract_texts(extractor: EntityExtractor, output: IO[str], arguments: argparse.Namespace) -> None:
    """Answer the texts of the command line."""
    texts = arguments.texts[: arguments.limit]
    answers = extractor.batch_predict_entities(
        texts,
        arguments.labels,
        **given(arguments, "threshold", "batch_size", "batch_tokens"),
        **decoding_options(arguments),
    )
    if arguments.output_format != TABLE:
        output.write(write_header(arguments.output_format))
        for number, (text, entities) in enumerate(zip(texts, answers, strict=True), start=1):
            row = Row(number, 0, {"text": text}, text=text)
            output.write(write_entities(row, entities, arguments.output_format))
        return
    from .display import print_entities

    for index, (text, entities) in enumerate(zip(texts, answers, strict=True)):
        if index:
            print(file=output)
        print_entities(text, entities, arguments.labels, output)


def _extract_lines(
    extractor: EntityExtractor, source: io.BufferedReader, arguments: argparse.Namespace, stack: ExitStack
) -> int:
    """Answer a file of texts, no more than a block in memory; 1 if a text could not be used.

    A file is read in blocks of several batches, of which like lengths run together; standard input batch by
    batch, so that whoever writes it gets answers at once.
    """
    from tqdm import tqdm

    content = unpacked(source)
    with wrong_use(ValueError):
        labels = arguments.labels or ()
        rows = read_texts(content, arguments.input_format, labels, **given(arguments, "text_field"))
    rows = islice(rows, arguments.limit)
    done, failed, kept = _resumed(rows, arguments)
    output = _open_output(arguments, stack, kept)
    if done:
        print(f"{done:,} texts are answered already", file=sys.stderr)
    else:
        output.write(write_header(arguments.output_format))
    total, start = 0, time.perf_counter()
    # A bar where its length is known and someone looks (disable=None: only on a terminal).
    from_file = arguments.source != "-"
    size = os.fstat(source.fileno()).st_size if from_file and content is source else 0
    batch_size = arguments.batch_size or default_of(extractor.batch_predict_entities, "batch_size")
    with tqdm(total=size, unit="B", unit_scale=True, disable=None if size else True) as bar:
        bar.update(source.tell() if done and size else 0)
        for block in batches(rows, batch_size * (BLOCK if from_file else 1)):
            answers = answer_rows(
                extractor,
                block,
                batch_size,
                **given(arguments, "threshold", "batch_tokens"),
                **decoding_options(arguments),
            )
            for row, answer in zip(block, answers, strict=True):
                if isinstance(answer, str):
                    failed += 1
                    tqdm.write(f"line {row.line}: {answer}", file=sys.stderr)
                output.write(write_entities(row, answer, arguments.output_format))
            output.flush()
            total += len(block)
            bar.update(sum(row.size for row in block))
            bar.set_postfix_str(f"{total / (time.perf_counter() - start):,.1f} texts/s")
    if failed:
        print(f"{failed:,} of {done + total:,} lines could not be used", file=sys.stderr)
    if arguments.output is not None or sys.stderr.isatty():
        seconds = time.perf_counter() - start
        print(f"{total:,} texts in {seconds:,.1f} s, {total / seconds:,.1f} texts/s", file=sys.stderr)
    return 1 if failed else 0


def _resumed(rows: Iterator[Row], arguments: argparse.Namespace) -> tuple[int, int, int]:
    """Skip what an earlier run has answered; see ``skip_answered``."""
    if not arguments.resume or not arguments.output.exists():
        return 0, 0, 0
    with open(arguments.output, "rb") as answers:
        try:
            return skip_answered(rows, answers)
        except ValueError as error:
            raise UsageError(f"--output {arguments.output}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
