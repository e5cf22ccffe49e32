"""Draws type names that a passage very probably does not hold, half of them near to what it holds."""

import random
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import accumulate
from math import sqrt

from dataset_builder.open_types.passage import Passage

ABSENT = 26
HARD = 16
_TRIES = 40


class AbsentTypes:
    """Absent types for any passage, from the types of all passages.

    Hard ones are children of the passage's coarser types: types that some mention bears as a finer level of
    them, used more than once. The others are drawn by the square root of their frequency.

    Never drawn is a type (see :meth:`blocked`) that a mention of the passage bears, that the same words bear
    anywhere else, that some mention anywhere bears beside the finest type of one of the passage's mentions,
    or that shares a word with such a finest type.

    Args:
        passages: all of the data.
    """

    def __init__(self, passages: Iterable[Passage]) -> None:
        frequency: Counter[str] = Counter()
        beside: dict[str, set[str]] = defaultdict(set)
        children: dict[str, set[str]] = defaultdict(set)
        of_text: dict[str, set[str]] = defaultdict(set)
        for passage in passages:
            for mention in passage.mentions:
                frequency.update(mention.types)
                of_text[mention.words(passage.text)].update(mention.types)
                for level, name in enumerate(mention.types):
                    beside[name].update(mention.types)
                    children[name].update(mention.types[:level])
        self._beside, self._of_text = dict(beside), dict(of_text)
        self._children = {
            name: sorted(child for child in finer if frequency[child] > 1) for name, finer in children.items()
        }
        self._names = sorted(frequency)
        self._cumulative = list(accumulate(sqrt(frequency[name]) for name in self._names))
        self._of_word: dict[str, set[str]] = defaultdict(set)
        for name in self._names:
            for word in name.split():
                self._of_word[word].add(name)

    def blocked(self, passage: Passage) -> set[str]:
        """Return the types that are never drawn for this passage."""
        found: set[str] = set()
        for mention in passage.mentions:
            finest = mention.types[0]
            found.update(mention.types)
            found |= self._of_text.get(mention.words(passage.text), set())
            found |= self._beside.get(finest, set())
            for word in finest.split():
                found |= self._of_word.get(word, set())
        return found

    def sample(self, passage: Passage, seed: str, count: int = ABSENT, hard: int = HARD) -> list[str]:
        """Draw up to ``count`` absent types, up to ``hard`` of them hard.

        Args:
            passage: with all its mentions.
            seed: makes the draw reproducible.
            count: fewer are returned where forty draws for each find no more.
            hard: each is a child of a coarser type drawn at random.

        Returns:
            the types, in alphabetical order.
        """
        blocked = self.blocked(passage)
        generator = random.Random(seed)
        coarser = sorted({name for mention in passage.mentions for name in mention.types[1:]})
        families = [self._children[name] for name in coarser if self._children.get(name)]
        drawn: set[str] = set()
        for _ in range(_TRIES * hard if families else 0):
            if len(drawn) == hard:
                break
            name = generator.choice(generator.choice(families))
            if name not in blocked:
                drawn.add(name)
        for _ in range(_TRIES * count if self._names else 0):
            if len(drawn) == count:
                break
            place = bisect_right(self._cumulative, generator.random() * self._cumulative[-1])
            name = self._names[min(place, len(self._names) - 1)]
            if name not in blocked:
                drawn.add(name)
        return sorted(drawn)
