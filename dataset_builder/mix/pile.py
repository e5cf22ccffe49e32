"""Pile-NER passages (chat format): reading, and cutting into windows of whole sentences.

Source of the format: Zhou et al. 2024, "UniversalNER" (arXiv:2308.03279): one question a type, the answer a
JSON list of mentions, ``[]`` for a type that was asked and is absent.
"""

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dataset_builder.mix.detokenize import normalize_token
from dataset_builder.mix.filters import TITLES, Tally, clean_mentions
from dataset_builder.mix.hashing import stable_hash
from dataset_builder.mix.negatives import is_named
from dataset_builder.mix.sources import PILE, Sentence, Span

_QUESTION = re.compile(r"What describes (?P<type>.+) in the text\?", re.S)
# Sizes a window aims at, in words; a passage is cut into windows of several sizes.
_WINDOW_WORDS = (30, 60, 60, 100, 100, 100, 200)
_LONGEST_SENTENCE = 200
_CLOSING = frozenset([")", "]", "”", "’", "'"])
_OPENING = frozenset(["(", "[", "“", "-", "*", "#"])
_SHORTEST_EMPTY = 6


@dataclass(frozen=True)
class Passage:
    """A passage with its mentions, and the types that were asked and are absent."""

    sentence: Sentence
    absent: tuple[str, ...]
    dropped: frozenset[str]


def read_passages(path: Path, tally: Tally) -> Iterator[Passage]:
    """Yield the passages; mentions are found as word sequences, at every occurrence.

    Raises:
        ValueError: a record is not in the chat format.
    """
    with gzip.open(path, "rt", encoding="utf-8") as file:
        records = json.load(file)
    for number, record in enumerate(records):
        turns = [turn["value"] for turn in record["conversations"]]
        if len(turns) < 4 or len(turns) % 2 or not turns[0].startswith("Text: "):
            raise ValueError(f"{path}: record {record['id']} is not a passage with question and answer turns")
        tokens = tuple(
            token for token in map(normalize_token, turns[0].removeprefix("Text: ").split()) if token
        )
        spans: list[Span] = []
        absent = []
        for question, answer in zip(turns[2::2], turns[3::2], strict=True):
            match = _QUESTION.fullmatch(question)
            if match is None:
                raise ValueError(f"{path}: record {record['id']} asks {question!r}, not 'What describes ...'")
            mentions = json.loads(answer)
            if not mentions:
                absent.append(match["type"])
            for mention in mentions:
                found = find_words(tokens, tuple(map(normalize_token, mention.split())))
                if not found:
                    tally.add(
                        "mention: not a sequence of words of its passage", f"{match['type']}: {mention}"
                    )
                spans.extend(Span(start, end, match["type"]) for start, end in found)
        identity = passage_group(number)
        sentence = clean_mentions(Sentence(identity, PILE.name, tokens, tuple(spans), identity), PILE, tally)
        if sentence is None:
            continue
        remaining = {name for span in sentence.spans for name in (span.type, *span.also)}
        dropped = frozenset(span.type for span in spans) - remaining
        yield Passage(sentence, tuple(absent), dropped)


def passage_group(number: int) -> str:
    """The group, and the start of the ids, of all rows of a record of the file."""
    return f"pile-{number}"


def find_words(tokens: Sequence[str], words: tuple[str, ...]) -> list[tuple[int, int]]:
    """Every position where ``words`` stand in ``tokens``, as (start, end)."""
    length = len(words)
    if not length:
        return []
    return [
        (start, start + length)
        for start, token in enumerate(tokens[: len(tokens) - length + 1])
        if token == words[0] and tuple(tokens[start : start + length]) == words
    ]


def split_sentences(tokens: Sequence[str], spans: Sequence[Span]) -> list[tuple[int, int]]:
    """Cut a passage into sentences, as (start, end); no cut falls into a mention.

    A sentence ends at ". ! ?" (with closing quotes and brackets) before a capital, a digit or an opening
    mark, but not after an initial or a number ("J . Smith", "1 . Introduction"). A sentence of more than
    200 words, mostly code or a list, is cut at the last place that 200 words allow.
    """
    inside = {position for span in spans for position in range(span.start + 1, span.end)}
    cuts = []
    quoted = False
    for index in range(1, len(tokens)):
        quoted ^= tokens[index - 1] == '"'
        if index in inside:
            continue
        last = index - 1
        # A mark that opens belongs to the next sentence; only those that close are passed over.
        while last > 0 and (tokens[last] in _CLOSING or (tokens[last] == '"' and not quoted)):
            last -= 1
        before, after = tokens[last - 1] if last else "", tokens[index]
        if tokens[last] in ("!", "?") or (tokens[last] == "." and len(before) > 1 and not before.isdigit()):
            opens = (
                after[:1].isupper()
                or after[:1].isdigit()
                or after in _OPENING
                or (after == '"' and not quoted)
            )
            if opens and before.lower() not in TITLES:
                cuts.append(index)
    sentences = []
    start = 0
    for cut in [*cuts, len(tokens)]:
        while cut - start > _LONGEST_SENTENCE:
            forced = start + _LONGEST_SENTENCE
            while forced in inside and forced > start + 1:
                forced -= 1
            sentences.append((start, forced))
            start = forced
        if cut > start:
            sentences.append((start, cut))
            start = cut
    return sentences


def cut_windows(passage: Passage, seed: int) -> list[Sentence]:
    """Cut a passage into rows of whole sentences.

    A window is filled up to a size drawn from 30 to 200 words. Of the sentences without any mention every
    second becomes a row of its own, so that rows without an entity are seen in this kind of text too.
    ``types`` of a row are the types asked of the passage that the row neither holds nor names.
    """
    sentence = passage.sentence
    present = {name for span in sentence.spans for name in (span.type, *span.also)}
    windows: list[tuple[int, int]] = []
    start = end = 0
    for first, last in split_sentences(sentence.tokens, sentence.spans):
        empty = not any(first <= span.start < last for span in sentence.spans)
        draw = stable_hash(f"{seed}:{sentence.id}:{start}")
        if (
            empty
            and last - first >= _SHORTEST_EMPTY
            and stable_hash(f"{seed}:{sentence.id}:empty:{first}") % 2
        ):
            windows += [(start, end), (first, last)]
            start = last
        elif last - start > _WINDOW_WORDS[draw % len(_WINDOW_WORDS)]:
            windows.append((start, end))
            start = first
        end = last
    windows.append((start, end))
    rows: list[Sentence] = []
    for first, last in windows:
        if first == last:
            continue
        spans = tuple(
            replace(span, start=span.start - first, end=span.end - first)
            for span in sentence.spans
            if first <= span.start < last
        )
        here = {name for span in spans for name in (span.type, *span.also)}
        tokens = sentence.tokens[first:last]
        absent = (set(passage.absent) | present) - here - passage.dropped
        types = tuple(sorted(name for name in absent if not is_named(name, tokens)))
        rows.append(
            replace(sentence, id=f"{sentence.id}-{len(rows)}", tokens=tokens, spans=spans, types=types)
        )
    return rows


def cut_long(sentence: Sentence, longest: int) -> list[Sentence]:
    """Cut a passage of more than ``longest`` words at sentence ends into rows of one group.

    Shorter ones are returned as they are. A sentence of more than 200 words is cut at a word.
    """
    if len(sentence.tokens) <= longest:
        return [sentence]
    windows: list[list[int]] = []
    for first, last in split_sentences(sentence.tokens, sentence.spans):
        if windows and last - windows[-1][0] <= longest:
            windows[-1][1] = last
        else:
            windows.append([first, last])
    return [
        replace(
            sentence,
            id=f"{sentence.id}-{number}",
            group=sentence.group or sentence.id,
            tokens=sentence.tokens[first:last],
            spans=tuple(
                replace(span, start=span.start - first, end=span.end - first)
                for span in sentence.spans
                if first <= span.start < last
            ),
        )
        for number, (first, last) in enumerate(windows)
    ]
