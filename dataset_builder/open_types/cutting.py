"""Cuts long passages into windows, at the end of a paragraph, a line, a sentence or a word, in this order."""

import re
from dataclasses import replace

from dataset_builder.open_types.passage import Passage

MAX_WORDS = 330
_ENDS = (
    re.compile(r"\n[ \t]*\n\s*"),
    re.compile(r"\n\s*"),
    re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[^a-z\s])"),
    re.compile(r"\s+"),
)
_WORD = re.compile(r"\S+")


def cut_long(passage: Passage, longest: int = MAX_WORDS) -> list[Passage]:
    """Cut a passage of more than ``longest`` words into windows of at most that many.

    A cut is made at the last end of the best kind in the second half of what fits, never inside a mention.
    Windows have the passage's group and ids ``<id>.<number>``; white space around a cut is dropped.

    Args:
        longest: at least 2.

    Raises:
        ValueError: a mention leaves no place to cut.
    """
    words = [match.span() for match in _WORD.finditer(passage.text)]
    if len(words) <= longest:
        return [passage]
    windows = []
    first = 0
    while len(words) - first > longest:
        low, high = words[first + longest // 2 - 1][1], words[first + longest][0]
        cut = _cut(passage, low, high)
        if cut is None:
            cut = _cut(passage, words[first][1], high)
        if cut is None:
            raise ValueError(
                f"passage {passage.id}: no place to cut between {words[first][1]} and {high}; "
                "split its long mention"
            )
        windows.append((words[first][0], cut))
        first = next(index for index in range(first, len(words)) if words[index][0] >= cut)
    windows.append((words[first][0], len(passage.text)))
    cuts = []
    for number, (start, end) in enumerate(windows):
        text = passage.text[start:end].rstrip()
        mentions = tuple(
            replace(mention, start=mention.start - start, end=mention.end - start)
            for mention in passage.mentions
            if start <= mention.start < end
        )
        group = passage.group or passage.id
        cuts.append(replace(passage, id=f"{passage.id}.{number}", text=text, mentions=mentions, group=group))
    return cuts


def _cut(passage: Passage, low: int, high: int) -> int | None:
    """The place behind the last end of the best kind in ``text[low:high]`` that no mention spans."""
    for ends in _ENDS:
        places = [match.end() for match in ends.finditer(passage.text, low, high)]
        for place in reversed(places):
            if not any(mention.start < place < mention.end for mention in passage.mentions):
                return place
    return None
