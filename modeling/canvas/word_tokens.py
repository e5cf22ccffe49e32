"""The tokens of single words, remembered from text to text."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

KNOWN_WORDS = 200_000  # that are remembered
# A pair of line break characters is one line break.
_BREAK = re.compile(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]|\t")
LONGEST_RUN = 2  # line breaks, or tabs, in a row that are told apart: a blank line is two line breaks


class WordTokens:
    """The tokens of words under one tokenizer. Threads may share it.

    Fullwidth and mathematical letters are read as ordinary ones (Unicode's NFKC). A word with a character
    that the vocabulary lacks keeps the tokens of its other characters.

    Args:
        tokenize: returns the token ids of each text.
        unknown: id of the token for what the vocabulary lacks; None: there is no such token.
    """

    def __init__(self, tokenize: Callable[[Sequence[str]], list[list[int]]], unknown: int | None) -> None:
        self._tokenize = tokenize
        self._unknown = unknown
        self._known: dict[str, tuple[int, ...]] = {}

    def of(self, words: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """Return the token ids of each word; none for one that the tokenizer drops."""
        known = self._known
        asked = dict.fromkeys(words)
        found = {word: known[word] for word in asked if word in known}
        new = [word for word in asked if word not in found]
        if new:
            plain = [unicodedata.normalize("NFKC", word) for word in new]
            for word, text, ids in zip(new, plain, self._tokenize(plain), strict=True):
                found[word] = tuple(self._rescued(text) if self._unknown in ids else ids)
            if len(known) + len(new) > KNOWN_WORDS:
                known.clear()
            known.update({word: found[word] for word in new})
        return found

    def _rescued(self, text: str) -> list[int]:
        """Return the tokens of a text with an unknown part: one unknown token for each unknown stretch."""
        unknown = self._unknown
        assert unknown is not None  # it was found among the tokens
        alone = self._tokenize(list(text)) if len(text) > 1 else [[unknown]]
        pieces: list[str] = [""]
        for character, tokens in zip(text, alone, strict=True):
            if unknown in tokens:
                pieces.append("")
            else:
                pieces[-1] += character
        ids: list[int] = []
        for number, own in enumerate(self._tokenize(pieces)):
            if number and ids[-1:] != [unknown]:
                ids.append(unknown)
            ids += own
        return ids


def breaks_between(gap: str, newline: int, tab: int) -> list[int]:
    """Return the tokens of the line breaks and tabs between two words, in order.

    Args:
        gap: the text between them.
        newline, tab: ids of the tokens; -1: there is none.
    """
    found: list[int] = []
    for match in _BREAK.finditer(gap):
        token = tab if match.group() == "\t" else newline
        if token >= 0 and found[-LONGEST_RUN:] != [token] * LONGEST_RUN:
            found.append(token)
    return found
