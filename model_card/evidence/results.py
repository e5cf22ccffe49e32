"""Results files: one JSON file an experiment, written once complete and kept as long as it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from model_card.evidence.files import read_json, write_json
from model_card.evidence.predictions import RUNS, slug

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "model_card" / "results"


def results_folder(model: str, limit: int | None = None, runs: Path = RUNS) -> Path:
    """Return where the results of a model go.

    Figures of a few sentences (``limit``) are no evidence: they stay among the runs.
    """
    return RESULTS / slug(model) if limit is None else runs / f"{slug(model)}-first-{limit}"


def read(folder: Path, name: str) -> dict[str, Any] | None:
    """Return one results file, or None if there is none."""
    return read_json(folder / f"{name}.json")


def holds(folder: Path, name: str, identity: dict[str, Any]) -> bool:
    """Whether the file is there and of the same weights, data, settings, device and way of scoring."""
    kept = read(folder, name)
    return kept is not None and kept.get("identity") == json.loads(json.dumps(identity))


def write(folder: Path, name: str, report: dict[str, Any]) -> Path:
    """Write a results file whole or not at all, and return its path."""
    return write_json(folder / f"{name}.json", report)
