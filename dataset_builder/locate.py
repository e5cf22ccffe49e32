"""Finds where the mentions of a passage stand: the source has none of the offsets.

The passage is split once into tokens (a word, a character of a script written without spaces, or a single
other character) and indexed by them; a mention is found as the same sequence of tokens. So a mention that
begins or ends in a letter matches whole words only, one that begins or ends in punctuation needs no blank
around it, and offsets are those of the passage even where lower-casing changes a string's length.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import regex

from modeling.canvas.template import Mention

# How a mention was found, best first.
LEVELS = ("exact", "white_space", "letter_case")

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTER = rf"[[\p{{L}}\p{{N}}\p{{M}}]--[{_UNSPACED}]]"
# Inner underscores join (snake_case), outer ones do not (_emphasis_).
_TOKEN = regex.compile(rf"([{_UNSPACED}]\p{{M}}*|{_LETTER}+(?:_+{_LETTER}+)*|\S)", regex.VERSION1)
# The same in a third of the time, for text without combining marks, unspaced scripts and separators that
# only Python takes for white space: Latin, Greek, Cyrillic, punctuation and symbols.
_SIMPLE_TOKEN = re.compile(r"([^\W_]+(?:_+[^\W_]+)*|\S)")
_NOT_SIMPLE = re.compile("[^\u0000-\u001b\u0020-\u02ff\u0370-\u0482\u2000-\u206f\u20a0-\u20cf\u2100-\u2bff]")


@dataclass(frozen=True)
class Located:
    """The mentions of one passage.

    ``mentions``: every occurrence once, sorted by start, the longer one first, then by type.
    ``missing``: (type, mention) pairs that the passage does not hold. ``levels``: how many distinct
    mentions were found at which of :data:`LEVELS`.
    """

    mentions: list[Mention] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    levels: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Tokens:
    """The tokens of a text: ``words``, and the character offsets where each one begins and ends."""

    words: list[str]
    starts: list[int]
    ends: list[int]


def is_simple(text: str) -> bool:
    """Return whether a text is free of combining marks and scripts without spaces, where ``\\w`` will do."""
    return not _NOT_SIMPLE.search(text)


def tokenize(text: str) -> Tokens:
    """Split a text into its tokens; white space is in none."""
    pattern = _SIMPLE_TOKEN if is_simple(text) else _TOKEN
    parts = pattern.split(text)  # white space and tokens in turn
    edges = list(accumulate(map(len, parts)))
    return Tokens(parts[1::2], edges[:-1:2], edges[1::2])


def locate(text: str, mentions: Mapping[str, Sequence[str]]) -> Located:
    """Find every occurrence of every mention in the passage.

    An occurrence matches exactly; where a mention has none, occurrences with other white space count, and
    where it has none of these either, occurrences in other letter case. Occurrences of one mention do not
    overlap; those of different mentions may.

    Args:
        text: the passage.
        mentions: for each type the strings to find.
    """
    tokens = tokenize(text)
    wanted = {string: tokenize(string).words for strings in mentions.values() for string in strings}
    as_written = _find(tokens.words, wanted)
    absent = {string: words for string, words in wanted.items() if string not in as_written}
    in_other_case: dict[str, list[tuple[int, int]]] = {}
    if absent:
        in_other_case = _find(
            _folded(tokens.words), {string: _folded(words) for string, words in absent.items()}
        )
    located = Located()
    found: set[Mention] = set()
    for name, strings in mentions.items():
        for string in strings:
            runs = as_written.get(string) or in_other_case.get(string)
            if not runs:
                located.missing.append((name, string))
                continue
            places = [(tokens.starts[first], tokens.ends[last - 1]) for first, last in runs]
            level = "white_space" if string in as_written else "letter_case"
            exact = [(start, end) for start, end in places if text[start:end] == string]
            if exact:
                places, level = exact, "exact"
            located.levels[level] += 1
            found.update(Mention(start, end, name, text[start:end]) for start, end in places)
    located.mentions.extend(sorted(found, key=lambda m: (m.start, -m.end, m.type)))
    return located


def _folded(words: list[str]) -> list[str]:
    return [word.casefold() for word in words]


def _find(words: list[str], wanted: Mapping[str, list[str]]) -> dict[str, list[tuple[int, int]]]:
    """Return where each sequence of tokens stands: half-open token ranges, left to right, without overlap.

    Sequences that stand nowhere are left out.
    """
    positions: dict[str, list[int]] = {sequence[0]: [] for sequence in wanted.values() if sequence}
    for position, word in enumerate(words):
        if word in positions:
            positions[word].append(position)
    runs: dict[str, list[tuple[int, int]]] = {}
    for key, sequence in wanted.items():
        free, length = 0, len(sequence)
        for first in positions[sequence[0]] if sequence else ():
            if first >= free and words[first : first + length] == sequence:
                free = first + length
                runs.setdefault(key, []).append((first, free))
    return runs
