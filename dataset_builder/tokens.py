"""Counts tokens as the model will see them."""

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

_PLAIN = {"add_special_tokens": False}
# A single blank between visible characters.
_BLANK = re.compile(r" (?<=\S )(?=\S)")
_CACHED_WORDS = 300_000
_CACHED_LENGTH = 40
# What stands before and after a blank in real text; every pair of these is tried.
_PROBES = (
    "word",
    "Word",
    "a",
    "7",
    "2024",
    ".",
    "('",
    '")',
    "--",
    "it's",
    "£",
    "é",
    "中文",
    "कि",
    "😀",
    "x\n\ny",
    "|",
    ":",
)


class TokenizerError(RuntimeError):
    """The tokenizer cannot be had or gives no offsets; the message says which was tried and what to do."""


class TokenCounter:
    """Counts the tokens of texts, without special tokens, whatever the text says.

    A text that spells a special token (``"<|mask|>"``) counts as plain characters. Most tokenizers of
    decoders begin a new token at each blank; then a text's tokens are the sum of its words' tokens, and words
    repeat. Whether the tokenizer at hand does so is tried out first.

    Args:
        tokenizer: a fast transformers tokenizer.
        by_word: whether counts may be summed over words; None tries it out.

    Raises:
        TokenizerError: the tokenizer is a slow one, which knows no character offsets.
    """

    def __init__(self, tokenizer: Any, by_word: bool | None = None) -> None:
        if not tokenizer.is_fast:
            raise TokenizerError(
                f"{type(tokenizer).__name__} is no fast tokenizer; pass one that has a tokenizer.json"
            )
        self._given = tokenizer
        # The library below transformers: counting needs none of the lists that transformers makes.
        self._tokenizer = tokenizer.backend_tokenizer
        self._tokenizer.encode_special_tokens = True
        self._first = _WordCache(self._tokenizer, "")
        self._later = _WordCache(self._tokenizer, " ")
        self.by_word = self._words_are_independent() if by_word is None else by_word

    def __reduce__(self) -> tuple[type, tuple[Any, bool]]:
        # Reading special tokens as plain characters is not part of a tokenizer's own state.
        return TokenCounter, (self._given, self.by_word)

    @classmethod
    def load(cls, path_or_id: str) -> "TokenCounter":
        """Load the tokenizer of a Hub id or folder.

        Raises:
            TokenizerError: there is none.
        """
        from modeling import load_tokenizer

        try:
            return cls(load_tokenizer(path_or_id))
        except (OSError, ValueError) as error:  # what the Hub client and transformers raise
            where = "folder" if Path(path_or_id).exists() else "Hub id"
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise TokenizerError(
                f"tried the tokenizer of {where} {path_or_id!r} and could not load it ({reason}); "
                "pass --tokenizer with a folder that holds one, or check the connection"
            ) from error

    def fingerprint(self) -> str:
        """Return the SHA-256 of the tokenizer's definition."""
        return sha256(self._tokenizer.to_str().encode()).hexdigest()

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        if not self.by_word:
            return [len(encoding) for encoding in self._tokenizer.encode_batch_fast(texts, **_PLAIN)]
        totals = []
        for text in texts:
            first, *words = _BLANK.split(text)
            totals.append(len(self._first[first]) + sum(map(len, map(self._later.__getitem__, words))))
        return totals

    def starts(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the character offsets at which the tokens of each text begin, ascending."""
        if not self.by_word:
            encodings = self._tokenizer.encode_batch(texts, **_PLAIN)
            return [[start for start, _ in encoding.offsets] for encoding in encodings]
        found = []
        for text in texts:
            first, *words = _BLANK.split(text)
            starts = list(self._first[first])
            at = len(first)
            for word in words:
                starts += [at + start for start in self._later[word]]
                at += len(word) + 1
            found.append(starts)
        return found

    def _words_are_independent(self) -> bool:
        pairs = [f"{left} {right}" for left in _PROBES for right in _PROBES]
        together = [len(encoding) for encoding in self._tokenizer.encode_batch_fast(pairs, **_PLAIN)]
        return together == [len(self._first[a]) + len(self._later[b]) for a in _PROBES for b in _PROBES]


class _WordCache(dict[str, tuple[int, ...]]):
    """Where the tokens of words begin, in characters of the word with ``before`` in front of it."""

    def __init__(self, tokenizer: Tokenizer, before: str) -> None:
        self._tokenizer = tokenizer
        self._before = before

    def __missing__(self, word: str) -> tuple[int, ...]:
        encoding = self._tokenizer.encode(self._before + word, **_PLAIN)
        starts = tuple(start for start, _ in encoding.offsets)
        if len(word) <= _CACHED_LENGTH:  # a longer one will not come again
            if len(self) >= _CACHED_WORDS:
                self.clear()
            self[word] = starts
        return starts
