"""The table of all faults: each row is written by the case that provokes it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from modeling import EntityExtractor
from tests.faults import checkpoints, corpora, inputs, machine
from tests.faults.case import Fault, Place

GROUPS: dict[str, list[Fault]] = {
    "texts and types": inputs.FAULTS,
    "checkpoints": checkpoints.FAULTS,
    "machines": machine.FAULTS,
    "corpora on Ray": corpora.FAULTS,
}
FILE = Path(__file__).resolve().parents[2] / "model_card" / "results" / "faults.json"


def committed() -> dict[tuple[str, str], dict[str, str]]:
    """Return the rows of the results file by group and fault."""
    report = json.loads(FILE.read_text(encoding="utf-8"))
    return {(group, row["fault"]): row for group, rows in report["groups"].items() for row in rows}


def rows() -> dict[str, list[dict[str, Any]]]:
    """Provoke every fault and return the rows of each group."""
    extractor = EntityExtractor.from_pretrained(device="cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        made: dict[str, list[dict[str, Any]]] = {}
        for group, faults in GROUPS.items():
            made[group] = []
            for number, fault in enumerate(faults):
                own = folder / f"{group}-{number}"
                own.mkdir()
                made[group].append(fault.row(Place(own, folder / "shared", extractor)))
        return made
