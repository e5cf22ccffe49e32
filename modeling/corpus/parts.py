"""The files of an output: parts with answers, and dead letters, documents that have none."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from pyarrow import parquet

from ..extraction.jsonlines import Answer, write_line
from .documents import Document, Piece
from .storage import Folder

DEAD_LETTERS = "_dead_letter"
_NAME = re.compile(r"part-(\d{6,})-(\d{6,})(-end)?\.parquet")
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text_hash", pa.string()),
        (
            "entities",
            pa.list_(
                pa.struct(
                    [
                        ("start", pa.int64()),
                        ("end", pa.int64()),
                        ("text", pa.string()),
                        ("label", pa.string()),
                        ("score", pa.float64()),
                    ]
                )
            ),
        ),
        ("model_revision", pa.string()),
    ]
)
"""``text_hash``: SHA-256 of the text's UTF-8 in hexadecimal; ``entities``: as the extractor returns them."""


def part_name(fragment: int, number: int, last: bool) -> str:
    """Return the name of a part's file; that of a fragment's last part tells that no more are missing."""
    return f"part-{fragment:06d}-{number:06d}{'-end' if last else ''}.parquet"


def dead_letter_name(fragment: int, number: int) -> str:
    """Return the name of the file with a part's dead letters."""
    return f"{DEAD_LETTERS}/part-{fragment:06d}-{number:06d}.jsonl"


def text_hash(text: str) -> str:
    """Return the SHA-256 of a text's UTF-8 in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


@dataclass
class Finished:
    """The parts that an output holds.

    Attributes:
        numbers: of the parts, by fragment.
        complete: fragments whose last part and all before it are there.
        others: files that are no part.
    """

    numbers: dict[int, set[int]] = field(default_factory=dict)
    complete: set[int] = field(default_factory=set)
    others: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many parts there are."""
        return sum(map(len, self.numbers.values()))


def finished_parts(output: Folder) -> Finished:
    """Return which parts are there."""
    found = Finished()
    ends: dict[int, int] = {}
    for name in output.names():
        match = _NAME.fullmatch(name)
        if match is None:
            found.others.append(name)
            continue
        fragment, number = int(match[1]), int(match[2])
        found.numbers.setdefault(fragment, set()).add(number)
        if match[3]:
            ends[fragment] = number
    found.complete = {
        fragment for fragment, end in ends.items() if found.numbers[fragment] >= set(range(end + 1))
    }
    return found


def write_part(output: Folder, piece: Piece, answers: Sequence[Answer], revision: str) -> None:
    """Write the answers of a part. Its own file comes last: it says that all of it is there.

    Args:
        answers: to each document, its entities or why it has none.

    Raises:
        OSError: the output cannot be written.
    """
    pairs = list(zip(piece.documents, answers, strict=True))
    dead = [write_line(_letter(document, own)) for document, own in pairs if isinstance(own, str)]
    letters = dead_letter_name(piece.fragment, piece.number)
    if dead:
        output.write(letters, "".join(dead).encode("utf-8"))
    else:
        output.delete(letters)  # of a try that died before its part was there
    rows = [
        {"id": d.id, "text_hash": text_hash(d.text or ""), "entities": own, "model_revision": revision}
        for d, own in pairs
        if not isinstance(own, str)
    ]
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), sink, compression="zstd")
    output.write(part_name(piece.fragment, piece.number, piece.last), sink.getvalue())


def _letter(document: Document, reason: str) -> dict[str, str]:
    """Return a dead letter: a document that can be given as input again once the cause is gone."""
    text = {} if document.text is None else {"text": document.text}
    return {"id": document.id, **text, "place": document.place, "error": reason}


def drop_dead_letters(output: Folder) -> int:
    """Delete the parts that have dead letters, so that they are made anew; return how many."""
    names = output.names(DEAD_LETTERS)
    for name in names:
        stem = name.removesuffix(".jsonl")
        for part in (f"{stem}.parquet", f"{stem}-end.parquet"):
            output.delete(part)  # before its letters: without them it would look complete
        output.delete(f"{DEAD_LETTERS}/{name}")
    return len(names)


def read_part(output: Folder, name: str, columns: Iterable[str]) -> pa.Table:
    """Return columns of a part's file.

    Raises:
        ValueError: it is no whole Parquet file.
    """
    try:
        with output.filesystem.open_input_file(output.path(name)) as source:
            return parquet.read_table(source, columns=list(columns))
    except pa.ArrowInvalid as error:
        raise ValueError(f"{name} cannot be read: {error}") from None


def read_dead_letters(output: Folder, fragment: int, number: int) -> list[dict[str, str]]:
    """Return the dead letters of a part."""
    content = output.read(dead_letter_name(fragment, number))
    return [] if content is None else [json.loads(line) for line in content.decode("utf-8").splitlines()]
