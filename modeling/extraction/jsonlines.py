"""JSON Lines in and out of an extractor: read, checked, answered and written line by line.

Nothing is lost on the way: a line that cannot be used is answered too, by why.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

from ..canvas.template import check_types

if TYPE_CHECKING:
    from .extractor import EntityExtractor

ANSWERED = ("entities", "line", "error")  # keys that an answer may add or replace
Answer = list[dict[str, Any]] | str
"""The entities of a text, or why it cannot be used."""


@dataclass(frozen=True)
class Row:
    """One line of input.

    Attributes:
        line: its number, from 1.
        size: its length in bytes.
        record: the object on it, empty where none could be read.
        labels: the entity types to ask for.
        error: why the line cannot be used; empty if it can.
    """

    line: int
    size: int
    record: Mapping[str, Any]
    labels: tuple[str, ...] = ()
    error: str = ""


def read_rows(lines: Iterable[bytes], labels: Sequence[str] = ()) -> Iterator[Row]:
    """Read JSON Lines: objects with ``"text"``, perhaps ``"labels"`` that replace ``labels``, and other keys.

    Reads no further ahead than it yields. Blank lines are skipped but counted, a byte-order mark is allowed.
    """
    for number, line in enumerate(lines, start=1):
        content = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not content.strip():
            continue
        record: dict[str, Any] = {}
        try:
            record = read_object(content)
            _check_text_key(record)
            asked = record.get("labels", labels)
            if not isinstance(asked, (list, tuple)):
                raise ValueError(f"'labels' must be a list of strings, got {short(asked)}")
            if not asked:
                raise ValueError("no labels: give the line its own 'labels', or --labels for all lines")
            yield Row(number, len(line), record, tuple(check_types(asked)))
        except (ValueError, TypeError) as error:
            yield Row(number, len(line), record, error=str(error))


def read_record(content: bytes) -> dict[str, Any]:
    """Return the object with a ``"text"`` that one line holds.

    Raises:
        ValueError: it holds none; the message says why.
    """
    record = read_object(content)
    _check_text_key(record)
    return record


def read_object(content: bytes) -> dict[str, Any]:
    """Return the object that one line holds.

    Raises:
        ValueError: it holds none, or no strict JSON; the message says why.
    """
    try:
        value = json.loads(content.decode("utf-8"), parse_constant=_number, parse_float=_number)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} (column {error.colno})") from None
    except RecursionError:
        raise ValueError("nested too deeply to be read") from None
    if not isinstance(value, dict):
        raise ValueError(f"expected an object with a 'text', got a JSON {type(value).__name__}")
    return value


def _number(literal: str) -> float:
    # Python reads NaN, Infinity and 1e999 and would write them back as what no other JSON reader takes.
    if not math.isfinite(number := float(literal)):
        raise ValueError(f"not JSON: {literal} is not a finite number")
    return number


def _check_text_key(record: Mapping[str, Any]) -> None:
    if "text" not in record:
        raise ValueError(f"no 'text' among the keys {short(list(record))}")
    if not isinstance(record["text"], str):
        raise ValueError(f"'text' must be a string, got {short(record['text'])}")
    check_encodable(record["text"])


def check_encodable(text: str) -> None:
    """Raise ValueError for a lone surrogate, which JSON escapes and broken arguments can leave in a text."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"the text is no valid Unicode: lone surrogate at character {error.start}") from None


def batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Groups of ``size`` rows in order, the last one perhaps smaller."""
    remaining = iter(rows)
    while batch := list(islice(remaining, size)):
        yield batch


def skip_answered(rows: Iterator[Row], answers: Iterable[bytes]) -> tuple[int, int, int]:
    """Take the rows that an output has answers for, and return what of it stands.

    Args:
        rows: of the input; left at the first row without an answer.
        answers: the lines of the output. The last one counts only if it is whole.

    Returns:
        How many rows are answered, how many of those by an error, and how many bytes their answers take.

    Raises:
        ValueError: a line is not the answer to the row in its place, so the output belongs to another input.
    """
    count = failed = size = 0
    for line in answers:
        if not line.endswith(b"\n"):  # the run was stopped while it wrote this
            break
        row = next(rows, None)
        if row is None:
            raise ValueError(
                f"the output has more lines than the input's {count}; it belongs to another input"
            )
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        own = {k: v for k, v in answer.items() if k not in ANSWERED} if isinstance(answer, dict) else None
        if own != {k: v for k, v in row.record.items() if k not in ANSWERED}:
            raise ValueError(
                f"line {count + 1} of the output does not answer line {row.line} of the input; "
                "it belongs to another input: name another output, or leave --resume out to write anew"
            )
        count += 1
        failed += "entities" not in answer
        size += len(line)
    return count, failed, size


def answer_rows(
    extractor: EntityExtractor,
    rows: Sequence[Row],
    threshold: float = 0.0,
    batch_size: int | None = None,
    **options: Any,
) -> list[Answer]:
    """Answer each row, in order; the usable ones go to the extractor together, which sorts them by length.

    Args:
        batch_size: how many of them run at once; default: all.
        threshold: scores from 0 to 1; entities below it are left out.
        options: further keyword arguments of ``EntityExtractor.batch_predict_entities``.
    """
    usable = [row for row in rows if not row.error]
    size = batch_size or len(rows)
    answers = iter(_predict(extractor, usable, threshold, size, options) if usable else [])
    return [row.error or next(answers) for row in rows]


def _predict(
    extractor: EntityExtractor,
    rows: Sequence[Row],
    threshold: float,
    batch_size: int,
    options: Mapping[str, Any],
) -> list[Answer]:
    texts = [row.record["text"] for row in rows]
    labels = [list(row.labels) for row in rows]
    try:
        return list(extractor.batch_predict_entities(texts, labels, threshold, batch_size, **options))
    except ValueError as error:
        # One text that the extractor refuses must not cost the others of its batch their answers.
        if len(rows) == 1:
            return [str(error)]
        return [answer for row in rows for answer in _predict(extractor, [row], threshold, 1, options)]


def write_answer(row: Row, answer: Answer) -> str:
    """The output line of a row: its own keys, and ``"entities"``, or ``"line"`` and ``"error"``.

    A row that failed has no ``"entities"``, not even those that it came with.
    """
    if isinstance(answer, str):
        own = {key: value for key, value in row.record.items() if key != "entities"}
        return write_line({**own, "line": row.line, "error": answer})
    return write_line({**row.record, "entities": answer})


def write_line(value: Mapping[str, Any]) -> str:
    """One line of JSON Lines, readable: only what UTF-8 cannot hold (a lone surrogate) is escaped."""
    line = json.dumps(value, ensure_ascii=False)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        line = json.dumps(value)
    return line + "\n"
