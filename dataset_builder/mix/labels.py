"""Natural names for the labels of the sets: ``label_map.json`` first, then the tables ``labels.yaml``
and ``further_labels.yaml``.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from dataset_builder.mix.filters import Tally
from dataset_builder.mix.further import FURTHER
from dataset_builder.mix.hashing import stable_hash
from dataset_builder.mix.sources import PILE, SOURCES, Sentence, Source

_FIELDS = frozenset(["swap", "names", "drop", "coarse", "drop_below", "seldom"])
_SELDOM = 4


@dataclass(frozen=True)
class LabelTable:
    """The label table of one source; see the head of ``labels.yaml`` for the fields."""

    label_map: Mapping[str, str] = field(default_factory=dict)
    swap: tuple[tuple[str, str], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    drop: frozenset[str] = frozenset()
    coarse: Mapping[str, str] = field(default_factory=dict)
    drop_below: int = 0
    seldom: frozenset[str] = frozenset()

    def natural(self, label: str) -> str | None:
        """The natural name of a label of the file, or ``None`` if the label is dropped."""
        for one, other in self.swap:
            if label in (one, other):
                label = other if label == one else one
                break
        label = self.label_map.get(label, label)
        return None if label in self.drop else self.names.get(label, label)

    def apply(self, sentences: Iterable[Sentence], tally: Tally) -> list[Sentence]:
        """Rename every mention's label; mentions of dropped or rare labels go, and are counted.

        Types of ``seldom`` stay in every fourth row; in the others they are hidden.
        """
        kept = list(sentences)
        frequency = Counter(self.natural(span.type) for sentence in kept for span in sentence.spans)
        renamed = []
        for sentence in kept:
            spans = []
            hidden = self._hidden(sentence)
            for span in sentence.spans:
                name = self.natural(span.type)
                mention = " ".join(sentence.tokens[span.start : span.end])
                if name is None:
                    tally.add("mention: label is dropped", f"{span.type}: {mention}")
                elif frequency[name] < self.drop_below:
                    tally.add("mention: label is rare", f"{span.type}: {mention}")
                elif name in hidden:
                    tally.counts["mention: type is kept in every fourth row only"] += 1
                else:
                    spans.append(replace(span, type=name))
            renamed.append(replace(sentence, spans=tuple(spans), hidden=tuple(sorted(hidden))))
        return renamed

    def _hidden(self, sentence: Sentence) -> frozenset[str]:
        return self.seldom if stable_hash(f"seldom:{sentence.id}") % _SELDOM else frozenset()


def load_tables(label_map_file: Path, sources: Iterable[Source]) -> dict[str, LabelTable]:
    """Read the table of every source.

    Raises:
        ValueError: a source asks for a key that ``label_map_file`` lacks, or ``labels.yaml`` names an unknown
            source or field.
    """
    label_maps: dict[str, dict[str, str]] = json.loads(label_map_file.read_text(encoding="utf-8"))
    entries: dict[str, dict[str, Any]] = {}
    for name, listed in (("labels.yaml", (PILE, *SOURCES)), ("further_labels.yaml", FURTHER)):
        text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
        read: dict[str, dict[str, Any]] = yaml.safe_load(text)
        strangers = sorted(set(read) - {source.name for source in listed})
        if strangers:
            raise ValueError(f"{name} names sources that are not in the mix: {strangers}")
        entries |= read
    tables = {}
    for source in sources:
        if source.label_map is not None and source.label_map not in label_maps:
            raise ValueError(f"{label_map_file} has no {source.label_map!r}, which {source.name} needs")
        entry = entries.get(source.name, {})
        unknown = set(entry) - _FIELDS
        if unknown:
            raise ValueError(f"label table of {source.name}: unknown fields {sorted(unknown)}")
        tables[source.name] = LabelTable(
            label_map=label_maps[source.label_map] if source.label_map else {},
            swap=tuple((one, other) for one, other in entry.get("swap", [])),
            names=entry.get("names", {}),
            drop=frozenset(entry.get("drop", [])),
            coarse=entry.get("coarse", {}),
            drop_below=entry.get("drop_below", 0),
            seldom=frozenset(entry.get("seldom", [])),
        )
    return tables
