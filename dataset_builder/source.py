"""Reads Pile-NER-type records from a file or the Hub, one at a time.

A record that is not JSON is skipped up to the next one that is and handed over as a :class:`BrokenRecord`,
so a damaged file costs the damaged records only, and none of them silently.
"""

import gzip
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

_CHUNK = 1 << 20
# A record that has not ended after this many characters is broken (the longest real one has about 50,000).
_MAX_RECORD = 1 << 26
_EXCERPT = 200
_FILLER = re.compile(r"[\s,\[\]]*")
_RECORD_START = re.compile(r'\{\s*"(?:id|conversations)"\s*:')
# What the decoder says when the text may merely end too early, at the end of the buffer or in a string.
_UNFINISHED = "Unterminated string"


class SourceError(RuntimeError):
    """The source cannot be read; the message says which was tried and what to do."""


@dataclass(frozen=True)
class BrokenRecord:
    """A stretch of the file that is no JSON value: ``position`` in characters, ``reason`` and ``excerpt``."""

    position: int
    reason: str
    excerpt: str


class SourceFile:
    """A source file that is read once, with its checksum taken on the way.

    Args:
        path: a JSON array of records, or JSON Lines, either of them gzip-compressed or not (told by
            content, not by name).

    Raises:
        SourceError: there is no such file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise SourceError(
                f"source {str(path)!r} is not a file; pass --source FILE (.json, .jsonl or .gz)"
            )
        self.size = self.path.stat().st_size
        self.bytes_read = 0
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Checksum of the bytes read so far: of the whole file once all records are read."""
        return self._digest.hexdigest()

    def records(self) -> Iterator[Any]:
        """Yield each JSON value of the file, and a :class:`BrokenRecord` for each stretch that is none.

        Raises:
            SourceError: the file is a damaged gzip file.
        """
        with self.path.open("rb") as raw:
            counted = cast(IO[bytes], _CountingReader(raw, self))
            stream = io.BufferedReader(cast(io.RawIOBase, counted), _CHUNK)
            compressed = stream.peek(2)[:2] == b"\x1f\x8b"
            data = cast(IO[bytes], gzip.GzipFile(fileobj=stream) if compressed else stream)
            # Undecodable bytes become lone surrogates, which the parser of conversations reports.
            text = io.TextIOWrapper(data, encoding="utf-8-sig", errors="surrogateescape", newline="")
            try:
                yield from iter_json(text)
            except (EOFError, gzip.BadGzipFile, OSError) as error:
                raise SourceError(f"source {str(self.path)!r} cannot be read to its end: {error}") from error

    def update(self, block: bytes) -> None:
        """Take bytes that were read into account."""
        self.bytes_read += len(block)
        self._digest.update(block)


class _CountingReader(io.RawIOBase):
    def __init__(self, raw: IO[bytes], owner: SourceFile) -> None:
        self._raw = raw
        self._owner = owner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._raw.read(len(buffer))
        buffer[: len(block)] = block
        self._owner.update(block)
        return len(block)


def iter_json(stream: IO[str], chunk: int = _CHUNK) -> Iterator[Any]:
    """Yield the values of a JSON array or of JSON Lines without holding more than one record and a chunk."""
    decoder = json.JSONDecoder(strict=False)
    buffer, offset, position, at_end = "", 0, 0, False

    def refill(least: int) -> None:
        nonlocal buffer, offset, position, at_end
        offset += position
        parts = [buffer[position:]]
        # Reading as much again as there is keeps re-parsing of a long record linear.
        wanted = max(chunk, least)
        while wanted > 0 and not at_end:
            part = stream.read(wanted)
            at_end = not part
            parts.append(part)
            wanted -= len(part)
        buffer, position = "".join(parts), 0

    while True:
        position = _FILLER.match(buffer, position).end()  # type: ignore[union-attr]  # matches the empty string
        if position == len(buffer):
            if at_end:
                return
            refill(0)
            continue
        try:
            value, end = decoder.raw_decode(buffer, position)
        except (json.JSONDecodeError, RecursionError) as error:
            pending = len(buffer) - position
            if _may_continue(error, buffer) and not at_end and pending < _MAX_RECORD:
                refill(pending)
                continue
            start, excerpt = offset + position, buffer[position : position + _EXCERPT]
            found = _RECORD_START.search(buffer, position + 1)
            while not found and not at_end:
                position = max(position + 1, len(buffer) - _EXCERPT)  # a record's start may be cut in two
                refill(0)
                found = _RECORD_START.search(buffer)
            position = found.start() if found else len(buffer)
            yield BrokenRecord(start, str(error), excerpt[: offset + position - start])
            continue
        if end == len(buffer) and not at_end:
            refill(end - position)  # a number may go on in the next chunk
            continue
        yield value
        position = end


def _may_continue(error: Exception, buffer: str) -> bool:
    if not isinstance(error, json.JSONDecodeError):
        return False
    # Escapes and literals (true, null, \\u0041) are at most 12 characters long.
    return error.msg.startswith(_UNFINISHED) or error.pos >= len(buffer) - 12
