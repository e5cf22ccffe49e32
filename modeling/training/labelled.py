"""Labelled texts of one's own: JSON Lines to entity rows, every line checked.

A line is an object with ``"text"`` and ``"entities"``; an entity has a type (``"type"``, or ``"label"`` as
the extractor writes it) and either ``"start"`` and ``"end"`` (character offsets, end exclusive) or ``"text"``
alone, which stands for every place where the text has it as whole words. ``"labels"`` on a line are the types
that it was annotated with; without them it is all types of the file. Other keys are left alone, so what
``python -m modeling.extract`` writes can be corrected and trained on.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as short
from typing import Any

from datasets import Dataset
from transformers.utils import logging

from ..canvas.encoding import PromptEncoder
from ..canvas.template import check_types
from ..canvas.words import split_words
from ..extraction.jsonlines import read_record
from .queries import Inventory
from .rows import RunRows

logger = logging.get_logger(__name__)
SOURCE = "own"
SUFFIXES = (".jsonl", ".json", ".ndjson")
SHOWN = 10  # lines that a message names


class LabelledError(ValueError):
    """A file of labelled texts cannot be used; the message names the lines and what to change."""


@dataclass
class _Types:
    """The types of a file by their folded names, and the line that each was first seen on."""

    names: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def add(self, name: Any, line: int) -> str:
        """Return the name as it is asked for."""
        clean = check_types([name])[0]
        folded = clean.casefold()
        known = self.names.setdefault(folded, clean)
        first = self.lines.setdefault(folded, line)
        if known != clean:
            raise ValueError(
                f"the type {clean!r} is spelled {known!r} on line {first}; spell it alike everywhere"
            )
        return clean


def is_labelled(source: str) -> bool:
    """Return whether a run's data is a file of labelled texts, and not a folder or a Hub id."""
    return Path(source).is_file() or source.endswith(SUFFIXES)


def load_labelled(path: Path) -> RunRows:
    """Load the training rows of a file of labelled texts; all its types are asked for, absent ones too.

    Raises:
        FileNotFoundError: there is no such file.
        LabelledError: lines cannot be used, or there is no entity in the file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {str(path)!r}; --data takes a JSON Lines file, a folder or a Hub id"
        )
    with path.open("rb") as file:
        rows, types = read_labelled(file, str(path))
    return RunRows({"train": Dataset.from_list(rows)}, {SOURCE: Inventory(types)})


def read_labelled(lines: Iterable[bytes], name: str = "data") -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Read labelled texts.

    Args:
        lines: of the file. Blank ones are skipped, a byte-order mark is allowed.
        name: of the file, for messages.

    Returns:
        Rows ``{"id", "source", "text", "entities", "negatives", "types", "exhaustive"}`` as
        ``training.queries`` reads them, and the types of the file in order of appearance.

    Raises:
        LabelledError: lines cannot be used, or no line has an entity.
    """
    rows: list[dict[str, Any]] = []
    types, faults, overlapping = _Types(), [], 0
    for number, record, fault in _records(lines):
        try:
            if fault:
                raise ValueError(fault)
            row = _row(number, record, types)
        except (ValueError, TypeError) as error:
            faults.append(f"line {number}: {error}")
            continue
        overlapping += _count_overlapping(row["entities"])
        rows.append(row)
    if faults:
        more = [f"and {len(faults) - SHOWN:,} more lines"] if len(faults) > SHOWN else []
        listed = "\n  ".join([*faults[:SHOWN], *more])
        raise LabelledError(f"{name}: {len(faults):,} of {len(rows) + len(faults):,} lines\n  {listed}")
    if not any(row["entities"] for row in rows):
        what = "no line holds an entity" if rows else "the file is empty"
        raise LabelledError(
            f'{name}: {what}; give lines such as {{"text": "Ann left Oslo", "entities": '
            '[{"start": 0, "end": 3, "type": "person"}]}'
        )
    if overlapping:
        logger.warning(
            f"{name}: entities that overlap a longer one: {overlapping:,}; the aligned canvas holds that"
        )
    return rows, tuple(types.names.values())


def warn_of_long(rows: RunRows, encoder: PromptEncoder, longest: int) -> None:
    """Warn of texts that leave no room for all types of the file in a prompt of ``longest`` tokens."""
    asked = len(encoder.encode(rows.inventories[SOURCE].types, ""))
    texts = rows.splits["train"]["text"]
    count = sum(asked + len(ids) > longest for ids in encoder.token_ids(list(texts)))
    if count:
        logger.warning(
            f"{count:,} of {len(texts):,} texts lose their last words: with {asked:,} tokens for the types a "
            f"prompt may have {longest:,} (--max_length); split them into sentences, or raise --max_length"
        )


def _records(lines: Iterable[bytes]) -> Iterator[tuple[int, Mapping[str, Any], str]]:
    """Yield the number, the object and the fault of every line that is not blank."""
    for number, line in enumerate(lines, start=1):
        content = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not content.strip():
            continue
        try:
            yield number, read_record(content), ""
        except ValueError as error:
            yield number, {}, str(error)


def _row(number: int, record: Mapping[str, Any], types: _Types) -> dict[str, Any]:
    text = record["text"]
    words = split_words(text)
    if not words:
        raise ValueError("'text' holds no word; remove the line")
    if "error" in record and "entities" not in record:
        raise ValueError(
            f"the text was not answered ({short(record['error'])}); give it 'entities' or remove it"
        )
    listed = record.get("entities")
    if not isinstance(listed, list):
        raise ValueError(
            f"'entities' must be a list ([] for a text without any), got {short(listed)}"
            if "entities" in record
            else f"no 'entities' among the keys {short(list(record))}; write [] for a text without any"
        )
    own = record.get("labels", [])
    if not isinstance(own, list):
        raise ValueError(f"'labels' must be a list of strings, got {short(own)}")
    asked = [types.add(label, number) for label in own]
    entities = _entities(text, words, listed, number, types)
    unasked = next((e["type"] for e in entities if own and e["type"] not in asked), None)
    if unasked is not None:
        raise ValueError(
            f"an entity has the type {unasked!r}, which is not among the line's 'labels'; add it"
        )
    return {
        "id": f"{SOURCE}-{number}",
        "source": SOURCE,
        "text": text,
        "entities": entities,
        "negatives": "listed" if own else "closed",
        "types": asked,
        "exhaustive": True,
    }


def _entities(
    text: str, words: Sequence[tuple[int, int]], listed: Sequence[Any], line: int, types: _Types
) -> list[dict[str, Any]]:
    """Return ``{"start", "end", "type", "text"}`` of all entities, in order, each once."""
    spans: set[tuple[int, int, str]] = set()
    named: list[tuple[str, str]] = []
    for number, entity in enumerate(listed, start=1):
        try:
            if not isinstance(entity, dict):
                raise ValueError(f"expected an object, got {short(entity)}")
            kind = types.add(_type_of(entity), line)
            if "start" in entity or "end" in entity:
                start, end = _offsets(text, words, entity)
                spans.add((start, end, kind))
            else:
                named.append((_named(entity), kind))
        except (ValueError, TypeError) as error:
            raise ValueError(f"entity {number}: {error}") from None
    # The longer first: "New York" does not stand for the beginning of "New York Times" if that is named too.
    for span, kind in sorted(named, key=lambda pair: (-len(pair[0]), pair)):
        places = _occurrences(text, words, span)
        longer = [(s, e) for s, e, _ in spans if e - s > len(span)]
        free = [(a, b) for a, b in places if not any(s <= a and b <= e for s, e in longer)]
        spans |= {(a, b, kind) for a, b in free or places}
    return [{"start": s, "end": e, "type": kind, "text": text[s:e]} for s, e, kind in sorted(spans)]


def _type_of(entity: Mapping[str, Any]) -> Any:
    given = [entity[key] for key in ("type", "label") if key in entity]
    if not given:
        raise ValueError(f"no 'type' (or 'label') among the keys {short(list(entity))}")
    if len(given) == 2 and given[0] != given[1]:
        raise ValueError(f"'type' is {short(given[0])} but 'label' is {short(given[1])}; keep one of them")
    return given[0]


def _offsets(text: str, words: Sequence[tuple[int, int]], entity: Mapping[str, Any]) -> tuple[int, int]:
    start, end = entity.get("start"), entity.get("end")
    for name, value in (("start", start), ("end", end)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"{name!r} must be a whole number of characters, got {short(value)}")
    assert isinstance(start, int)  # both were checked just now
    assert isinstance(end, int)
    if not 0 <= start < end <= len(text):
        raise ValueError(
            f"start {start} and end {end} are no span of a text of {len(text)} characters; "
            "offsets count characters from 0, the end is exclusive"
        )
    span = text[start:end]
    given = entity.get("text", span)
    if given != span:
        raise ValueError(
            f"the text has {span!r} at {start} to {end}, but the entity says {given!r}; "
            "correct the offsets, or leave them out"
        )
    if span != span.strip():
        left, right = len(span) - len(span.lstrip()), len(span) - len(span.rstrip())
        raise ValueError(
            f"{span!r} begins or ends with white space; use start {start + left} and end {end - right}"
        )
    if not any(s < end and e > start for s, e in words):
        raise ValueError(f"{span!r} holds no word; remove the entity")
    return start, end


def _named(entity: Mapping[str, Any]) -> str:
    span = entity.get("text")
    if not isinstance(span, str) or not span.strip():
        raise ValueError(
            f"needs 'start' and 'end', or the 'text' of the entity; it has the keys {short(list(entity))}"
        )
    return span.strip()


def _occurrences(text: str, words: Sequence[tuple[int, int]], span: str) -> list[tuple[int, int]]:
    """Return every place where the text has the span from a word's beginning to a word's end."""
    ends = {end for _, end in words}
    found = [(s, s + len(span)) for s, _ in words if s + len(span) in ends and text.startswith(span, s)]
    if not found:
        raise ValueError(
            f"{span!r} does not stand in the text as whole words; "
            "check its spelling and letter case, or give 'start' and 'end'"
        )
    return found


def _count_overlapping(entities: Sequence[Mapping[str, Any]]) -> int:
    """Return how many entities the aligned canvas cannot hold beside a longer one."""
    kept: list[tuple[int, int]] = []
    for entity in sorted(entities, key=lambda e: e["start"] - e["end"]):
        start, end = entity["start"], entity["end"]
        if not any(s < end and start < e for s, e in kept):
            kept.append((start, end))
    return len(entities) - len(kept)
