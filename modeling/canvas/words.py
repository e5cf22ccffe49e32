"""Words of a text, as the aligned canvas counts them: one canvas slot per word."""

import re
import unicodedata

# Letters and digits of one run, with inner hyphens or underscores; a character of a script written
# without spaces (Han, kana, Thai, Lao, Khmer, Myanmar) alone; every other visible character alone.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
# Vowel signs, accents, variation selectors and skin tones, which \w leaves out, belong to what is before.
_MARKS = "".join(chr(i) for i in range(0x300, 0x10000) if unicodedata.category(chr(i))[0] == "M")
_MARKS += "\U0001f3fb-\U0001f3ff"
# A run is cut after 64 characters, so that no "word" of a megabyte fills a canvas by itself.
_LETTER = rf"(?![{_UNSPACED}])\w"
_RUN = rf"{_LETTER}(?:{_LETTER}|[{_MARKS}]){{0,63}}"
_WORD = re.compile(
    rf"[{_UNSPACED}][{_MARKS}]{{0,8}}|{_RUN}(?:[-_]{_RUN}){{0,8}}"
    # No control and no zero-width characters.
    rf"|[^\s\x00-\x1f\x7f\u200b-\u200f\u2060\ufeff][{_MARKS}]{{0,8}}"
)
_SENTENCE_END = re.compile(r"[.!?。！？\n]")


def split_words(text: str) -> list[tuple[int, int]]:
    """Return the (start, end) character offsets of the words of ``text``, in order, never overlapping.

    White space and control characters belong to no word.
    """
    return [match.span() for match in _WORD.finditer(text)]


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
