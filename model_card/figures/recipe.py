"""What each part of the data recipe gives on the development sets."""

from __future__ import annotations

from pathlib import Path

from model_card.figures.markdown import origin, points, results_of, short_title, table

BEFORE, REFERENCE = "before", "the mix as it is"


def recipe(folder: Path) -> str:
    """F1 of each set after each row's steps, and how far its mean is from the reference's."""
    report = results_of(folder, "recipe")
    found = report["results"]
    sets = list(found[BEFORE]["sets"])
    own = found[REFERENCE]["mean"]
    rows = []
    for name, entry in found.items():
        gap = "" if name == REFERENCE else f"{round(100 * (entry['mean'] - own), 1) + 0.0:+.1f}"
        shown = "before these steps" if name == BEFORE else name
        scores = [points(entry["sets"][n]) for n in sets]
        rows.append([shown, *scores, f"**{points(entry['mean'])}**", gap])
    count = report["identity"]["steps"]
    note = f"Each row: {count} small steps from the same weights, one run: small differences are chance."
    return "\n\n".join(
        [table(["", *map(short_title, sets), "mean", "against the mix"], rows), note, origin(report)]
    )
