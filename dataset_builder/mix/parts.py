"""One source of the mix on its way to the files: its rows as they are written, and what the report says."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dataset_builder.mix.detokenize import render
from dataset_builder.mix.filters import Tally
from dataset_builder.mix.hashing import stable_hash
from dataset_builder.mix.labels import LabelTable
from dataset_builder.mix.sources import Sentence, Source


class Part(Protocol):
    """What :func:`write.write_mix` needs of one source."""

    tally: Tally
    rows_in: int
    mentions_in: int

    @property
    def name(self) -> str:
        """Value of the ``source`` column."""
        ...

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def describe(self, types: Mapping[str, int]) -> dict[str, Any]:
        """The entry of ``sources.json``.

        Args:
            types: mentions of each type, coarser levels included.
        """
        ...

    def render(self, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each row as it is written, behind the name of its group."""
        ...


@dataclass
class TokenPart:
    """The rows of a tokenised source after filtering."""

    source: Source
    table: LabelTable
    tally: Tally
    rows_in: int = 0
    mentions_in: int = 0
    rows: list[Sentence] = field(default_factory=list)
    related: dict[str, list[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """See :class:`Part`."""
        return self.source.name

    def __len__(self) -> int:
        return len(self.rows)

    def describe(self, types: Mapping[str, int]) -> dict[str, Any]:
        """See :class:`Part`."""
        return {
            "origin": self.source.origin,
            "licence": self.source.licence,
            "weight": self.source.weight,
            "rows": len(self.rows),
            "exhaustive": self.source.exhaustive,
            "types": sorted(types),
            "coarse": {fine: coarse for fine, coarse in self.table.coarse.items() if fine in types},
            "related": self.related,
        }

    def render(self, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """See :class:`Part`."""
        frequency = type_counts(self.rows)
        for row in self.rows:
            yield row.group, render_row(row, self.source, seed, frequency)


def type_counts(rows: Sequence[Sentence]) -> Counter[str]:
    """Mentions of each type in a source's rows."""
    return Counter(name for row in rows for span in row.spans for name in (span.type, *span.also))


def render_row(row: Sentence, source: Source, seed: int, frequency: Mapping[str, int]) -> dict[str, Any]:
    """One row as it is written; every second one (by id) is spaced as people write, the others as tokens.

    Args:
        frequency: mentions of each type in the source: its inventory, and of a mention with levels the rarer
            type is the finer one.
    """
    natural = stable_hash(f"{seed}:style:{row.id}") % 2 == 0
    text, offsets = render(row.tokens, natural, source.split_words)
    entities = []
    for span in row.spans:
        start, end = offsets[span.start][0], offsets[span.end - 1][1]
        while end - start > 1 and text[end - 1] in ",;:":
            end -= 1
        name, also = span.type, span.also
        if source.levels:
            name, *rest = sorted((name, *also), key=lambda level: (frequency[level], -len(level), level))
            also = tuple(rest)
        entity: dict[str, Any] = {"type": name, "text": text[start:end], "start": start, "end": end}
        if also:
            entity["also"] = list(also)
            if source.levels:
                entity["levels"] = [name, *also]
        entities.append(entity)
    closed = source.closed and not row.hidden
    result: dict[str, Any] = {"id": row.id, "source": source.name, "text": text, "entities": entities}
    result["negatives"] = "closed" if closed else "listed"
    if not closed:
        present = {name for span in row.spans for name in (span.type, *span.also)}
        absent = set(frequency) - present - set(row.hidden) if source.closed else set(row.types)
        result["types"] = sorted(absent)
    result["exhaustive"] = source.exhaustive
    return result
