"""What each part of the data recipe gives on the development sets."""

from __future__ import annotations

from typing import Any

from dataset_builder.benchmarks import source_of
from model_card.figures.markdown import points, table

BEFORE, REFERENCE = "before", "the mix as it is"


def recipe_table(report: dict[str, Any]) -> str:
    """Return F1 of each set after each row's steps, and how far its mean is from the reference's."""
    found = report["results"]
    sets = list(found[BEFORE]["sets"])
    own = found[REFERENCE]["mean"]
    rows = []
    for name, entry in found.items():
        gap = "" if name == REFERENCE else f"{round(100 * (entry['mean'] - own), 1) + 0.0:+.1f}"
        shown = "before these steps" if name == BEFORE else name
        scores = [points(entry["sets"][n]) for n in sets]
        rows.append([shown, *scores, f"**{points(entry['mean'])}**", gap])
    titles = [source_of(name).title.split()[-1] for name in sets]
    count = report["steps"]
    note = f"Each row: {count} small steps from the same weights, one run: small differences are chance."
    return "\n\n".join([table(["", *titles, "mean", "against the mix"], rows), note])
