"""Extract entities from the command line.

    python -m modeling.extract --labels "person, organization" "Ronaldo plays for Al Nassr"
    python -m modeling.extract --labels "person" --input texts.jsonl --output entities.jsonl
    python -m modeling.extract --labels "person" --input texts.jsonl --output entities.jsonl --resume

Texts given as arguments are answered by tables, or with --json by JSON Lines. JSON Lines from --input or from
standard input (-) are answered line by line and in order: each object comes back with all its keys and
"entities", or, where it cannot be used, with "line" and "error".
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..canvas.template import check_types
from ..extraction.jsonlines import (
    Row,
    answer_rows,
    batches,
    check_encodable,
    read_rows,
    skip_answered,
    write_answer,
    write_line,
)
from .flags import (
    add_decoding_flags,
    add_label_flags,
    add_model_flags,
    decoding_options,
    positive_number,
)

if TYPE_CHECKING:
    from ..extraction.extractor import EntityExtractor

# torch, transformers and rich take seconds to import: what needs them imports them inside, so that --help and
# usage errors come at once.

BLOCK = 16  # batches of a file that are sorted by length together

_EXIT_STATUS = """\
exit status:
  0    all done
  1    some input lines could not be used; each is reported and has its line in the output
  2    wrong usage, or the model cannot be loaded or used in this way
  130  interrupted
  141  the output was closed by its reader
"""


def build_parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m modeling.extract",
        description="Extract entities of the types you name, by masked diffusion.",
        epilog=_EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("texts", nargs="*", metavar="TEXT", help="text to read; - reads JSON Lines from standard input")
    add_label_flags(parser)
    add(
        "--input",
        metavar="FILE",
        help='JSON Lines to read: objects with "text", perhaps "labels" of their own',
    )
    add("--output", type=Path, metavar="FILE", help="file to write (default: standard output)")
    add("--resume", action="store_true", help="go on where an earlier run into --output stopped")
    add("--json", action="store_true", help="answer TEXT by JSON Lines instead of a table")
    add_model_flags(parser)
    add("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps (default: the best one there is)")
    add_decoding_flags(parser)
    add("--batch-size", type=positive_number, default=16, metavar="N", help="texts at a time (default: 16)")
    add(
        "--batch-tokens",
        type=positive_number,
        metavar="N",
        help="tokens at a time, for texts of unlike length",
    )
    add("--threads", type=positive_number, metavar="N", help="CPU threads (default: torch's choice)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status (wrong usage: SystemExit with status 2)."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    try:
        _check(arguments)
    except ValueError as error:
        parser.error(str(error))
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The interpreter flushes standard output once more when it ends: let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print(
            f"interrupted{'; --resume goes on from here' if _resumable(arguments) else ''}", file=sys.stderr
        )
        return 130
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {_explained(error, arguments)}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not imported for this
            raise
        print(
            f"error: out of memory with --batch-size {arguments.batch_size}; use a smaller one",
            file=sys.stderr,
        )
        return 2


def _resumable(arguments: argparse.Namespace) -> bool:
    return arguments.output is not None and arguments.source is not None


def _explained(error: OSError, arguments: argparse.Namespace) -> str:
    """Return the message of an error; of a disk that is full, how to go on."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return str(error)
    again = "go on with --resume: what is written stays" if _resumable(arguments) else "run it again"
    return f"cannot write {arguments.output or 'standard output'}: {error.strerror}; make room and {again}"


def _check(arguments: argparse.Namespace) -> None:
    """Settle `arguments.source` ("-", a file name, or None for texts); ValueError says what does not fit."""
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
    if arguments.resume and (output is None or arguments.source is None):
        raise ValueError(
            "--resume needs --output FILE and JSON Lines as input: it goes on where that file ends"
        )
    if output is not None and not output.absolute().parent.is_dir():
        raise ValueError(f"--output {output}: there is no folder {output.parent}")
    if (
        output is not None
        and output.exists()
        and os.path.exists(arguments.source or "")
        and output.samefile(arguments.source)
    ):
        raise ValueError(f"--output {output} is the input file; name another one")


def _run(arguments: argparse.Namespace) -> int:
    with ExitStack() as stack:
        source: IO[bytes] | None = None
        if arguments.source == "-":
            source = sys.stdin.buffer
        elif arguments.source is not None:
            source = stack.enter_context(open(arguments.source, "rb"))
        extractor = _load(arguments)
        # What does not fit is refused before anything is written.
        extractor.options(None, **decoding_options(arguments))
        if source is not None:
            return _extract_lines(extractor, source, arguments, stack)
        output = _open_output(arguments, stack)
        _extract_texts(extractor, output, arguments)
        return 0


def _load(arguments: argparse.Namespace) -> EntityExtractor:
    import torch
    from transformers.utils.logging import disable_progress_bar

    from ..extraction.extractor import EntityExtractor

    if arguments.model is None or not sys.stderr.isatty():
        disable_progress_bar()  # of loading weights: the embedded model's are there at once
    return EntityExtractor.from_pretrained(
        arguments.model,
        device=arguments.device,
        dtype=None if arguments.dtype is None else getattr(torch, arguments.dtype),
        canvas=arguments.canvas,
        quantize=arguments.quantize,
        threads=arguments.threads,
    )


def _open_output(arguments: argparse.Namespace, stack: ExitStack, keep: int = 0) -> IO[str]:
    """Open what is written to; of a file ``keep`` bytes stay."""
    if arguments.output is not None:
        if keep:
            os.truncate(arguments.output, keep)
        mode = "a" if keep else "w"
        return stack.enter_context(open(arguments.output, mode, encoding="utf-8", newline="\n"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        if arguments.json or arguments.source is not None:
            sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # JSON Lines are so in every locale
        else:
            sys.stdout.reconfigure(errors="backslashreplace")  # better than no table on an ASCII terminal
    return sys.stdout


def _extract_texts(extractor: EntityExtractor, output: IO[str], arguments: argparse.Namespace) -> None:
    """Answer the texts of the command line."""
    answers = extractor.batch_predict_entities(
        arguments.texts,
        arguments.labels,
        arguments.threshold,
        arguments.batch_size,
        batch_tokens=arguments.batch_tokens,
        **decoding_options(arguments),
    )
    if arguments.json:
        for text, entities in zip(arguments.texts, answers, strict=True):
            output.write(write_line({"text": text, "entities": entities}))
        return
    from .display import print_entities

    for index, (text, entities) in enumerate(zip(arguments.texts, answers, strict=True)):
        if index:
            print(file=output)
        print_entities(text, entities, arguments.labels, output)


def _extract_lines(
    extractor: EntityExtractor, source: IO[bytes], arguments: argparse.Namespace, stack: ExitStack
) -> int:
    """Answer JSON Lines, no more than a block in memory; the exit status is 1 if a line could not be used.

    A file is read in blocks of several batches, of which like lengths run together; standard input batch by
    batch, so that whoever writes it gets answers at once.
    """
    from tqdm import tqdm

    rows = read_rows(source, arguments.labels or ())
    done, failed, kept = _resumed(rows, arguments)
    output = _open_output(arguments, stack, kept)
    if done:
        print(f"{done:,} texts are answered already", file=sys.stderr)
    total, start = 0, time.perf_counter()
    # A bar where its length is known and someone looks (disable=None: only on a terminal).
    from_file = arguments.source != "-"
    size = os.fstat(source.fileno()).st_size if from_file else 0
    with tqdm(total=size, unit="B", unit_scale=True, disable=None if size else True) as bar:
        bar.update(source.tell() if done and size else 0)
        for block in batches(rows, arguments.batch_size * (BLOCK if from_file else 1)):
            answers = answer_rows(
                extractor,
                block,
                arguments.threshold,
                arguments.batch_size,
                batch_tokens=arguments.batch_tokens,
                **decoding_options(arguments),
            )
            for row, answer in zip(block, answers, strict=True):
                if isinstance(answer, str):
                    failed += 1
                    tqdm.write(f"line {row.line}: {answer}", file=sys.stderr)
                output.write(write_answer(row, answer))
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
            raise ValueError(f"--output {arguments.output}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
