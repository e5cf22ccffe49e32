"""What is wrong with a wrong answer: each gold mention and each predicted one in exactly one class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Of a gold mention: how it was answered. "missed" has no overlapping answer at all.
GOLD = ("right", "type", "boundary", "both", "missed")
# Of a predicted mention: the same from its side. "spurious" overlaps no gold mention.
PREDICTED = ("right", "type", "boundary", "both", "spurious")


@dataclass(frozen=True, order=True)
class Span:
    """A mention: character offsets, end exclusive, and a type."""

    start: int
    end: int
    type: str

    def overlaps(self, other: Span) -> bool:
        """Whether the two share a character."""
        return self.start < other.end and other.start < self.end


def classes(mentions: Sequence[Span], others: Sequence[Span], alone: str) -> list[str]:
    """Return the class of each mention as compared with the other side's mentions.

    ``right``: same offsets and type; ``type``: same offsets, another type; ``boundary``: overlapping, same
    type; ``both``: overlapping only. The mildest one counts. ``alone``: nothing overlaps.
    """
    found = []
    for mention in mentions:
        near = [other for other in others if mention.overlaps(other)]
        exact = [o for o in near if (o.start, o.end) == (mention.start, mention.end)]
        if mention in near:
            found.append("right")
        elif exact:
            found.append("type")
        elif any(other.type == mention.type for other in near):
            found.append("boundary")
        else:
            found.append("both" if near else alone)
    return found
