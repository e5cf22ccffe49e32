"""A passage with its located mentions: the step between the source's conversations and the rows."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from dataset_builder.conversation import RecordReader
from dataset_builder.locate import locate
from dataset_builder.report import Issue
from dataset_builder.split import bands, split_key
from modeling.canvas.template import Mention


@dataclass(frozen=True)
class Passage:
    """One passage.

    ``mentions`` are sorted by start, the longer one first, then by type. ``negatives`` are the types that
    the source asked for and the passage has not. ``uncertain`` are types it may have: their answer could not
    be read, or a mention of theirs could not be found. ``split`` is empty until the split is drawn.
    """

    id: str
    text: str
    mentions: tuple[Mention, ...] = ()
    negatives: tuple[str, ...] = ()
    uncertain: tuple[str, ...] = ()

    def types(self) -> list[str]:
        """Return the types of the mentions, in order of first occurrence."""
        return list(dict.fromkeys(m.type for m in self.mentions))

    def as_line(self) -> str:
        """Return one line of JSON that :meth:`from_line` reads back."""
        value = {
            "id": self.id,
            "text": self.text,
            "mentions": [(m.type, m.start, m.end) for m in self.mentions],
            "negatives": self.negatives,
            "uncertain": self.uncertain,
        }
        return json.dumps(value, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> "Passage":
        """Return the passage that :meth:`as_line` wrote."""
        value = json.loads(line)
        text = value["text"]
        return cls(
            value["id"],
            text,
            tuple(Mention(start, end, name, text[start:end]) for name, start, end in value["mentions"]),
            tuple(value["negatives"]),
            tuple(value["uncertain"]),
        )


@dataclass(frozen=True)
class ReadPassage:
    """What the build keeps of a passage while it reads: its line for the file, and its figures.

    ``content`` identifies text and annotation; ``bands`` and ``split_key`` are those of
    :mod:`dataset_builder.split`; ``levels`` says how the distinct mentions were found, ``missing`` how many
    were not; ``types`` counts occurrences by type, ``overlapping`` those that begin within another; ``names``
    are all types.
    """

    id: str
    line: str
    content: bytes
    bands: bytes
    split_key: bytes
    levels: Counter[str]
    missing: int
    types: Counter[str]
    overlapping: int
    names: tuple[str, ...]


@dataclass
class ReadBatch:
    """The passages of a batch of records, and the issues met in them, in order."""

    passages: list[ReadPassage] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)


def read_batch(values: Sequence[Any], seed: int) -> ReadBatch:
    """Read JSON values of the source into passages with located mentions."""
    batch = ReadBatch()
    reader = RecordReader(batch.issues.append)
    for value in values:
        conversation = reader.read(value)
        if conversation is None:
            continue
        located = locate(conversation.text, conversation.mentions)
        for name, mention in located.missing:
            batch.issues.append(Issue("mention_not_found", conversation.id, f"{name}: {mention}"))
        types = Counter(m.type for m in located.mentions)
        passage = Passage(
            conversation.id,
            conversation.text,
            tuple(located.mentions),
            tuple(conversation.negatives),
            (*conversation.unanswered, *(name for name in conversation.mentions if name not in types)),
        )
        line = passage.as_line()
        batch.passages.append(
            ReadPassage(
                passage.id,
                line,
                blake2b(line.encode("utf-8"), digest_size=16).digest(),
                bands(passage.text),
                split_key(passage.text, seed),
                located.levels,
                len(located.missing),
                types,
                _overlapping(located.mentions),
                (*types, *passage.negatives),
            )
        )
    return batch


def _overlapping(mentions: Sequence[Mention]) -> int:
    reach = count = 0
    for mention in mentions:
        count += mention.start < reach
        reach = max(reach, mention.end)
    return count
