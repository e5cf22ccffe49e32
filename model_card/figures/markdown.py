"""Markdown for figures: tables, shares, where a figure comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset_builder.benchmarks import BENCHMARKS, source_of
from model_card.evidence.results import read


class NotMeasured(LookupError):
    """The results file of a figure is not there; the message is the command that makes it."""


def results_of(folder: Path, name: str) -> dict[str, Any]:
    """Return one results file.

    Raises:
        NotMeasured: there is none.
    """
    report = read(folder, name)
    if report is None:
        raise NotMeasured(f"experiment {name}")
    return report


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def cell(text: str) -> str:
    """Return text as one cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def points(value: float | None, digits: int = 1) -> str:
    """Return an F1 in [0, 1] as points, or that it was not measured."""
    return "not measured" if value is None else f"{100 * value:.{digits}f}"


def interval(low_high: Sequence[float], digits: int = 1, sign: str = "") -> str:
    """Return an interval in points: ``47.1 to 49.9``."""
    return " to ".join(f"{100 * bound:{sign}.{digits}f}" for bound in low_high)


def change(difference: Mapping[str, Any]) -> str:
    """Return a difference of F1 in points with its interval: ``+0.52 (-0.11 to +1.20)``."""
    return f"{100 * difference['f1_difference']:+.2f} ({interval(difference['interval'], 2, '+')})"


def sources(report: dict[str, Any]) -> str:
    """Return the machines and versions that the predictions of a results file come from."""
    told = []
    for entry in report["predicted"]:
        versions = ", ".join(f"{n} {entry['versions'][n]}" for n in ("torch", "transformers"))
        told.append(f"{entry['date']} on {entry['hardware']} in {entry['dtype']} ({versions})")
    predicted = f"Predicted {'; '.join(told)}. " if told else ""
    return f"{predicted}Scored by `{report['scored']['command']}`."


def origin(report: dict[str, Any]) -> str:
    """Return when, where and by which command a results file was measured."""
    told = report.get("scored", report)
    versions = ", ".join(f"{name} {told['versions'][name]}" for name in ("torch", "transformers"))
    return f"Measured {told['date']} on {told['hardware']} ({versions}) by `{told['command']}`."


def in_order(sets: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the entries of the test sets in the order of the published tables."""
    return [(name, sets[name]) for name in BENCHMARKS if name in sets]


def heads(*sets: Mapping[str, Any]) -> dict[str, str]:
    """Return the short titles of all test sets that any of these has, in order, by name."""
    return {name: short_title(name) for name in BENCHMARKS if any(name in own for own in sets)}


def short_title(name: str) -> str:
    """Return how a test set is called in tables: the last word of its title."""
    return source_of(name).title.split()[-1]
