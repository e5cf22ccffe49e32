"""Results files: one JSON file an experiment, written once complete and kept as long as it holds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

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
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def holds(folder: Path, name: str, identity: dict[str, Any]) -> bool:
    """Whether the file is there and of the same weights, data, settings and way of scoring."""
    kept = read(folder, name)
    return kept is not None and kept.get("identity") == json.loads(json.dumps(identity))


def write(folder: Path, name: str, report: dict[str, Any]) -> Path:
    """Write a results file whole or not at all, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(rounded(report), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def rounded(value: Any) -> Any:
    """Return the value with floats cut to six significant digits: no file needs more."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {str(key): rounded(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(own) for own in value]
    return value
