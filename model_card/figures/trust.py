"""Tables of what the library was put through: faults that tests provoke, and fuzzing."""

from __future__ import annotations

from typing import Any

from model_card.figures.markdown import cell, table

DRIFTING = ("torch", "transformers", "datasets", "peft", "trl")  # packages that change most, as shown


def fault_table(report: dict[str, Any]) -> str:
    """Return a table for each group of faults."""
    parts = []
    for group, rows in report["groups"].items():
        cells = [[cell(row[key]) for key in ("fault", "done", "seen", "kept")] for row in rows]
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


def scale_table(report: dict[str, Any]) -> str:
    """Return how fast and how large the annotation of a corpus ran, and what was found after the kills."""
    found = report["results"]
    rows = [
        ["extractor alone, one thread", _rate(found["alone_one_thread"]), "", ""],
        [f"extractor alone, {found['alone']['threads']} threads", _rate(found["alone"]), "", ""],
    ]
    for key, name in (("killed", "Ray until the driver was killed"), ("again", "the same command again")):
        run = found[key]
        memory = run["memory"]["all_mib"]
        spread = f"{memory['first_half'] / 1024:.2f} / {memory['second_half'] / 1024:.2f}"
        events = ", ".join(f"{e['killed']} at {e['parts']} parts" for e in run["events"])
        rows.append([name, _rate(run), spread, events])
    head = ["", "documents/s", "GiB in all, first / second half", "killed (SIGKILL)"]
    checked = "; ".join(line.strip() for line in found["check"]["printed"])
    size = f"{report['sentences']:,} documents in parts of {report['documents_per_part']:,}"
    note = f"{size}. The checker: {checked}."
    return "\n\n".join([table(head, rows), note])


def overhead_table(report: dict[str, Any]) -> str:
    """Return the rate of an extractor alone beside that of workers on Ray with the same network."""
    found = report["results"]
    alone = found["alone"]
    rows = [[f"extractor alone, torch's {alone['threads']} CPU threads", _rate(alone), ""]]
    for name, run in found.items():
        if name.endswith(" workers"):
            count = int(name.split()[0])
            workers = "one worker" if count == 1 else f"{count} workers"
            rows.append(
                [f"{workers} on Ray, one CPU thread each", _rate(run), f"{run['share_of_alone']:.0%}"]
            )
    note = (
        f"A network of {found['parameters'] / 1e9:.1f} billion parameters in Dream-7B's shape with random "
        f"weights, aligned canvas, one step, {len(report['labels'])} types, {report['sentences']:,} "
        f"benchmark sentences in parts of {report['documents_per_part']:,}; from the first part on, which "
        "warms up. That a worker is the faster one is the threads' doing or chance, one run each: what is "
        "shown is that Ray costs nothing here."
    )
    return "\n\n".join([table(["", "documents/s", "of alone"], rows), note])


def drift(report: dict[str, Any] | None) -> str:
    """Return with which versions the suite last passed outside the constraints, in one sentence.

    Args:
        report: what ``make drift`` wrote; None: it has not run to its end.
    """
    if report is None:
        return "`make drift` has not been seen to pass yet."
    shown = ", ".join(f"{name} {report['versions'][name]}" for name in DRIFTING)
    return f"`make drift` was last seen to pass on {report['date']}, with Python {report['python']}, {shown}."


def _rate(run: dict[str, Any]) -> str:
    return f"{run['documents_per_s']:.1f}"
