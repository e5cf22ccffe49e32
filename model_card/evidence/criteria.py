"""The success criteria of the project, checked against the results files: met, not met or not measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_card.evidence.results import RESULTS, read

MET, NOT_MET, NOT_MEASURED = "met", "not met", "not measured"
UNINER = "UniNER-7B-type"
MARGINS = (5.0, 2.0, 0.0)  # points of F1: minimum, target, stretch
ENOUGH_SETS = 4
FASTER = 2.0


@dataclass(frozen=True)
class Criterion:
    """One criterion: what it asks, how it came out, and the figures that say so."""

    name: str
    status: str
    why: str


def check(results: Path) -> list[Criterion]:
    """Return every criterion for the model whose results files are in this folder."""
    main, pareto, doubt = (read(results, name) for name in ("main", "pareto", "uncertainty"))
    return [
        *_near_uniner(main),
        *_more_steps(main),
        _faster(pareto),
        _uncertainty(doubt),
        _dominates(pareto),
    ]


def _criterion(name: str, holds: bool, why: str) -> Criterion:
    return Criterion(name, MET if holds else NOT_MET, why)


def _near_uniner(main: dict[str, Any] | None) -> Iterator[Criterion]:
    gap, why = None, f"needs main.json and answers of {UNINER} or its published figure"
    if main is not None and main["limit"] is None:
        row = main["results"]["settings"][main["results"]["headline"]]
        measured = main["results"]["baselines"].get(UNINER.lower())
        if measured is not None and set(measured["sets"]) == set(row["sets"]):
            gap = 100 * measured["against"]["f1_difference"]
            why = f"strict, both measured here: {gap:+.1f}"
        else:
            anchors = json.loads((RESULTS / "anchors.json").read_text(encoding="utf-8"))
            gap = 100 * row["means"]["uniner"] - anchors["models"][UNINER]["mean"]
            why = f"by UniNER's script against its published mean: {gap:+.1f}"
    for margin in MARGINS:
        name = f"within {margin:g} F1 of {UNINER}" if margin else f"at least the F1 of {UNINER}"
        yield Criterion(name, NOT_MEASURED, why) if gap is None else _criterion(name, gap >= -margin, why)


def _more_steps(main: dict[str, Any] | None) -> Iterator[Criterion]:
    if main is None:
        yield Criterion(
            f"more steps beat one on at least {ENOUGH_SETS} sets", NOT_MEASURED, "needs main.json"
        )
        return
    for canvas, steps in main["results"]["steps"].items():
        low, high = (100 * bound for bound in steps["mean"]["interval"])
        better, surely = steps["better_on"], steps["better_beyond_chance_on"]
        yield _criterion(
            f"T=8 beats T=1 on at least {ENOUGH_SETS} of {len(steps['sets'])} sets, {canvas} canvas",
            better >= ENOUGH_SETS,
            f"better on {better}, beyond chance on {surely}; mean "
            f"{100 * steps['mean']['f1_difference']:+.2f} (95% interval {low:+.2f} to {high:+.2f})",
        )


def _rival(pareto: dict[str, Any] | None) -> tuple[str, dict[str, Any]] | None:
    """Return UniNER's point, if it was measured on the machine that the model was measured on."""
    if pareto is None:
        return None
    hardware = {point.get("hardware") for point in pareto["results"]["points"].values()}
    point = pareto["results"]["baselines"].get(UNINER.lower())
    return None if point is None or {point["hardware"]} != hardware else (UNINER, point)


def _faster(pareto: dict[str, Any] | None) -> Criterion:
    name = f"at least {FASTER:g} times as fast as {UNINER} on vLLM"
    rival = _rival(pareto)
    if pareto is None or rival is None:
        return Criterion(name, NOT_MEASURED, f"needs pareto.json with {UNINER} timed on the same machine")
    best = max(pareto["results"]["points"].items(), key=lambda item: item[1]["f1"])
    ratio = rival[1]["seconds_per_sentence"] / best[1]["seconds_per_sentence"]
    return _criterion(name, ratio >= FASTER, f"{ratio:.1f} times, {best[0]} (the setting of the highest F1)")


def _uncertainty(report: dict[str, Any] | None) -> Criterion:
    name = "uncertainty tells right answers from wrong ones"
    figures = None if report is None else report["results"]["all"]["agreement"]
    if figures is None or "auroc" not in figures:
        return Criterion(name, NOT_MEASURED, "needs uncertainty.json")
    low, high = figures["auroc_interval"]
    return _criterion(
        name,
        low > 0.5,
        f"AUROC of the agreement of runs {figures['auroc']:.3f} (95% interval {low:.3f} to {high:.3f}), "
        f"correlation with correctness {figures['correlation']:.2f}",
    )


def _dominates(pareto: dict[str, Any] | None) -> Criterion:
    name = f"a setting both better and faster than {UNINER}"
    rival = _rival(pareto)
    if pareto is None or rival is None:
        return Criterion(name, NOT_MEASURED, f"needs pareto.json with {UNINER} timed on the same machine")
    found = [
        setting
        for setting, point in pareto["results"]["points"].items()
        if point["f1"] > rival[1]["f1"] and point["seconds_per_sentence"] < rival[1]["seconds_per_sentence"]
    ]
    return _criterion(name, bool(found), "; ".join(found) or "none")
