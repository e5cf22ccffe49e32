"""Passages with open types as sources of the mix: one for each genre, and one for all written passages."""

import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset_builder.mix.filters import Tally
from dataset_builder.mix.further import FURTHER
from dataset_builder.mix.hashing import normalize_text
from dataset_builder.mix.parts import TokenPart
from dataset_builder.mix.sources import PILE, SOURCES, allows_commercial_use
from dataset_builder.mix.write import in_validation
from dataset_builder.open_types.absent import AbsentTypes
from dataset_builder.open_types.cutting import cut_long
from dataset_builder.open_types.layers import join, read_layers
from dataset_builder.open_types.passage import Passage
from dataset_builder.open_types.texts import BOOKS, TEXTBOOKS, TextFolders
from dataset_builder.open_types.written import read_written

WRITTEN = "open_written"
_WRITTEN_LICENCE = "CC BY 4.0"
LICENCES = {
    **{source.name: source.licence for source in (PILE, *SOURCES, *FURTHER)},
    "": _WRITTEN_LICENCE,
    BOOKS: "public domain",
    TEXTBOOKS: "CC BY 4.0 and CC BY-NC-SA 4.0",
}


@dataclass
class OpenPart:
    """The passages of one genre whose texts are under licences of one kind."""

    name: str
    origin: str
    licence: str
    absent: AbsentTypes
    tally: Tally = field(default_factory=Tally)
    rows_in: int = 0
    mentions_in: int = 0
    passages: list[Passage] = field(default_factory=list)
    weight: float = 1.0

    def __len__(self) -> int:
        return len(self.passages)

    def describe(self, types: Mapping[str, int]) -> dict[str, Any]:
        """See :class:`parts.Part`."""
        return {
            "origin": self.origin,
            "licence": self.licence,
            "weight": self.weight,
            "rows": len(self.passages),
            "exhaustive": True,
            "types": sorted(types),
            "coarse": {},
            "related": {},
        }

    def render(self, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """See :class:`parts.Part`."""
        for passage in self.passages:
            yield group_of(passage), render_passage(passage, self.name, self.absent, seed)


def group_of(passage: Passage) -> str:
    """What stays together with a passage in one split: rows of the same text or the same longer passage."""
    return passage.group or normalize_text(passage.text)


def render_passage(passage: Passage, source: str, absent: AbsentTypes, seed: int) -> dict[str, Any]:
    """One row as it is written, with its absent types."""
    entities = [
        {
            "type": mention.types[0],
            "levels": list(mention.types),
            "text": passage.text[mention.start : mention.end],
            "start": mention.start,
            "end": mention.end,
        }
        for mention in passage.mentions
    ]
    return {
        "id": f"open-{passage.id}",
        "source": source,
        "text": passage.text,
        "entities": entities,
        "negatives": "listed",
        "types": absent.sample(passage, f"{seed}:absent:{passage.id}"),
        "exhaustive": True,
    }


def prepare_open(folder: Path, texts: TextFolders) -> list[OpenPart]:
    """Read the passages of a folder into sources.

    Sources are named ``open_<genre>``, and ``open_<genre>_restricted`` where a licence of the texts does not
    allow commercial use or was not verified; written passages are ``open_written``. Layers whose text is not
    in ``texts`` are left out, with a warning for each source.

    Args:
        folder: ``written/`` and ``layers/``.
        texts: where the texts of the layers are.

    Raises:
        FileNotFoundError, ValueError: a folder lacks a file, or one is not in its form.
    """
    joined = join(read_layers(folder / "layers"), texts)
    for line in joined.report():
        warnings.warn(f"open types: {line}", stacklevel=2)
    whole = [*read_written(folder / "written"), *joined.passages]
    passages = [window for passage in whole for window in cut_long(passage)]
    absent = AbsentTypes(passages)
    found: dict[str, list[Passage]] = defaultdict(list)
    for passage in passages:
        found[_source_name(passage)].append(passage)
    parts = []
    for name, own in found.items():
        origins = list(dict.fromkeys(passage.origin for passage in own))
        licences = list(dict.fromkeys(part for o in origins for part in LICENCES[o].split(" and ")))
        part = OpenPart(
            name,
            "written for this project" if name == WRITTEN else f"texts of {', '.join(sorted(origins))}",
            " and ".join(sorted(licences)),
            absent,
            rows_in=len(own),
            mentions_in=sum(len(passage.mentions) for passage in own),
            passages=own,
        )
        parts.append(part)
    return parts


def set_open_share(
    opened: Sequence[OpenPart], others: Sequence[TokenPart], share: float, seed: int, validation: float
) -> None:
    """Set one weight for all passages with open types, so that they are ``share`` of the drawn rows.

    Raises:
        ValueError: there are no other rows, so that no weight gives a share below 1.
    """

    def trained(groups: Iterator[str]) -> int:
        return sum(not in_validation(group, seed, validation) for group in groups)

    count = sum(trained(map(group_of, part.passages)) for part in opened)
    if not count:
        return
    total = sum(part.source.weight * trained(row.group for row in part.rows) for part in others)
    if not total:
        raise ValueError(f"open_share is {share}, but every row for training has open types")
    for part in opened:
        part.weight = round(share / (1 - share) * total / count, 4)


def _source_name(passage: Passage) -> str:
    if not passage.origin:
        return WRITTEN
    free = allows_commercial_use(LICENCES[passage.origin])
    return f"open_{passage.genre}" + ("" if free else "_restricted")
