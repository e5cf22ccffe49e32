"""What to ask of a training row: which types, present and absent, and in which variant of the text."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modeling.template import Mention


@dataclass(frozen=True)
class Query:
    """Types to ask for in a text, and the mentions that answer."""

    types: tuple[str, ...]
    text: str
    mentions: tuple[Mention, ...]


@dataclass(frozen=True)
class Inventory:
    """What is known of one source of rows.

    ``types`` is its whole inventory (absent where not annotated, if the source is closed); ``coarse`` maps
    a fine type to its coarse one, for sources that have both.
    """

    types: tuple[str, ...] = ()
    coarse: Mapping[str, str] = field(default_factory=dict)


@dataclass
class QuerySampler:
    """Draws a query for a row, differently each time.

    Args:
        inventories: by source name. A row of an unknown source is asked for its own types only.
        full_list_rate: how often all types of the source are asked at once, as a benchmark does.
        max_types: the most types of one query.
        few_negatives: otherwise the number of absent types is uniform in 0..few_negatives.
        coarse_rate: how often fine types are replaced by their coarse ones.
        lower_rate: how often the text is lower-cased.
        drop_rate: how often each present type is left out of the query, so that not everything that
            could be a mention is asked for.
    """

    inventories: Mapping[str, Inventory] = field(default_factory=dict)
    full_list_rate: float = 0.33
    max_types: int = 40
    few_negatives: int = 8
    coarse_rate: float = 0.3
    lower_rate: float = 0.2
    drop_rate: float = 0.1

    def __call__(self, row: Mapping[str, Any], rng: random.Random) -> Query:
        inventory = self.inventories.get(row.get("source", ""), Inventory())
        rename = inventory.coarse if inventory.coarse and rng.random() < self.coarse_rate else {}
        text, entities = row["text"], row["entities"]
        if rng.random() < self.lower_rate and len(text.lower()) == len(text):
            text = text.lower()
        mentions = {
            Mention(e["start"], e["end"], rename.get(e["type"], e["type"]), text[e["start"] : e["end"]])
            for e in entities
        }
        present = sorted({m.type for m in mentions})
        also = {rename.get(name, name) for e in entities for name in (e.get("also") or ())}
        absent = self._absent(row, inventory, rename, {*present, *also})
        types = self._choose(present, absent, rng)
        kept = tuple(sorted(m for m in mentions if m.type in set(types)))
        return Query(tuple(types), text, kept)

    def _absent(
        self, row: Mapping[str, Any], inventory: Inventory, rename: Mapping[str, str], known: set[str]
    ) -> list[str]:
        """Return the types that are reliably absent from this row, sorted."""
        pool: Sequence[str] = row.get("types") or (
            inventory.types if row.get("negatives") == "closed" else ()
        )
        return sorted({rename.get(name, name) for name in pool} - known)

    def _choose(self, present: list[str], absent: list[str], rng: random.Random) -> list[str]:
        positives = [name for name in present if rng.random() >= self.drop_rate]
        count = len(absent) if rng.random() < self.full_list_rate else rng.randint(0, self.few_negatives)
        rng.shuffle(positives)
        positives = positives[: self.max_types]
        count = min(count, len(absent), self.max_types - len(positives))
        types = positives + rng.sample(absent, count)
        if not types:  # every type was left out and nothing absent is known: ask for something after all
            types = rng.sample(present or absent, 1)
        rng.shuffle(types)
        return types
