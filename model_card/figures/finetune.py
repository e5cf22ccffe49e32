"""What fine-tuning on a few sentences of a domain brings."""

from __future__ import annotations

from pathlib import Path

from model_card.figures.markdown import in_order, interval, origin, points, results_of, short_title, table


def finetune(folder: Path) -> str:
    """F1 on the test set of each domain before and after training on a few of its sentences."""
    report = results_of(folder, "finetune")
    rows, before, after = [], [], []
    for name, entry in in_order(report["results"]):
        runs = list(entry["runs"].values())
        mean = sum(run["f1"] for run in runs) / len(runs)
        before.append(entry["before"]["f1"])
        after.append(mean)
        low_high = [sum(run["bootstrap"]["f1"][i] for run in runs) / len(runs) for i in (0, 1)]
        rows.append(
            [
                short_title(name),
                f"{points(before[-1])} ({interval(entry['before']['bootstrap']['f1'])})",
                f"**{points(mean)}** ({interval(low_high)})",
                f"{100 * (mean - before[-1]):+.1f}",
                f"{max(run['seconds'] for run in runs):.0f}",
                f"{max(run['peak_mib'] for run in runs):,}",
            ]
        )
    own, new = sum(before) / len(before), sum(after) / len(after)
    rows.append(
        [f"mean of {len(after)}", points(own), f"**{points(new)}**", f"{100 * (new - own):+.1f}", "", ""]
    )
    seeds = sorted({len(entry["runs"]) for entry in report["results"].values()})
    draws = "One draw of sentences" if seeds == [1] else f"Means of {seeds[0]} draws of sentences or more"
    head = ["domain", "F1 before (95%)", f"after {report['identity']['sentences']} sentences (95%)", "gain"]
    head += ["seconds", "peak MiB"]
    return "\n\n".join([table(head, rows), f"{draws}. {origin(report)}"])
