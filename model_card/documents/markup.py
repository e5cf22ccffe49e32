"""Reads the mark-up in which the documents are written, and finds what breaks the rules of marking.

``README.md`` describes the mark-up and the rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

KINDS = (
    "email", "invoice", "receipt", "cv", "meeting notes", "product titles", "server log", "table",
    "clinical note", "clinical shorthand", "chat", "news", "scientific abstract", "job advert", "contract",
    "recipe", "code question", "itinerary", "review", "form",
)  # fmt: skip
WORDS = range(30, 251)
LABELS = range(4, 10)
ABSENT_LABELS = range(1, 3)
# The label of a string that looks like a marked one but is none; it leaves no entity.
NOT_AN_ENTITY = "-"

_HEADER = re.compile(r"### (?P<kind>[a-z ]+) (?P<number>\d+)")
_TOKEN = re.compile(r"\\(?P<escaped>.)|\[(?P<span>[^\[\]\\]*)\|(?P<label>[^\[\]\\|]*)\]|(?P<bracket>[\[\]])")
_ESCAPES = {"t": "\t", "[": "[", "]": "]", "\\": "\\"}


@dataclass(frozen=True)
class Entity:
    """A marked span: ``text[start:end]`` of its document, in characters."""

    start: int
    end: int
    text: str
    label: str


@dataclass(frozen=True)
class Document:
    """A document, the labels asked of it, and every span of it that answers one of them, in order.

    ``reviewed`` holds the (start, end) of strings that equal a marked one but are no entity.
    """

    id: str
    kind: str
    text: str
    labels: tuple[str, ...]
    entities: tuple[Entity, ...]
    reviewed: tuple[tuple[int, int], ...]

    def row(self) -> dict[str, Any]:
        """Return the fields of the JSON line."""
        entities = [vars(entity) for entity in self.entities]
        labels = list(self.labels)
        return {"id": self.id, "kind": self.kind, "text": self.text, "labels": labels, "entities": entities}

    def problems(self) -> Iterator[str]:
        """Yield a sentence for every rule of ``README.md`` that the document breaks."""
        absent = set(self.labels) - {entity.label for entity in self.entities}
        if self.kind not in KINDS:
            yield f"unknown kind {self.kind!r}; the kinds are {', '.join(KINDS)}"
        if len(self.text.split()) not in WORDS:
            yield f"{len(self.text.split())} words; write {WORDS[0]} to {WORDS[-1]}"
        if len(self.labels) not in LABELS or len(set(self.labels)) < len(self.labels):
            yield f"labels {self.labels}; ask for {LABELS[0]} to {LABELS[-1]} different ones"
        if len(absent) not in ABSENT_LABELS:
            yield f"absent labels {sorted(absent)}; ask for one or two that do not occur"
        for entity in self.entities:
            place = f"character {entity.start}, {entity.text!r}"
            if entity.label not in self.labels:
                yield f"{place}: label {entity.label!r} is not among the labels of the document"
            if not entity.text or entity.text != entity.text.strip():
                yield f"{place}: a span is not empty and does not start or end with white space"
        taken = [(entity.start, entity.end) for entity in self.entities] + list(self.reviewed)
        for string in sorted({entity.text for entity in self.entities if entity.text}):
            # An occurrence is a whole word: it does not stand inside a longer word or number.
            for match in re.finditer(rf"(?<!\w){re.escape(string)}(?!\w)", self.text, re.IGNORECASE):
                if not any(start <= match.start() and match.end() <= end for start, end in taken):
                    yield (
                        f"character {match.start()}: {match[0]!r} is marked elsewhere in the document; "
                        f"mark it, or write [{match[0]}|{NOT_AN_ENTITY}] if it is no entity here"
                    )


def unmark(body: str) -> tuple[str, list[Entity]]:
    """Return the plain text of a marked body and its spans, those labelled ``-`` among them.

    Raises:
        ValueError: for a bracket that belongs to no ``[span|label]``, and for an unknown escape.
    """
    text, entities, done = "", [], 0
    for token in _TOKEN.finditer(body):
        text += body[done : token.start()]
        done = token.end()
        if token["bracket"] or (token["escaped"] and token["escaped"] not in _ESCAPES):
            around = body[max(0, token.start() - 20) : token.end() + 20]
            raise ValueError(
                f"{token[0]!r} at {around!r}: write [span|label]; escape a plain bracket with a backslash"
            )
        if token["escaped"]:
            text += _ESCAPES[token["escaped"]]
        else:
            entities.append(Entity(len(text), len(text) + len(token["span"]), token["span"], token["label"]))
            text += token["span"]
    return text + body[done:], entities


def parse(source: str, split: str) -> list[Document]:
    """Return the documents of a marked file.

    Args:
        source: blocks of a line ``### kind number``, a line ``labels: one; another`` and the marked body.
        split: first part of the documents' identifiers.

    Raises:
        ValueError: with every fault found, each with its line of the file or its document and character.
    """
    documents: list[Document] = []
    faults: list[str] = []
    lines = source.split("\n")
    starts = [number for number, line in enumerate(lines) if line.startswith("### ")]
    if not starts or any(line.strip() for line in lines[: starts[0]]):
        faults.append(f"{split}.txt:1: expected '### kind number' as the first line")
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        header = _HEADER.fullmatch(lines[start])
        if header is None or start + 1 >= end or not lines[start + 1].startswith("labels: "):
            faults.append(f"{split}.txt:{start + 1}: expected '### kind number', then 'labels: one; another'")
            continue
        name = f"{split}-{header['kind'].replace(' ', '-')}-{header['number']}"
        labels = tuple(label.strip() for label in lines[start + 1].removeprefix("labels: ").split(";"))
        try:
            text, spans = unmark("\n".join(lines[start + 2 : end]).strip("\n"))
        except ValueError as error:
            faults.append(f"{split}.txt:{start + 1}: {name}: {error}")
            continue
        entities = tuple(span for span in spans if span.label != NOT_AN_ENTITY)
        reviewed = tuple((span.start, span.end) for span in spans if span.label == NOT_AN_ENTITY)
        document = Document(name, header["kind"], text, labels, entities, reviewed)
        documents.append(document)
        faults += [f"{split}.txt:{start + 1}: {name}: {problem}" for problem in document.problems()]
    if faults:
        raise ValueError("\n".join(faults))
    return documents
