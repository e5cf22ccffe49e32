"""UniNER's conversation: how one type is asked of one text, and how the answer is read.

Source: Zhou et al., "UniversalNER", ICLR 2024, arXiv:2308.03279, and the ``ie_as_qa`` template of its
repository (``src/conversation.py``): Vicuna's form, a blank after the user's turns and ``</s>`` after the
assistant's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dataset_builder.benchmark_queries import QuerySet
from dataset_builder.benchmarks import Benchmark
from model_card.evidence.predictions import Answer
from modeling.extraction.chunking import Entity

SYSTEM = "A virtual assistant answers questions from a user based on the provided text."
ACKNOWLEDGEMENT = "I've read this text."
END = "</s>"


@dataclass(frozen=True)
class Reply:
    """What an answer says: ``spans`` in the order written; not ``readable`` if it is no list of strings."""

    spans: tuple[str, ...]
    readable: bool


def question(kind: str) -> str:
    """Return the question for one type."""
    return f"What describes {kind} in the text?"


def prompt(text: str, asked: str) -> str:
    """Return the conversation up to where the model answers.

    All questions about one text begin alike, so that a prefix cache computes the text once.
    """
    return f"{SYSTEM} USER: Text: {text} ASSISTANT: {ACKNOWLEDGEMENT}{END}USER: {asked} ASSISTANT:"


def questions(benchmark: Benchmark, queries: QuerySet | None) -> dict[str, str]:
    """Return the question for each type: UniNER's own wording where it published one."""
    own = {} if queries is None else {query.type: query.question for query in queries.queries}
    return {kind: own.get(kind, question(kind)) for kind in benchmark.types}


def parse(reply: str) -> Reply:
    """Read an answer: a JSON list of strings, and whatever follows it.

    UniNER's script reads up to the first ``]`` and takes anything it cannot read for an empty answer; here a
    span may hold a ``]``, and what cannot be read is counted.
    """
    try:
        spans, _ = json.JSONDecoder().raw_decode(reply.strip())
    except json.JSONDecodeError:
        return Reply((), False)
    if not isinstance(spans, list) or not all(isinstance(span, str) for span in spans):
        return Reply((), False)
    return Reply(tuple(spans), True)


def answer(text: str, replies: Mapping[str, str]) -> Answer:
    """Put the replies to all questions about one text together.

    The n-th naming of a span under a type is its n-th occurrence in the text; a span that is not there is
    invented. Spans of different types may overlap: nothing in the conversation forbids it.

    Args:
        text: that was asked about.
        replies: type -> the model's reply.
    """
    entities: list[Entity] = []
    invented: list[tuple[str, str]] = []
    unreadable = 0
    for kind, reply in replies.items():
        parsed = parse(reply)
        unreadable += not parsed.readable
        places = _places(text, parsed.spans)
        for span, start in zip(parsed.spans, places, strict=True):
            if start is None:
                invented.append((kind, span))
            elif start >= 0:
                entities.append(Entity(start, start + len(span), span, kind, 1.0))
    entities.sort(key=lambda e: (e.start, e.end, e.label))
    return Answer(tuple(entities), tuple(invented), len(replies), unreadable)


def _places(text: str, spans: Sequence[str]) -> list[int | None]:
    """Return where each span starts; None: not in the text; -1: named more often than it occurs."""
    after: dict[str, int] = {}
    found: list[int | None] = []
    for span in spans:
        start = text.find(span, after.get(span, 0)) if span else -1
        if start < 0:
            found.append(-1 if span in after else None)
            continue
        after[span] = start + len(span)
        found.append(start)
    return found
