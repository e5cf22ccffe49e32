"""Queries of rows whose mentions have type names at several levels, from the finest to the most general."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FINEST, GENERAL, ANY = "finest", "general", "any"


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
