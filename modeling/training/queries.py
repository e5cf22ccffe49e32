"""What to ask of a training row: which types, present and absent, and in which variant of the text."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..canvas.template import Mention
from .sampler_key import fraction


@dataclass(frozen=True)
class Query:
    """Types to ask for in a text, and the mentions that answer.

    ``exhaustive`` is False if words outside the mentions may be mentions too.
    """

    types: tuple[str, ...]
    text: str
    mentions: tuple[Mention, ...]
    exhaustive: bool = True


@dataclass(frozen=True)
class Extent:
    """How much to ask: all types of the source (``full_list``), or so many absent ones at most."""

    full_list: bool
    negatives: int = 0


@dataclass(frozen=True)
class Inventory:
    """What is known of one source of rows.

    ``types`` is its whole inventory (absent where not annotated, if the source is closed); ``coarse`` maps
    a fine type to its coarse one; ``related`` maps a type to those that may hold the same mentions, which
    are no reliable negatives beside it.
    """

    types: tuple[str, ...] = ()
    coarse: Mapping[str, str] = field(default_factory=dict)
    related: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass
class QuerySampler:
    """Draws a query for a row, differently each time.

    A mention answers by one of its own types if that is asked for, else by a coarse type if that is:
    "person" covers the politicians where nobody asks for politicians.

    Args:
        inventories: by source name. A row of an unknown source is asked for its own types only.
        full_list_rate: how often all types of the source are asked at once, as a benchmark does.
        max_types: the most types of one query.
        few_negatives: otherwise the number of absent types is uniform in 0..few_negatives.
        coarse_rate: how often a present type is asked for by its coarse name.
        both_rate: how often it is asked for by both names, as most type lists have it: then the fine one
            answers ("politician" beside "person").
        lower_rate: how often the text is lower-cased.
        drop_rate: how often each present type is left out of the query, so that not everything that
            could be a mention is asked for.
    """

    inventories: Mapping[str, Inventory] = field(default_factory=dict)
    full_list_rate: float = 0.33
    max_types: int = 40
    few_negatives: int = 8
    coarse_rate: float = 0.2
    both_rate: float = 0.1
    lower_rate: float = 0.2
    drop_rate: float = 0.1

    def extent(self, seed: int) -> Extent:
        """Return how much to ask in the use of a row that has this seed (see ``training.lengths``)."""
        few = int(fraction(seed, 1) * (self.few_negatives + 1))
        return Extent(fraction(seed, 0) < self.full_list_rate, few)

    def __call__(self, row: Mapping[str, Any], rng: random.Random, extent: Extent) -> Query:
        """Return a query for ``{"source", "text", "entities", "negatives", "types"}``.

        Raises:
            ValueError: nothing can be asked of the row.
        """
        inventory = self.inventories.get(row.get("source", ""), Inventory())
        text = row["text"]
        if rng.random() < self.lower_rate and len(text.lower()) == len(text):
            text = text.lower()
        named = [(e, rng.choice([e["type"], *(e.get("also") or ())])) for e in row["entities"]]
        present = sorted({name for _, name in named})
        known = {*present, *(n for e, _ in named for n in (e["type"], *(e.get("also") or ())))}
        positives = self._positives(present, inventory, rng)
        room = self.max_types - len(positives)
        negatives = self._negatives(row, inventory, known, room, extent, rng)
        types = positives + negatives or present[:1]
        if not types:
            raise ValueError(
                f"row {row.get('id', '?')!r} of source {row.get('source')!r} has no entity and no type known "
                "to be absent, so nothing can be asked of it; give it negative types or leave it out"
            )
        rng.shuffle(types)
        asked = set(types)
        mentions = set()
        for entity, name in named:
            names = [name, entity["type"], *(entity.get("also") or ())]
            coarse = [inventory.coarse[fine] for fine in names if fine in inventory.coarse]
            label = next((answer for answer in names + coarse if answer in asked), None)
            if label is not None:
                start, end = entity["start"], entity["end"]
                mentions.add(Mention(start, end, label, text[start:end]))
        return Query(tuple(types), text, tuple(sorted(mentions)), row.get("exhaustive") is not False)

    def _positives(self, present: list[str], inventory: Inventory, rng: random.Random) -> list[str]:
        asked: dict[str, None] = {}
        for name in present:
            draw, coarse = rng.random(), inventory.coarse.get(name)
            if coarse is not None and draw < self.coarse_rate + self.both_rate:
                asked[coarse] = None
                if draw < self.coarse_rate:
                    continue
            if rng.random() >= self.drop_rate:
                asked[name] = None
        names = list(asked)
        rng.shuffle(names)
        return names[: self.max_types]

    def _negatives(
        self,
        row: Mapping[str, Any],
        inventory: Inventory,
        known: set[str],
        room: int,
        extent: Extent,
        rng: random.Random,
    ) -> list[str]:
        """Return types that are reliably absent from this row, in random order."""
        closed = row.get("negatives") == "closed"
        pool = set(row.get("types") or (inventory.types if closed else ()))
        if closed:
            pool |= set(inventory.coarse.values())
        near = {n for name in known for n in inventory.related.get(name, ())}
        near |= {inventory.coarse[name] for name in known if name in inventory.coarse}
        absent = sorted(pool - known - near)
        # A coarse name stands for its fine types: it is absent only if they are.
        count = len(absent) if extent.full_list else extent.negatives
        if room == self.max_types:  # nothing present is asked for: ask for one absent type at least
            count = max(count, 1)
        return rng.sample(absent, min(count, len(absent), room))
