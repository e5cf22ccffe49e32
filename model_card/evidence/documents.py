"""Ordinary documents with their entities: what is read, and how they are scored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_card.evidence.files import lines_of

TEST = Path(__file__).resolve().parents[1] / "documents" / "test.jsonl"

Mention = tuple[int, int, str]  # start and end (exclusive) in characters, label


@dataclass(frozen=True)
class Document:
    """One document.

    Args:
        id: its name.
        kind: of document, such as ``"email"``.
        text: of the document.
        mentions: all entities of the labels, in order.
        labels: that are asked for; those of no mention are absent from the text.
    """

    id: str
    kind: str
    text: str
    mentions: tuple[Mention, ...]
    labels: tuple[str, ...]


def read_documents(path: Path) -> list[Document]:
    """Read the documents of a JSON Lines file, which may be packed (``.gz``).

    A line is ``{"id", "kind", "text", "entities": [{"start", "end", "label"}], "labels": [...]}``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is not of that form; the message names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: name a JSON Lines file with --documents")
    return [
        _document(json.loads(line), f"{path.name}, line {number}")
        for number, line in enumerate(lines_of(path), 1)
    ]


def checksum(documents: Sequence[Document]) -> str:
    """Return one checksum over documents."""
    return hashlib.sha256(repr(documents).encode()).hexdigest()


def _document(row: dict[str, Any], where: str) -> Document:
    missing = {"id", "kind", "text", "entities", "labels"} - set(row)
    if missing:
        raise ValueError(f"{where}: the document has no {', '.join(sorted(missing))}")
    labels = tuple(row["labels"])
    mentions = tuple(sorted((e["start"], e["end"], e["label"]) for e in row["entities"]))
    if len(set(labels)) != len(labels):
        raise ValueError(f"{where}: a label stands twice in {labels}")
    for start, end, label in mentions:
        if not 0 <= start < end <= len(row["text"]):
            raise ValueError(f"{where}: characters {start} to {end} are not within {len(row['text'])}")
        if label not in labels:
            raise ValueError(f"{where}: the label {label!r} of an entity is not among the labels")
    return Document(str(row["id"]), row["kind"], row["text"], mentions, labels)


@dataclass(frozen=True)
class Counts:
    """True positives, predicted and gold mentions; they add up over documents."""

    right: int = 0
    predicted: int = 0
    gold: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.right + other.right, self.predicted + other.predicted, self.gold + other.gold)

    def scores(self) -> dict[str, float | int]:
        """Return precision, recall and micro-F1 in [0, 1] with the counts; 0 where there is nothing."""
        return {
            "precision": self.right / self.predicted if self.predicted else 0.0,
            "recall": self.right / self.gold if self.gold else 0.0,
            "f1": 2 * self.right / (self.predicted + self.gold) if self.predicted + self.gold else 0.0,
            "right": self.right,
            "predicted": self.predicted,
            "gold": self.gold,
        }


def counted(found: set[Mention], document: Document) -> Counts:
    """Return the counts of one document: right is what has the offsets and the label of the reference."""
    gold = set(document.mentions)
    return Counts(len(found & gold), len(found), len(gold))
