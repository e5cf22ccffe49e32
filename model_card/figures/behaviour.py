"""How the model behaves: time, self-correction, uncertainty, ablations, errors, hallucination."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from model_card.evidence.mistakes import GOLD, PREDICTED
from model_card.figures.markdown import change, points, results_of, short_title, sources, table


def pareto(folder: Path) -> str:
    """F1, forwards and time of every setting; those that no other beats in F1 and forwards are marked."""
    report = results_of(folder, "pareto")
    rows = []
    for name, point in report["results"]["points"].items():
        shown = f"**{name}**" if point["optimal"] else name
        rows.append([shown, points(point["f1"]), f"{point['forwards']:.1f}", *_times(point)])
    for name, point in report["results"]["baselines"].items():
        rows.append([name, points(point["f1"]), "", *_times(point)])
    note = "Bold: no other setting is better with as few forwards."
    timed = [p for p in report["results"]["points"].values() if "seconds_per_sentence" in p]
    if timed:
        machines = "; ".join(sorted({p["hardware"] for p in timed}))
        note += (
            f" Time, where it was measured: {timed[0]['sentences']} sentences of all sets in batches of "
            f"{timed[0]['batch_size']}, tokenisation included, {timed[0]['dtype']}, on {machines}."
        )
    head = ["setting", "mean F1", "forwards a sentence", "ms a sentence", "sentences a second"]
    return "\n\n".join([table(head, rows), note])


def _times(point: dict[str, Any]) -> list[str]:
    seconds = point.get("seconds_per_sentence")
    return ["", ""] if seconds is None else [f"{1000 * seconds:.2f}", f"{1 / seconds:,.0f}"]


def self_correction(folder: Path) -> str:
    """Corrections and regressions between one step and eight."""
    results = results_of(folder, "self_correction")["results"]
    rows = []
    for name, entry in results["settings"].items():
        total, against = entry["total"], entry["against_one_step"]
        rows.append(
            [
                name.removesuffix(", each step"),
                f"{total['found']:,}",
                f"{total['removed']:,}",
                f"{total['lost']:,}",
                f"{total['added']:,}",
                f"{total['corrections']:,} to {total['regressions']:,}",
                f"{total['reverted']:,}",
                change(against),
            ]
        )
    head = [
        "against T=1",
        "right ones found",
        "wrong ones removed",
        "right ones lost",
        "wrong ones added",
        "corrections to regressions",
        "named on the way, then dropped",
        "F1 (95% interval)",
    ]
    return table(head, rows)


def uncertainty(folder: Path) -> str:
    """Whether confidence tells right from wrong, and whether it means what it says."""
    results = results_of(folder, "uncertainty")["results"]
    rows = []
    for kind, label in (("score", "score"), ("agreement", f"agreement of {results['runs']} runs")):
        for name, own in {"all sets": results["all"], **results["sets"]}.items():
            figures = own[kind]
            if "auroc" not in figures:
                continue
            shown = name if name == "all sets" else short_title(name)
            low, high = figures["auroc_interval"]
            rows.append(
                [
                    label,
                    shown,
                    f"{figures['auroc']:.3f} ({low:.3f} to {high:.3f})",
                    f"{figures['correlation']:.2f}",
                    f"{figures['ece_before']:.3f}",
                    f"{figures['ece_after']:.3f}",
                    f"{figures['area_under_risk']:.3f}",
                    f"{figures['risk_at_full_coverage']:.3f}",
                ]
            )
    temperatures = ", ".join(f"{kind} {t:.2f}" for kind, t in results["fitted_temperature"].items())
    told = f"temperatures fitted on {results['fitted_on']}: {temperatures}"
    note = f"Of the entities of {results['setting']}; {told}."
    head = [
        "confidence",
        "set",
        "AUROC (95% interval)",
        "correlation",
        "calibration error",
        "calibrated",
        "mean risk",
        "share wrong",
    ]
    return "\n\n".join([table(head, rows), note])


def ablations(folder: Path) -> str:
    """One thing changed at a time."""
    results = results_of(folder, "ablations")["results"]
    rows = []
    for question, group in results["decoding"].items():
        for name, row in group.items():
            against = row["against_first"]
            told = "" if against is None else change(against)
            rows.append([question, name, points(row["f1"]), told])
    return table(["decoding", "row", "mean F1", "against the first row (95% interval)"], rows)


def denoising(folder: Path) -> str:
    """The entities of one sentence after every step, on each canvas."""
    rows = [
        [
            canvas,
            f"{step['step']} of {step['steps']}",
            "; ".join(f"{e['label']}: {e['text']}" for e in step["entities"]),
        ]
        for canvas, steps in results_of(folder, "denoising")["results"]["canvases"].items()
        for step in steps
    ]
    return table(["canvas", "step", "entities"], rows)


def errors(folder: Path) -> str:
    """Classes of mistakes over all sets, recall by length and position, frequent confusions."""
    results = results_of(folder, "errors")["results"]
    sets = results["sets"].values()
    rows = []
    for side, kinds in (("gold", GOLD), ("predicted", PREDICTED)):
        total = {kind: sum(own[side][kind] for own in sets) for kind in kinds}
        whole = max(1, sum(total.values()))
        shares = [f"{kind} {count / whole:.1%}" for kind, count in total.items()]
        rows.append(["reference" if side == "gold" else "predicted", f"{whole:,}", ", ".join(shares)])
    parts = [table(["mentions", "number", "classes"], rows)]
    recall = []
    for name, label in (
        ("words", "words of the mention"),
        ("position", "place in the sentence"),
        ("sentence_words", "words of the sentence"),
    ):
        values = sorted({value for own in sets for value in own["recall"].get(name, {})}, key=_order)
        cells = []
        for value in values:
            got = [own["recall"][name][value] for own in sets if value in own["recall"].get(name, {})]
            right, of = sum(g["right"] for g in got), sum(g["of"] for g in got)
            cells.append(f"{value}: {right / of:.0%} of {of:,}")
        recall.append([label, "; ".join(cells)])
    parts.append(table(["recall by", ""], recall))
    pairs = sorted(
        ((c["count"], c["gold"], c["predicted"]) for own in sets for c in own["confusions"]),
        key=lambda pair: (-pair[0], pair[1:]),
    )[:10]
    told = "; ".join(f"{gold} as {got} ({count})" for count, gold, got in pairs)
    parts.append(f"Most frequent confusions of type, reference as predicted: {told or 'none'}.")
    for name, sets_ in results["baselines"].items():
        ours = sum(own["fewer_mistakes"]["ours"] for own in sets_.values())
        theirs = sum(own["fewer_mistakes"]["theirs"] for own in sets_.values())
        parts.append(f"Against {name}: fewer mistakes in {ours:,} sentences, more in {theirs:,}.")
    return "\n\n".join(parts)


def hallucination(folder: Path) -> str:
    """What is made up, and what cannot be read."""
    report = results_of(folder, "hallucination")
    rows = [
        [
            name,
            f"{row['written']:,}",
            f"{row['hallucination']:.1%}",
            f"{row['compliance']:.1%}",
            points(row["f1_written"]),
            points(row["f1_kept"]),
        ]
        for name, row in report["results"]["settings"].items()
    ]
    head = [
        "decoding",
        "entities written",
        "not in the text",
        "readable",
        "F1 of all written",
        "F1 of those kept",
    ]
    return "\n\n".join([table(head, rows), sources(report)])


def _order(value: str) -> tuple[int, str]:
    thirds = ("first third", "middle third", "last third")
    # "over 40" behind "up to 40".
    return (thirds.index(value) if value in thirds else int(value.startswith("over")), value)
