"""The rows of the ablations, read from their YAML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from model_card.evidence.setting import Setting, default_setting
from modeling.custom_generate.config import ADAPTIVE_STEPS

FILE = Path(__file__).parent / "ablations.yaml"

Sources = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class TrainingRow:
    """One training run that differs from the first row in one thing.

    Attributes:
        name: for tables.
        flags: of ``train_sft.py``.
        without: sources left out.
        only: the sources that stay; empty: all.
        weight: source -> how many times as often its rows are drawn.
        coarse: sources whose coarse names are emptied.
    """

    name: str
    flags: Sequence[str] = ()
    without: Sequence[str] = ()
    only: Sequence[str] = ()
    weight: Mapping[str, float] = field(default_factory=dict)
    coarse: Sequence[str] = ()

    def change(self, sources: Sources) -> Sources:
        """Return the sources of a mix as this row has them, those left out missing.

        Raises:
            ValueError: the mix has no source of a name.
        """
        for name in (*self.without, *self.only, *self.weight, *self.coarse):
            if name not in sources:
                raise ValueError(f"row {self.name!r}: the mix has no source {name!r}")
        changed = {}
        for name, entry in sources.items():
            if name in self.without or (self.only and name not in self.only):
                continue
            own = {**entry, "weight": entry["weight"] * self.weight.get(name, 1.0)}
            changed[name] = {**own, "coarse": {}} if name in self.coarse else own
        return changed


def decoding_rows(canvases: Sequence[str], path: Path = FILE) -> dict[str, dict[str, Setting]]:
    """Return the decoding rows: question -> row -> setting. The first question is the canvas."""
    found = {"canvas": {canvas: default_setting(canvas) for canvas in canvases}}
    for question, rows in _read(path)["decoding"].items():
        for canvas in canvases if "{canvas}" in question else canvases[:1]:
            found[question.format(canvas=canvas)] = {
                name: _setting({"canvas": canvas, **fields}) for name, fields in rows.items()
            }
    return found


def training_rows(path: Path = FILE) -> list[TrainingRow]:
    """Return the training rows in order."""
    return [TrainingRow(name, **fields) for name, fields in _read(path)["training"].items()]


def _setting(fields: dict[str, Any]) -> Setting:
    steps = fields.get("steps", ADAPTIVE_STEPS[fields["canvas"]])
    return Setting(**{**fields, "steps": steps})


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
