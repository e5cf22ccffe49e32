"""What to ask of a training row: which types, present and absent, and in which variant of the text."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..canvas.template import Mention
from .sampler import fraction

FINEST, GENERAL, ANY = "finest", "general", "any"  # levels of the type names of a mention


def names_of(entity: Mapping[str, Any]) -> list[str]:
    """Return the type names of an entity, the finest first; none if it has no levels."""
    return list(dict.fromkeys(entity.get("levels") or ()))


def has_levels(row: Mapping[str, Any]) -> bool:
    """Whether the entities of a row have levels."""
    return any(names_of(entity) for entity in row["entities"])


def plural(name: str) -> str:
    """Return the plural of a type name as users write it; a name without a regular one stays."""
    if not name[-1:].isalpha() or not name.isascii() or name[-1] in "sS":
        return name
    if name[-1] == "y" and name[-2:-1] not in "aeiou":
        return name[:-1] + "ies"
    return name + ("es" if name.endswith(("x", "z", "ch", "sh")) else "s")


@dataclass(frozen=True)
class LevelSampler:
    """Draws which names of a row's mentions to ask for, and how to write them.

    A query has one mode for all its mentions: their most general names, their finest, or any level of each.

    Args:
        general_rate: how often the most general names are asked for.
        finest_rate: how often the finest are; else any level, of each mention by itself.
        other_rate: how often another level of a mention is asked for beside the one of the mode.
        drop_rate: how often each name is left out.
        absent_alone_rate: of queries for one type alone, how often it is an absent one.
        plural_rate: how often a name is asked for in the plural.

    Raises:
        ValueError: a rate is not in [0, 1], or the two modes' rates add up to more than 1.
    """

    general_rate: float = 0.25
    finest_rate: float = 0.30
    other_rate: float = 0.30
    drop_rate: float = 0.1
    absent_alone_rate: float = 0.4
    plural_rate: float = 0.05

    def __post_init__(self) -> None:
        for name, rate in vars(self).items():
            if not 0 <= rate <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {rate}")
        if self.general_rate + self.finest_rate > 1:
            raise ValueError(
                f"general_rate and finest_rate must add up to 1 at most, got {self.general_rate} and "
                f"{self.finest_rate}"
            )

    def present(self, entities: Sequence[Mapping[str, Any]], rng: random.Random) -> list[str]:
        """Return names of the entities to ask for, in random order."""
        draw = rng.random()
        mode = GENERAL if draw < self.general_rate else ANY
        if self.general_rate <= draw < self.general_rate + self.finest_rate:
            mode = FINEST
        asked: dict[str, str] = {}  # the first spelling of each name, whatever its letter case
        for levels in filter(None, map(names_of, entities)):
            number = {FINEST: 0, GENERAL: len(levels) - 1, ANY: rng.randrange(len(levels))}[mode]
            chosen = [levels.pop(number)]
            if levels and rng.random() < self.other_rate:
                chosen.append(rng.choice(levels))
            for name in chosen:
                asked.setdefault(name.casefold(), name)
        kept = [name for name in asked.values() if rng.random() >= self.drop_rate]
        rng.shuffle(kept)
        return kept

    def alone(
        self, entities: Sequence[Mapping[str, Any]], absent: Sequence[str], rng: random.Random
    ) -> list[str]:
        """Return one name to ask for alone: of an entity, or an absent one."""
        if absent and rng.random() < self.absent_alone_rate:
            return [rng.choice(absent)]
        return [rng.choice(names_of(rng.choice([e for e in entities if names_of(e)])))]

    def written(self, names: Sequence[str], taken: Iterable[str], rng: random.Random) -> dict[str, str]:
        """Return how each name (its key is casefolded) is written in the query, no two alike.

        Args:
            names: to ask for.
            taken: names that no other one may be written as.
            rng: of the draws.
        """
        used = {name.casefold() for name in [*names, *taken]}
        written = {}
        for name in names:
            several = plural(name)
            if rng.random() >= self.plural_rate or several.casefold() in used:
                several = name
            used.add(several.casefold())
            written[name.casefold()] = several
        return written

    def chances(self, entities: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Return how probably ``present`` asks for each name of the entities."""
        left = {GENERAL: self.general_rate, FINEST: self.finest_rate}
        left[ANY] = 1 - self.general_rate - self.finest_rate
        found: dict[str, float] = {}
        for mode, rate in left.items():
            missed: dict[str, float] = {}
            for levels in filter(None, map(names_of, entities)):
                for name, chance in self._of_mention(levels, mode):
                    missed[name] = missed.get(name, 1.0) * (1 - chance)
            for name, chance in missed.items():
                found[name] = found.get(name, 0.0) + rate * (1 - chance) * (1 - self.drop_rate)
        return found

    def _of_mention(self, levels: Sequence[str], mode: str) -> Iterator[tuple[str, float]]:
        """Yield how probably one mention asks for each of its names in a mode."""
        count = len(levels)
        for number, name in enumerate(levels):
            chosen = {FINEST: float(number == 0), GENERAL: float(number == count - 1), ANY: 1 / count}[mode]
            other = self.other_rate * (1 - chosen) / (count - 1) if count > 1 else 0.0
            yield name, chosen + other


def finest_asked(entity: Mapping[str, Any], asked: Mapping[str, str]) -> str | None:
    """Return how the finest name of the entity that is asked for is written; None if none is.

    ``asked`` is what ``LevelSampler.written`` returns.
    """
    folded = (name.casefold() for name in names_of(entity))
    return next((asked[name] for name in folded if name in asked), None)


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
    """How much to ask: all types of the source (``full_list``), or so many absent ones at most.

    Of a row with levels, which lists absent types of its own, ``full_list`` asks for ``many`` of them, and
    ``alone`` for one type and no other.
    """

    full_list: bool
    negatives: int = 0
    many: int = 0
    alone: bool = False


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
    "person" covers the politicians where nobody asks for politicians. Of a row whose entities have levels
    (see ``LevelSampler``), it answers by the finest of its names that is asked for.

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
        alone_rate: of rows with levels, how often one type alone is asked for (never where many are).
        many_negatives: of rows with levels, the least and the most absent types where ``full_list_rate`` asks
            for many.
        levels: draws the names of rows with levels.
    """

    inventories: Mapping[str, Inventory] = field(default_factory=dict)
    full_list_rate: float = 0.33
    max_types: int = 40
    few_negatives: int = 8
    coarse_rate: float = 0.2
    both_rate: float = 0.1
    lower_rate: float = 0.2
    drop_rate: float = 0.1
    alone_rate: float = 0.1
    many_negatives: tuple[int, int] = (8, 30)
    levels: LevelSampler = field(default_factory=LevelSampler)

    def extent(self, seed: int) -> Extent:
        """Return how much to ask in the use of a row that has this seed (see ``training.lengths``)."""
        few = int(fraction(seed, 1) * (self.few_negatives + 1))
        least, most = self.many_negatives
        many = least + int(fraction(seed, 1) * (most + 1 - least))
        draw = fraction(seed, 0)
        full_list = draw < self.full_list_rate
        return Extent(full_list, few, many, not full_list and draw >= 1 - self.alone_rate)

    def __call__(self, row: Mapping[str, Any], rng: random.Random, extent: Extent) -> Query:
        """Return a query for ``{"source", "text", "entities", "negatives", "types"}``.

        Raises:
            ValueError: nothing can be asked of the row.
        """
        inventory = self.inventories.get(row.get("source", ""), Inventory())
        text = row["text"]
        if rng.random() < self.lower_rate and len(text.lower()) == len(text):
            text = text.lower()
        if has_levels(row):
            return self._of_levels(row, text, inventory, rng, extent)
        named = [(e, rng.choice([e["type"], *(e.get("also") or ())])) for e in row["entities"]]
        present = sorted({name for _, name in named})
        known = {*present, *(n for e, _ in named for n in (e["type"], *(e.get("also") or ())))}
        positives = self._positives(present, inventory, rng)
        left = self.max_types - len(positives)
        negatives = self._negatives(row, inventory, known, left, extent, rng)
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

    def _of_levels(
        self, row: Mapping[str, Any], text: str, inventory: Inventory, rng: random.Random, extent: Extent
    ) -> Query:
        """Return the query for a row with levels."""
        entities = row["entities"]
        known = {name for entity in entities for name in (*names_of(entity), *(entity.get("also") or ()))}
        near = {other for name in known for other in inventory.related.get(name, ())}
        folded = {name.casefold() for name in known | near}
        pool = row.get("types") or (inventory.types if row.get("negatives") == "closed" else ())
        listed = {name.casefold(): name for name in pool}
        absent = [name for key, name in listed.items() if key not in folded]
        if extent.alone:
            types = self.levels.alone(entities, absent, rng)
        else:
            types = self.levels.present(entities, rng)[: self.max_types]
            count = extent.many if extent.full_list else extent.negatives
            if not types:
                count = max(count, 1)
            types += rng.sample(absent, min(count, len(absent), self.max_types - len(types)))
            types = types or self.levels.alone(entities, absent, rng)
        written = self.levels.written(types, known, rng)
        asked = list(written.values())
        rng.shuffle(asked)
        mentions = set()
        for entity in entities:
            label = finest_asked(entity, written)
            if label is not None:
                start, end = entity["start"], entity["end"]
                mentions.add(Mention(start, end, label, text[start:end]))
        exhaustive = row.get("exhaustive") is not False
        return Query(tuple(asked), text, tuple(sorted(mentions)), exhaustive)

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
        left: int,
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
        if left == self.max_types:  # nothing present is asked for: ask for one absent type at least
            count = max(count, 1)
        return rng.sample(absent, min(count, len(absent), left))
