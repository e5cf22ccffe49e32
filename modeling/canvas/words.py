"""Words of a text, as the aligned canvas counts them (one canvas slot per word), and their tokens."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

# Letters and digits of one run; a character of a script written without spaces (Han, kana, Thai, Lao, Khmer,
# Myanmar) alone; every other visible character, hyphens and underscores among them, alone.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
# Vowel signs, accents, variation selectors and skin tones, which \w leaves out, belong to what is before.
_MARKS = "".join(chr(i) for i in range(0x300, 0x10000) if unicodedata.category(chr(i))[0] == "M")
_MARKS += "\U0001f3fb-\U0001f3ff"
# A run is cut after 64 characters, so that no "word" of a megabyte fills a canvas by itself.
_LETTER = rf"(?![{_UNSPACED}])[^\W_]"
# Soft hyphen, zero-width spaces and joiners, marks of direction: within a run they change nothing.
_INVISIBLE = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_RUN = rf"{_LETTER}(?:[{_INVISIBLE}]{{0,8}}(?:[{_MARKS}]|{_LETTER})){{0,63}}"
_WORD = re.compile(
    rf"[{_UNSPACED}][{_MARKS}]{{0,8}}|{_RUN}"
    # No control and no invisible characters.
    rf"|[^\s\x00-\x1f\x7f{_INVISIBLE}][{_MARKS}]{{0,8}}"
)
# The same for ASCII alone, which most texts are: much faster.
_ASCII_WORD = re.compile(r"[A-Za-z0-9]{1,64}|[^\s\x00-\x1f\x7f]")
_SENTENCE_END = re.compile(r"[.!?。！？\n]")
KNOWN_WORDS = 200_000  # that are remembered
# A pair of line break characters is one line break.
_BREAK = re.compile(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]|\t")
LONGEST_RUN = 2  # line breaks, or tabs, in a row that are told apart: a blank line is two line breaks


def split_words(text: str) -> list[tuple[int, int]]:
    """Return the (start, end) character offsets of the words of ``text``, in order, never overlapping.

    White space and control characters belong to no word; invisible characters only within a run of letters.
    """
    pattern = _ASCII_WORD if text.isascii() else _WORD
    return [match.span() for match in pattern.finditer(text)]


def windows(
    text: str, words: list[tuple[int, int]], costs: list[int], budget: int, overlap: int
) -> list[tuple[int, int]]:
    """Cut a long text into windows of words.

    Args:
        text: the text the words are of.
        words: offsets as :func:`split_words` gives them.
        costs: what each word takes of the budget (its tokens and its canvas slot), at least 1.
        budget: the most that one window may cost; a single word dearer than that stands alone.
        overlap: how many words the next window repeats, so that a mention at a cut is whole in one. It
            repeats fewer where it would otherwise be more than half of a window, or leave no room for a new
            word.

    Returns:
        Half-open (first word, last word + 1) ranges that cover all words in order, each with a word that none
        before it has. A window ends at a sentence end when there is one in its last half.
    """
    ranges: list[tuple[int, int]] = []
    first = covered = 0
    while first < len(words):
        last, spent = first, 0
        while last < len(words) and (last == first or spent + costs[last] <= budget):
            spent += costs[last]
            last += 1
        if last < len(words):
            for end in range(last, max(covered, first + (last - first) // 2), -1):
                if _SENTENCE_END.search(text[words[end - 1][0] : words[end][0]]):
                    last = end
                    break
        ranges.append((first, last))
        if last == len(words):
            break
        least, first, covered = max(last - overlap, (first + last + 1) // 2), last, last
        spent = costs[first]
        while first > least and spent + costs[first - 1] <= budget:
            first -= 1
            spent += costs[first]
    return ranges


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
