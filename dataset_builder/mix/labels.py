"""Natural names for the labels of the sets: ``label_map.json`` first, then the table ``labels.yaml``."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from dataset_builder.mix.filters import Tally
from dataset_builder.mix.sources import PILE, SOURCES, Sentence, Source


@dataclass(frozen=True)
class LabelTable:
    """The label table of one source; see the head of ``labels.yaml`` for the fields."""

    label_map: Mapping[str, str] = field(default_factory=dict)
    swap: tuple[tuple[str, str], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    drop: frozenset[str] = frozenset()
    coarse: Mapping[str, str] = field(default_factory=dict)
    drop_below: int = 0

    def natural(self, label: str) -> str | None:
        """The natural name of a label of the file, or ``None`` if the label is dropped."""
        for one, other in self.swap:
            if label in (one, other):
                label = other if label == one else one
                break
        label = self.label_map.get(label, label)
        return None if label in self.drop else self.names.get(label, label)

    def apply(self, sentences: Iterable[Sentence], tally: Tally) -> list[Sentence]:
        """Rename every mention's label; mentions of dropped or rare labels go, and are counted."""
        kept = list(sentences)
        frequency = Counter(self.natural(span.type) for sentence in kept for span in sentence.spans)
        renamed = []
        for sentence in kept:
            spans = []
            for span in sentence.spans:
                name = self.natural(span.type)
                mention = " ".join(sentence.tokens[span.start : span.end])
                if name is None:
                    tally.add("mention: label is dropped", f"{span.type}: {mention}")
                elif frequency[name] < self.drop_below:
                    tally.add("mention: label is rare", f"{span.type}: {mention}")
                else:
                    spans.append(replace(span, type=name))
            renamed.append(sentence.with_spans(tuple(spans)))
        return renamed


def load_tables(label_map_file: Path, sources: Iterable[Source]) -> dict[str, LabelTable]:
    """Read the table of every source.

    Raises:
        ValueError: a source asks for a key that ``label_map_file`` lacks, or ``labels.yaml`` names an unknown
            source or field.
    """
    label_maps: dict[str, dict[str, str]] = json.loads(label_map_file.read_text(encoding="utf-8"))
    text = resources.files(__package__).joinpath("labels.yaml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = yaml.safe_load(text)
    strangers = sorted(set(entries) - {source.name for source in (PILE, *SOURCES)})
    if strangers:
        raise ValueError(f"labels.yaml names sources that are not in the mix: {strangers}")
    tables = {}
    for source in sources:
        if source.label_map is not None and source.label_map not in label_maps:
            raise ValueError(f"{label_map_file} has no {source.label_map!r}, which {source.name} needs")
        entry = entries.get(source.name, {})
        unknown = set(entry) - {"swap", "names", "drop", "coarse", "drop_below"}
        if unknown:
            raise ValueError(f"labels.yaml, {source.name}: unknown fields {sorted(unknown)}")
        tables[source.name] = LabelTable(
            label_map=label_maps[source.label_map] if source.label_map else {},
            swap=tuple((one, other) for one, other in entry.get("swap", [])),
            names=entry.get("names", {}),
            drop=frozenset(entry.get("drop", [])),
            coarse=entry.get("coarse", {}),
            drop_below=entry.get("drop_below", 0),
        )
    return tables
