"""Tables of what the library was put through: faults that tests provoke, and fuzzing."""

from __future__ import annotations

from typing import Any

from model_card.tables.markdown import table


def fault_table(report: dict[str, Any]) -> str:
    """Return a table for each group of faults."""
    parts = []
    for group, rows in report["groups"].items():
        cells = [[_plain(row[key]) for key in ("fault", "done", "seen", "kept")] for row in rows]
        for row in cells:
            row[2] = f"`{row[2]}`" if "`" not in row[2] else row[2]
        head = ["fault", "what is done", "what the user sees", "nothing lost?"]
        parts.append(f"## {group[0].upper()}{group[1:]}\n\n{table(head, cells)}")
    return "\n\n".join(parts)


def fuzz_table(report: dict[str, Any]) -> str:
    """Return cases, time and crashes by target, and their sums."""
    rows = []
    for name, target in report["targets"].items():
        engines = target["engines"].values()
        rows.append(
            [
                name,
                target["holds"],
                f"{sum(e['cases'] for e in engines):,}",
                f"{sum(e['seconds'] for e in engines) / 60:.1f}",
                str(len(target["crashes"])),
            ]
        )
    cases = sum(e["cases"] for t in report["targets"].values() for e in t["engines"].values())
    seconds = sum(e["seconds"] for t in report["targets"].values() for e in t["engines"].values())
    crashes = sum(len(t["crashes"]) for t in report["targets"].values())
    rows.append(["**all**", "", f"**{cases:,}**", f"**{seconds / 60:.1f}**", f"**{crashes}**"])
    note = (
        f"{report['minutes']:g} minutes on {report['processes']} processes (core minutes in the table), "
        f"seed {report['seed']}. Inputs: {'; '.join(report['engines'].values())}."
    )
    return "\n\n".join([table(["target", "what must hold", "cases", "minutes", "crashes"], rows), note])


def _plain(text: str) -> str:
    """Return text as one cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")
