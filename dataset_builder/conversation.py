"""Reads one Pile-NER-type record: the passage, and for every queried type its mentions.

A record is a conversation: the first turn holds the passage (``"Text: ..."``), every later human turn asks
for one type (``"What describes TYPE in the text?"``) and the turn after it answers with a JSON list of
mentions; ``[]`` is a negative that the source sampled. What does not follow this is reported, and nothing
is concluded from it: a type without a readable answer counts neither as present nor as absent.

Source: Zhou et al. 2024, UniversalNER (https://arxiv.org/abs/2308.03279).
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from dataset_builder.report import Issue
from dataset_builder.source import BrokenRecord
from modeling.canvas.template import check_types

# Names that tell nothing about what is sought. Kept where the source has them, listed in the report, and
# never drawn as negatives: "no other entity" is not a statement that could be right or wrong.
NOISY_TYPES = frozenset(
    {
        "any", "anything", "element", "entities", "entity", "etc", "generic", "item", "keyword", "mention",
        "misc", "miscellaneous", "n/a", "na", "named entity", "none", "null", "object", "other", "others",
        "something", "term", "text", "thing", "things", "type", "undefined", "unknown", "unspecified",
        "various", "word", "words",
    }
)  # fmt: skip

_PASSAGE_PREFIX = "Text: "
_QUESTION = re.compile(r"\s*What describes (?P<type>.*) in the text\?\s*", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Conversation:
    """A readable record.

    ``mentions``: per type the distinct mentions in the order answered. ``negatives``: types answered with
    an empty list. ``unanswered``: types asked whose answer could not be read.
    """

    id: str
    text: str
    mentions: dict[str, list[str]] = field(default_factory=dict)
    negatives: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)


class RecordReader:
    """Turns one JSON value of the source into a :class:`Conversation`, reporting what it cannot use."""

    def __init__(self, report: Callable[[Issue], None]) -> None:
        self._report = report

    def read(self, value: Any) -> Conversation | None:
        """Return the conversation, or ``None`` (reported) if the record holds nothing usable."""
        if isinstance(value, BrokenRecord):
            where = f"character {value.position}"
            self._report(Issue("malformed_record", where, f"{value.reason}: {value.excerpt}"))
            return None
        turns = value.get("conversations") if isinstance(value, dict) else None
        if not isinstance(turns, list):
            shown = value.get("id") if isinstance(value, dict) else None
            self._report(
                Issue("malformed_record", _shown(shown), f"no list of conversations: {_shown(value)}")
            )
            return None
        record_id = value.get("id")
        if isinstance(record_id, int) and not isinstance(record_id, bool):
            record_id = str(record_id)
        if not isinstance(record_id, str) or not record_id.strip():
            content = json.dumps(turns, sort_keys=True, default=str)
            made = "record-" + blake2b(content.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
            self._report(Issue("missing_id", made, f"id {_shown(record_id)} replaced"))
            record_id = made
        return self._read_turns(self._text(record_id, record_id), turns)

    def _read_turns(self, record_id: str, turns: list[Any]) -> Conversation | None:
        passage = self._turn(record_id, turns[0]) if turns else None
        if passage is None or passage[0] != "human":
            self._report(Issue("no_passage", record_id, f"first turn: {_shown(turns[:1])}"))
            return None
        text = self._text(record_id, passage[1].removeprefix(_PASSAGE_PREFIX))
        if not text.strip():
            self._report(Issue("empty_passage", record_id, _shown(passage[1])))
            return None
        answers: dict[str, list[str] | None] = {}
        question: str | None = None  # the question that waits for its answer, as written
        for index, turn in enumerate(turns[1:], 1):
            read = self._turn(record_id, turn)
            if read is None:
                continue
            speaker, said = read
            if speaker == "human":
                if question is not None:
                    self._unanswered(record_id, question, answers)
                question = said
            elif question is not None:
                self._answer(record_id, question, said, answers)
                question = None
            elif index > 1:  # the first answer acknowledges the passage
                self._report(Issue("answer_without_question", record_id, _shown(said)))
        if question is not None:
            self._unanswered(record_id, question, answers)
        if not any(answer is not None for answer in answers.values()):
            self._report(
                Issue("nothing_answered", record_id, f"{len(answers)} questions, no readable answer")
            )
            return None
        return Conversation(
            record_id,
            text,
            mentions={name: found for name, found in answers.items() if found},
            negatives=[name for name, found in answers.items() if found == []],
            unanswered=[name for name, found in answers.items() if found is None],
        )

    def _turn(self, record_id: str, turn: Any) -> tuple[str, str] | None:
        if isinstance(turn, dict):
            speaker, said = turn.get("from"), turn.get("value")
            if speaker in ("human", "gpt") and isinstance(said, str):
                return speaker, said
        self._report(Issue("malformed_turn", record_id, _shown(turn)))
        return None

    def _type(self, record_id: str, question: str) -> str | None:
        match = _QUESTION.fullmatch(question)
        if match is None:
            self._report(Issue("unknown_question", record_id, _shown(question)))
            return None
        try:
            return normalize_type(match["type"])
        except ValueError as error:
            self._report(Issue("unusable_type", record_id, str(error)))
            return None

    def _unanswered(self, record_id: str, question: str, answers: dict[str, list[str] | None]) -> None:
        self._report(Issue("missing_answer", record_id, _shown(question)))
        name = self._type(record_id, question)
        if name is not None:
            answers.setdefault(name, None)

    def _answer(self, record_id: str, question: str, said: str, answers: dict[str, list[str] | None]) -> None:
        name = self._type(record_id, question)
        if name is None:
            return
        try:
            listed = json.loads(said)
        except (ValueError, RecursionError) as error:
            self._report(Issue("unparsable_answer", record_id, f"{name}: {error}: {_shown(said)}"))
            answers.setdefault(name, None)
            return
        if not isinstance(listed, list):
            self._report(Issue("unparsable_answer", record_id, f"{name}: not a list: {_shown(said)}"))
            answers.setdefault(name, None)
            return
        if name in answers:
            self._report(Issue("repeated_type", record_id, _shown(question)))
        known = list(answers.get(name) or ())
        readable = not listed
        seen = set(known)
        for mention in listed:
            if not isinstance(mention, str):
                self._report(Issue("non_string_mention", record_id, f"{name}: {_shown(mention)}"))
                continue
            clean = self._text(record_id, mention).strip()
            if not clean:
                self._report(Issue("empty_mention", record_id, f"{name}: {_shown(mention)}"))
            elif clean in seen:
                self._report(Issue("duplicate_mention", record_id, f"{name}: {clean}"))
            else:
                seen.add(clean)
                known.append(clean)
        # A list of nothing but unusable mentions does not say that the type is absent.
        if known or readable:
            answers[name] = known
        else:
            answers.setdefault(name, None)

    def _text(self, record_id: str, text: str) -> str:
        if not _SURROGATE.search(text):
            return text
        self._report(Issue("invalid_unicode", record_id, "bytes that are no character replaced by U+FFFD"))
        return _SURROGATE.sub("\ufffd", text)


@lru_cache(maxsize=100_000)
def normalize_type(name: str) -> str:
    """Return the canonical spelling of a type name.

    Lower case (case folded, so that no two names differ in case only), ``_`` and the separators of the
    text format (``:``, ``|`` and the comma of the list of types) and unprintable characters as blanks,
    white space collapsed.

    Raises:
        ValueError: nothing is left, or more than the template's longest name.
    """
    folded = "".join(c if c.isprintable() and c not in "_:|," else " " for c in name.casefold())
    return check_types([folded])[0]


def is_noisy(name: str) -> bool:
    """Return whether a normalised type name says nothing about what is sought."""
    return name in NOISY_TYPES


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
