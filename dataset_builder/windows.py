"""Cuts a passage into windows that fit the model, at sentence ends where possible, never through a mention.

Costs are estimates from the tokens of the whole passage; whoever renders the windows counts their tokens
and asks for smaller ones where an estimate was too low.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from modeling.canvas.template import Mention

# Tokens that a piece of a completion adds to type and span (" |" and ":"), and a type to the prompt (",").
_PIECE_COST = 2
_TYPE_COST = 1

# A sentence ends behind its closing quotes and before a blank, unless it goes on in lower case ("e.g. this");
# ideographic stops need no blank; a line ends a sentence too. The blank goes with what follows, as in tokens.
# All of it looks around one position: a run of a thousand dots must not be gone through a thousand times.
_STOP, _CLOSER = "[.!?\u2026\u061f\u06d4\u0964]", "[\"'\u201d\u2019)\\]]"
_WIDE_STOP, _WIDE_CLOSER = "[\u3002\uff01\uff1f]", "[\u300d\u300f\u201d]"
_SENTENCE_END = re.compile(
    f"(?:(?<={_STOP})|(?<={_STOP}{_CLOSER})|(?<={_STOP}{_CLOSER}{_CLOSER}))(?=\\s+(?![a-z\\s]))"
    f"|(?<={_WIDE_STOP})(?!{_WIDE_STOP}|{_WIDE_CLOSER})|(?<={_WIDE_STOP}{_WIDE_CLOSER})(?!{_WIDE_CLOSER})"
    "|(?=\n)"
)
_WORD_END = re.compile(r"(?=\s)(?<=\S)")


@dataclass(frozen=True)
class Budget:
    """What a window may cost in tokens.

    ``total``: type names, text and completion. ``completion``: the completion alone.
    """

    total: int
    completion: int

    def scaled(self, share: float) -> "Budget":
        """Return the same budget made smaller."""
        return Budget(int(self.total * share), int(self.completion * share))


@dataclass(frozen=True)
class Window:
    """A stretch of a passage: ``passage[start:end]`` neither begins nor ends in white space.

    ``mentions`` have the passage's offsets. ``withheld`` are types that the window must not ask for,
    because a mention of theirs stands in it that no completion can hold.
    """

    start: int
    end: int
    mentions: tuple[Mention, ...]
    withheld: frozenset[str] = frozenset()


class PassageCosts:
    """Estimates what stretches of one passage cost.

    Args:
        token_starts: character offsets at which the passage's tokens begin, ascending.
        type_costs: tokens of each type name.
    """

    def __init__(self, token_starts: Sequence[int], type_costs: Mapping[str, int]) -> None:
        self.token_starts = token_starts
        self._type_costs = type_costs

    def text(self, start: int, end: int) -> int:
        """Return the tokens of ``passage[start:end]``, one that is cut in two counted whole."""
        return bisect_left(self.token_starts, end) - bisect_right(self.token_starts, start) + 1

    def completion(self, mention: Mention) -> int:
        """Return the tokens that a mention adds to the completion."""
        return self.text(mention.start, mention.end) + self._type_costs[mention.type] + _PIECE_COST

    def fit(self, start: int, end: int, mentions: Sequence[Mention], budget: Budget) -> bool:
        """Return whether a window of this stretch with these mentions keeps within the budget."""
        completion = sum(map(self.completion, mentions))
        if completion > budget.completion:
            return False
        types = sum(self._type_costs[name] + _TYPE_COST for name in {m.type for m in mentions})
        return types + self.text(start, end) + completion <= budget.total


def cut_windows(text: str, mentions: Sequence[Mention], costs: PassageCosts, budget: Budget) -> list[Window]:
    """Return the windows of a passage, in order: all of it but white space, nothing twice.

    A mention that cannot be placed is left out of the windows that it stands in, with all mentions of its
    type there, so that what a window does ask for is complete.

    Args:
        text: the passage.
        mentions: its mentions, sorted by start; they may overlap.
        costs: estimates for this passage.
        budget: what a window may cost.
    """
    kept, dropped = _placeable(mentions, costs, budget)
    cutter = _Cutter(text, kept, costs, budget)
    windows = []
    for low, high in cutter.windows():
        stretch = text[low:high]
        if not stretch.strip():
            continue
        withheld = frozenset(m.type for m in dropped if m.start < high and m.end > low)
        windows.append(
            Window(
                low + len(stretch) - len(stretch.lstrip()),
                low + len(stretch.rstrip()),
                tuple(m for m in cutter.mentions(low, high) if m.type not in withheld),
                withheld,
            )
        )
    return windows


class _Cutter:
    """Cuts a stretch, all of whose clusters of overlapping mentions fit a window."""

    def __init__(self, text: str, kept: list[Mention], costs: PassageCosts, budget: Budget) -> None:
        self._text = text
        self._kept = kept
        self._starts = [m.start for m in kept]
        self._clusters = _clusters(kept)
        self._cluster_starts = [low for low, _ in self._clusters]
        self._costs = costs
        self._budget = budget

    def mentions(self, low: int, high: int) -> list[Mention]:
        return self._kept[bisect_left(self._starts, low) : bisect_left(self._starts, high)]

    def windows(self) -> Iterator[tuple[int, int]]:
        """Yield the bounds of the windows: as many pieces each as fit."""
        window = (0, 0)
        for low, high in self._pieces(0, len(self._text), level=0):
            if window[0] < low and not self._fit(window[0], high):
                yield window
                window = (low, low)
            window = (window[0], high)
        yield window

    def _fit(self, low: int, high: int) -> bool:
        return self._costs.fit(low, high, self.mentions(low, high), self._budget)

    def _pieces(self, start: int, end: int, level: int) -> Iterator[tuple[int, int]]:
        """Yield sentences, the words of a sentence that does not fit, the tokens of a word that does not."""
        edges = (self._sentence_edges, self._word_edges, self._token_edges)[level]
        low = start
        for high in (*edges(start, end), end):
            if high < end and self._within_mention(high):
                continue
            if level == 2 or self._fit(low, high):
                yield low, high
            else:
                yield from self._pieces(low, high, level + 1)
            low = high

    def _within_mention(self, position: int) -> bool:
        cluster = bisect_left(self._cluster_starts, position) - 1
        return cluster >= 0 and position < self._clusters[cluster][1]

    def _sentence_edges(self, start: int, end: int) -> list[int]:
        return self._edges(_SENTENCE_END, start, end)

    def _word_edges(self, start: int, end: int) -> list[int]:
        return self._edges(_WORD_END, start, end)

    def _edges(self, pattern: re.Pattern[str], start: int, end: int) -> list[int]:
        found = (match.end() for match in pattern.finditer(self._text, start, end))
        return [position for position in found if start < position < end]

    def _token_edges(self, start: int, end: int) -> list[int]:
        starts = self._costs.token_starts
        inside = starts[bisect_right(starts, start) : bisect_left(starts, end)]
        return list(dict.fromkeys(inside))  # the bytes of one character may be several tokens


def _placeable(
    mentions: Sequence[Mention], costs: PassageCosts, budget: Budget
) -> tuple[list[Mention], list[Mention]]:
    """Part mentions into those that fit a window with all that they overlap, and those given up for it.

    Where overlapping mentions do not fit together, the type that costs most there is given up first.
    """
    kept: list[Mention] = []
    dropped: list[Mention] = []
    pending = _grouped(mentions)
    while pending:
        members = pending.pop()
        if costs.fit(members[0].start, max(m.end for m in members), members, budget):
            kept.extend(members)
            continue
        spent: Counter[str] = Counter()
        for mention in members:
            spent[mention.type] += costs.completion(mention)
        dearest = max(spent, key=lambda name: (spent[name], name))
        dropped.extend(m for m in members if m.type == dearest)
        pending.extend(_grouped([m for m in members if m.type != dearest]))
    kept.sort(key=lambda m: (m.start, -m.end, m.type))
    return kept, dropped


def _grouped(mentions: Sequence[Mention]) -> list[list[Mention]]:
    """Return the groups of overlapping mentions; ``mentions`` are sorted by start."""
    groups: list[list[Mention]] = []
    reach = -1
    for mention in mentions:
        if mention.start >= reach:
            groups.append([])
        groups[-1].append(mention)
        reach = max(reach, mention.end)
    return groups


def _clusters(mentions: Sequence[Mention]) -> list[tuple[int, int]]:
    """Return the (start, end) of every group of overlapping mentions, ascending."""
    return [(group[0].start, max(m.end for m in group)) for group in _grouped(mentions)]
