"""The documents of Parquet and JSON Lines files, cut into parts by the files alone: always in one way."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, pairwise
from reprlib import repr as short
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from ..extraction.jsonlines import check_encodable, read_object
from .storage import InputFile, filesystem_of, input_files

PARQUET, JSON_LINES = "parquet", "jsonl"
FORMATS = (PARQUET, JSON_LINES)
_SUFFIXES = {".parquet": PARQUET, ".pq": PARQUET, ".jsonl": JSON_LINES, ".ndjson": JSON_LINES}
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")
FRAGMENT_BYTES = 32 * 2**20  # of input, that one reader reads
PART_CHARACTERS = 8_000_000  # of text, at which a part ends even if it has few documents


@dataclass(frozen=True)
class Columns:
    """Where text and id of a document stand; without an id column its place in the input is its id."""

    text: str = "text"
    id: str | None = "id"


@dataclass(frozen=True)
class Document:
    """One document.

    Attributes:
        id: from the id column, or ``place``.
        text: None where there is none that can be read.
        place: file and row (``FILE:ROW``, Parquet) or byte (``FILE@BYTE``, JSON Lines), from 0.
        error: why it cannot be annotated; empty if it can.
    """

    id: str
    text: str | None
    place: str
    error: str = ""


@dataclass(frozen=True)
class Fragment:
    """A stretch of one file: row groups ``begin`` to ``end`` of Parquet, or lines that begin in these bytes.

    ``end`` is -1 where the file cannot be cut (it is compressed): to its end. ``size`` is in bytes.
    """

    number: int
    file: InputFile
    format: str
    begin: int
    end: int
    size: int


@dataclass
class Piece:
    """The documents of one part: number ``number`` of its fragment, ``size`` bytes of the input."""

    fragment: int
    number: int
    documents: list[Document] = field(default_factory=list)
    size: int = 0
    last: bool = False


@dataclass(frozen=True)
class Corpus:
    """The input: its files, their fragments, and files that are none of it."""

    files: list[InputFile]
    fragments: list[Fragment]
    passed_over: list[str]


def find_corpus(addresses: Sequence[str], columns: Columns, format: str | None = None) -> Corpus:
    """Find the files of the input and cut them into fragments.

    Args:
        addresses: paths and URLs of files and folders.
        columns: that the files must have.
        format: of files whose names do not tell, ``"parquet"`` or ``"jsonl"``.

    Raises:
        FileNotFoundError: there is nothing at one of the addresses.
        ValueError: a file's format is unknown, it lacks a column, or two files have one name.
    """
    known: list[tuple[InputFile, str]] = []
    passed_over = []
    for file in input_files(list(addresses)):
        kind = format or _format_of(file.name)
        if kind is not None:
            known.append((file, kind))
        else:
            passed_over.append(file.name)
    if not known:
        found = f": {', '.join(passed_over[:5])}" if passed_over else ""
        raise ValueError(
            f"no Parquet (.parquet) or JSON Lines (.jsonl, .jsonl.gz, ...) file in {', '.join(addresses)}"
            f"{found}; name the format of other files by --format"
        )
    names: set[str] = set()
    for file, _ in known:
        if file.name in names:
            raise ValueError(f"two input files are called {file.name!r}; give the folder that holds both")
        names.add(file.name)
    with ThreadPoolExecutor(16) as pool:
        stretches = list(pool.map(lambda own: _stretches(own[0], own[1], columns), known))
    numbers = count()
    fragments = [
        Fragment(next(numbers), file, kind, begin, end, size)
        for (file, kind), own in zip(known, stretches, strict=True)
        for begin, end, size in own
    ]
    first = next((fragment for fragment in fragments if fragment.format == JSON_LINES), None)
    if first is not None:
        _check_first_line(first, columns)
    return Corpus([file for file, _ in known], fragments, passed_over)


def _format_of(name: str) -> str | None:
    lower = name.lower()
    for suffix in _COMPRESSED:
        if lower.endswith(suffix):
            return JSON_LINES if _format_of(lower.removesuffix(suffix)) == JSON_LINES else None
    return next((kind for suffix, kind in _SUFFIXES.items() if lower.endswith(suffix)), None)


def _stretches(file: InputFile, kind: str, columns: Columns) -> list[tuple[int, int, int]]:
    """Return begin, end and bytes of a file's fragments."""
    if kind == PARQUET:
        return _row_groups(file, columns)
    if file.name.lower().endswith(_COMPRESSED):
        return [(0, -1, file.size)]
    cuts = [*range(0, file.size, FRAGMENT_BYTES), file.size]
    return [(a, b, b - a) for a, b in pairwise(cuts)]


def _row_groups(file: InputFile, columns: Columns) -> list[tuple[int, int, int]]:
    with filesystem_of(file.address)[0].open_input_file(file.path) as source:
        try:
            opened = parquet.ParquetFile(source)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{file.name} is no whole Parquet file: {error}") from None
        _check_schema(file.name, opened.schema_arrow, columns)
        sizes = [opened.metadata.row_group(i).total_byte_size for i in range(opened.num_row_groups)]
    found, begin, size = [], 0, 0
    for number, own in enumerate(sizes, start=1):
        size += own
        if size >= FRAGMENT_BYTES or number == len(sizes):
            found.append((begin, number, size))
            begin, size = number, 0
    return found


def _check_schema(name: str, schema: pa.Schema, columns: Columns) -> None:
    for column, flag in ((columns.text, "--text-column"), (columns.id, "--id-column")):
        if column is not None and column not in schema.names:
            raise ValueError(_missing(name, column, flag, schema.names))
    kind = _value_type(schema.field(columns.text).type)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise ValueError(f"column {columns.text!r} of {name} holds {kind}, not strings; see --text-column")


def _missing(name: str, column: str, flag: str, names: Iterable[str]) -> str:
    other = ", or --ids-by-place to do without" if flag == "--id-column" else ""
    return f"{name} has no {column!r} among its columns {short(list(names))}; name it by {flag}{other}"


def _check_first_line(fragment: Fragment, columns: Columns) -> None:
    """Raise ValueError if the first line already lacks a column: so will the others."""
    for _, line in _lines(fragment):
        try:
            record = read_object(line)
        except ValueError:
            return  # reported with its document
        for column, flag in ((columns.text, "--text-column"), (columns.id, "--id-column")):
            if column is not None and column not in record:
                raise ValueError(_missing(fragment.file.name, column, flag, record))
        return


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def pieces(fragment: Fragment, columns: Columns, documents_per_part: int) -> Iterator[Piece]:
    """Yield the parts of a fragment in order; the last one, and only that one, may be empty.

    Args:
        documents_per_part: the most documents of a part; long ones may end it before (``PART_CHARACTERS``).
    """
    piece = Piece(fragment.number, 0)
    characters = reported = 0
    for document, done in _documents(fragment, columns):
        if len(piece.documents) == documents_per_part or characters >= PART_CHARACTERS:
            yield piece
            piece, characters = Piece(fragment.number, piece.number + 1), 0
        piece.documents.append(document)
        characters += len(document.text or "")
        piece.size += done - reported
        reported = done
    piece.last = True
    piece.size += fragment.size - reported
    yield piece


def _documents(fragment: Fragment, columns: Columns) -> Iterator[tuple[Document, int]]:
    """Yield the documents of a fragment, and how many bytes of it are done with each."""
    if fragment.format == PARQUET:
        yield from _parquet_documents(fragment, columns)
        return
    for offset, line in _lines(fragment):
        place = f"{fragment.file.name}@{offset}"
        done = 0 if fragment.end < 0 else min(offset + len(line), fragment.end) - fragment.begin
        try:
            record = read_object(line)
        except ValueError as error:
            yield Document(place, None, place, str(error)), done
            continue
        missing = [c for c in (columns.text, columns.id) if c is not None and c not in record]
        if missing:
            yield (
                Document(place, None, place, f"no {missing[0]!r} among the keys {short(list(record))}"),
                done,
            )
            continue
        own = place if columns.id is None else record[columns.id]
        yield _document(own, record[columns.text], place, columns), done


def _lines(fragment: Fragment) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that begin in a fragment, but blank ones, with their offsets in the (unpacked) file."""
    system = filesystem_of(fragment.file.address)[0]
    if fragment.end < 0:
        source = system.open_input_stream(fragment.file.path, compression="detect")
    else:
        source = system.open_input_file(fragment.file.path)
    with source, io.BufferedReader(source, 2**20) as lines:
        offset = fragment.begin
        if offset:  # the line that holds the byte before this fragment is not this fragment's
            lines.seek(offset - 1)
            offset += len(lines.readline()) - 1
        while (fragment.end < 0 or offset < fragment.end) and (line := lines.readline()):
            start, offset = offset, offset + len(line)
            content = line.removeprefix(b"\xef\xbb\xbf") if start == 0 else line
            if content.strip():
                yield start, content


def _parquet_documents(fragment: Fragment, columns: Columns) -> Iterator[tuple[Document, int]]:
    wanted = [columns.text] if columns.id is None else [columns.text, columns.id]
    with filesystem_of(fragment.file.address)[0].open_input_file(fragment.file.path) as source:
        opened = parquet.ParquetFile(source)
        groups = range(fragment.begin, fragment.end)
        first = row = sum(opened.metadata.row_group(i).num_rows for i in range(fragment.begin))
        total = sum(opened.metadata.row_group(i).num_rows for i in groups)
        for batch in opened.iter_batches(1024, row_groups=list(groups), columns=wanted):
            texts = batch.column(columns.text)
            # As bytes: one text that is no UTF-8 must not cost the others theirs.
            raw = texts.cast(_value_type(texts.type)).cast(pa.large_binary()).to_pylist()
            ids: list[Any] = [None] * len(raw)
            if columns.id is not None:
                ids = batch.column(columns.id).to_pylist()
            for own, content in zip(ids, raw, strict=True):
                place = f"{fragment.file.name}:{row}"
                row += 1
                done = fragment.size * (row - first) // total
                try:
                    text = None if content is None else content.decode("utf-8")
                except UnicodeDecodeError as error:
                    reason = f"not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}"
                    yield Document(place, None, place, reason), done
                    continue
                yield _document(place if columns.id is None else own, text, place, columns), done


def _document(own: Any, text: Any, place: str, columns: Columns) -> Document:
    """Return a document; what is wrong with its id or text is its error."""
    name = str(own) if isinstance(own, int) and not isinstance(own, bool) else own
    wrong_id, wrong_text = "", ""
    if not isinstance(name, str) or not name or not_unicode(name):
        wrong_id = f"{columns.id!r} must be a string or a whole number, got {short(own)}"
    if not isinstance(text, str):
        wrong_text = f"{columns.text!r} must be a string, got {short(text)}"
    else:
        wrong_text = not_unicode(text)
    return Document(place if wrong_id else name, None if wrong_text else text, place, wrong_id or wrong_text)


def not_unicode(text: str) -> str:
    """Return why UTF-8 cannot hold a text (a lone surrogate), or nothing."""
    try:
        check_encodable(text)
    except ValueError as error:
        return str(error)
    return ""
