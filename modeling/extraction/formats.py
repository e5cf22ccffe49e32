"""Files of texts in and of entities out: JSON Lines, plain text, tables, and word by word (CoNLL).

| format | in | out |
|---|---|---|
| ``jsonl`` | an object a line, with its text under one key; its other keys come back | the object with ``"entities"``, or ``"line"`` and ``"error"`` |
| ``txt`` | a text a line | |
| ``document`` | one text, the whole file | |
| ``csv``, ``tsv`` | a header, a text a row, in one column; a column ``labels`` replaces the labels | an entity a row |
| ``conll`` | | a word a line, its tag (BIO) behind a tab; an empty line ends a text |

Input may be compressed by gzip, which its content tells. All files are UTF-8, with or without a byte-order
mark. Blank lines and rows are no texts.
"""  # noqa: E501

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import IO, Any

from ..canvas.words import split_words
from .jsonlines import TEXT_FIELD, Answer, Row, check_encodable, checked_labels, read_rows, write_answer
from .labels import parse_labels

JSON_LINES, LINES, DOCUMENT, CONLL = "jsonl", "txt", "document", "conll"
TABLES = {"csv": ",", "tsv": "\t"}  # format -> separator
INPUTS = (JSON_LINES, LINES, DOCUMENT, *TABLES)
OUTPUTS = (JSON_LINES, *TABLES, CONLL)
COLUMNS = ("line", "start", "end", "label", "text", "score")  # of an output table

_SUFFIXES = {
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".json": JSON_LINES,
    ".txt": LINES,
    ".csv": "csv",
    ".tsv": "tsv",
    ".conll": CONLL,
    ".bio": CONLL,
}
_GZIP = b"\x1f\x8b"


def format_of(name: str, known: Sequence[str]) -> str | None:
    """Return the format that a file's name tells, if it is among those known; ``.gz`` is left aside."""
    path = PurePath(name)
    suffix = PurePath(path.stem).suffix if path.suffix == ".gz" else path.suffix
    found = _SUFFIXES.get(suffix.lower())
    return found if found in known else None


def unpacked(file: io.BufferedReader) -> IO[bytes]:
    """Return the content of a file, decompressed if it begins as gzip does."""
    if file.peek(len(_GZIP)).startswith(_GZIP):
        return gzip.open(file, "rb")  # type: ignore[return-value]  # it reads bytes line by line, as IO does
    return file


def read_texts(
    file: Iterable[bytes], format: str, labels: Sequence[str] = (), text_field: str = TEXT_FIELD
) -> Iterator[Row]:
    """Return the texts of a file, read no further ahead than they are taken.

    Args:
        file: its lines.
        format: one of ``INPUTS``.
        labels: of texts that have none of their own.
        text_field: the key or the column of the text, where the format has such.

    Raises:
        ValueError: a table has no such column, now; or is broken, when that row is taken.
    """
    if format in TABLES:
        return _read_table(file, TABLES[format], labels, text_field)
    if format == LINES:
        return _read_lines(file, labels)
    if format == DOCUMENT:
        return _read_document(file, labels)
    return read_rows(file, labels, text_field)


def write_header(format: str) -> str:
    """Return what stands before the first answer."""
    return _table_row(COLUMNS, TABLES[format]) if format in TABLES else ""


def write_entities(row: Row, answer: Answer, format: str) -> str:
    """Return the lines of one answer. What could not be answered has a line in JSON Lines alone.

    Raises:
        ValueError: ``format`` is none of ``OUTPUTS``.
    """
    if format == JSON_LINES:
        return write_answer(row, answer)
    if format not in OUTPUTS:
        raise ValueError(f"format must be one of {OUTPUTS}, got {format!r}")
    if isinstance(answer, str):
        return ""
    if format == CONLL:
        return _tagged(row.text, answer)
    return "".join(
        _table_row((({"line": row.line} | entity)[column] for column in COLUMNS), TABLES[format])
        for entity in answer
    )


def _read_lines(file: Iterable[bytes], labels: Sequence[str]) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        if line.strip(b"\xef\xbb\xbf \t\r\n"):
            yield _row(number, len(line), line, labels)


def _read_document(file: Iterable[bytes], labels: Sequence[str]) -> Iterator[Row]:
    content = b"".join(file)
    if content.strip():
        yield _row(1, len(content), content, labels)


def _row(number: int, size: int, content: bytes, labels: Sequence[str]) -> Row:
    """Return the row of a plain text, without the line end behind it."""
    start = content.removeprefix(b"\xef\xbb\xbf") if number == 1 else content
    try:
        text = start.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
        return Row(number, size, {TEXT_FIELD: text}, checked_labels(labels), text=text)
    except UnicodeDecodeError as error:
        why = f"not UTF-8: byte 0x{start[error.start]:02x} at offset {error.start}"
        return Row(number, size, {}, error=why)
    except (ValueError, TypeError) as error:
        return Row(number, size, {TEXT_FIELD: text}, error=str(error))


class _Decoded:
    """Lines of bytes as text, counted in bytes; what is not UTF-8 becomes lone surrogates."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self.lines = iter(lines)
        self.size = 0
        self.first = True

    def __iter__(self) -> _Decoded:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        self.size += len(line)
        content = line.removeprefix(b"\xef\xbb\xbf") if self.first else line
        self.first = False
        return content.decode("utf-8", errors="surrogateescape")


def _read_table(
    file: Iterable[bytes], separator: str, labels: Sequence[str], text_field: str
) -> Iterator[Row]:
    lines = _Decoded(file)
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a text may be longer than csv's bound of 131,072
    reader = csv.reader(lines, delimiter=separator, strict=True)
    header = next(reader, [])
    if text_field not in header:
        columns = ", ".join(repr(name) for name in header[:20]) or "an empty file"
        raise ValueError(
            f"there is no column {text_field!r} in the header ({columns}); name the text's column: "
            "--text-field NAME"
        )
    return _table_rows(reader, lines, header, labels, text_field)


def _table_rows(
    reader: Any, lines: _Decoded, header: Sequence[str], labels: Sequence[str], text_field: str
) -> Iterator[Row]:
    before, size = reader.line_num, lines.size
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(
                f"the table breaks in the row that begins on line {before + 1}: {error}"
            ) from None
        number, length = before + 1, lines.size - size
        before, size = reader.line_num, lines.size
        if not any(fields):
            continue
        record = dict(zip(header, fields, strict=False))
        try:
            if len(fields) != len(header):
                raise ValueError(f"{len(fields)} fields, but the header has {len(header)}")
            for value in fields:
                check_encodable(value)
            own = parse_labels(record.get("labels", ""))
            yield Row(number, length, record, checked_labels(own or labels), text=record[text_field])
        except (ValueError, TypeError) as error:
            yield Row(number, length, record, error=str(error))


def _table_row(fields: Iterable[Any], separator: str) -> str:
    line = io.StringIO()
    csv.writer(line, delimiter=separator, lineterminator="\n").writerow(fields)
    return line.getvalue()


def _tagged(text: str, entities: Sequence[Mapping[str, Any]]) -> str:
    """Return a word a line with its tag: B- begins an entity, I- goes on with it, O is none."""
    lines, last = [], None
    for start, end in split_words(text):
        inside = next((e for e in entities if e["start"] < end and start < e["end"]), None)
        tag = "O" if inside is None else f"{'I' if inside is last else 'B'}-{inside['label']}"
        lines.append(f"{text[start:end]}\t{tag}\n")
        last = inside
    return "".join([*lines, "\n"])
