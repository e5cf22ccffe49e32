"""One flat layer of nested mentions."""

from collections import defaultdict
from collections.abc import Sequence

from dataset_builder.mix.hashing import stable_hash
from dataset_builder.mix.sources import Span


def one_layer(spans: Sequence[Span], key: str) -> tuple[tuple[Span, ...], tuple[str, ...]]:
    """Keep types whose mentions do not overlap, whole types at a time.

    A type is kept with all its mentions or hidden with all of them, so that a row which asks for a type marks
    every mention of it. Types are taken in the order of the mean length of their mentions, the longest first
    in half of the rows and the shortest first in the others; a type is hidden if one of its mentions overlaps
    a kept one of another span. Of a type's own mentions that overlap the longest stays, then the first.
    Types of one and the same span do not exclude each other.

    Args:
        spans: the mentions, each with one type.
        key: decides the order (a row id).

    Returns:
        the mentions kept, by position, and the hidden types, in alphabetical order.
    """
    by_type: dict[str, list[Span]] = defaultdict(list)
    for span in sorted(set(spans), key=lambda span: (span.start - span.end, span.start)):
        if not _clashes(span, by_type[span.type]):
            by_type[span.type].append(span)
    direction = -1 if stable_hash(f"layer:{key}") % 2 else 1

    def rank(name: str) -> tuple[float, str]:
        own = by_type[name]
        return direction * sum(span.end - span.start for span in own) / len(own), name

    kept: list[Span] = []
    hidden = []
    for name in sorted(by_type, key=rank):
        if any(_clashes(span, kept) for span in by_type[name]):
            hidden.append(name)
        else:
            kept += by_type[name]
    return tuple(sorted(kept, key=lambda span: (span.start, span.type))), tuple(sorted(hidden))


def _clashes(span: Span, others: Sequence[Span]) -> bool:
    return any(
        span.start < other.end
        and other.start < span.end
        and (span.start, span.end) != (other.start, other.end)
        for other in others
    )
