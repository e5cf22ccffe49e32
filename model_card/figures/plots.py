"""The figures of the card, drawn from the results files only.

Everything is drawn on a transparent ground in colours that can be read on white and on GitHub's and the Hub's
dark grounds alike: the contrast of each against both is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only, no window

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from dataset_builder.benchmarks import BENCHMARKS, source_of
from model_card.evidence.mistakes import GOLD, PREDICTED
from model_card.evidence.results import read

INK = "#777a7f"  # text and axes
COLOURS = {
    "aligned": "#3b82c4",
    "completion": "#d0661f",
    "plain": "#a3709b",
    "right": "#2f9a6b",
    "type": "#3b82c4",
    "boundary": "#a3709b",
    "both": "#b8860b",
    "missed": "#d0661f",
    "spurious": "#d0661f",
    "baseline": "#c9494f",
}
GROUNDS = ("#ffffff", "#0d1117", "#0b0f19")  # light, GitHub's dark, the Hub's dark
DPI = 150
STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.size": 10,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.hashsalt": "0",
}


def draw_all(results: Path, target: Path, prefix: str = "") -> list[Path]:
    """Draw every figure whose results file is there, and return the files written.

    Args:
        results: folder of the results files.
        target: folder for the figures.
        prefix: of their names.
    """
    written = []
    target.mkdir(parents=True, exist_ok=True)
    for name, (source, draw) in FIGURES.items():
        report = read(results, source)
        if report is None:
            continue
        with plt.rc_context(STYLE):
            figure = draw(report["results"])
            path = target / f"{prefix}{name}.png"
            # No version of the drawing library in the file: the same figures are the same bytes.
            figure.savefig(path, dpi=DPI, bbox_inches="tight", metadata={"Software": None})
            plt.close(figure)
        written.append(path)
    return written


def f1(results: dict[str, Any]) -> Figure:
    """Draw the headline F1 of each set with its interval, and every baseline at hand."""
    rows = {results["headline"]: results["settings"][results["headline"]], **results["baselines"]}
    figure, axes = plt.subplots(figsize=(7.5, 3.2))
    width = 0.8 / len(rows)
    palette = [COLOURS["aligned"], COLOURS["baseline"], COLOURS["completion"], COLOURS["plain"]]
    for number, (name, row) in enumerate(rows.items()):
        sets = [n for n in BENCHMARKS if n in row["sets"]]
        values = [100 * row["sets"][n]["f1"] for n in sets]
        intervals = [row["sets"][n]["bootstrap"]["f1"] for n in sets]
        bounds = [
            [max(0.0, v - 100 * low) for v, (low, _) in zip(values, intervals, strict=True)],
            [max(0.0, 100 * high - v) for v, (_, high) in zip(values, intervals, strict=True)],
        ]
        places = [list(BENCHMARKS).index(n) + (number - (len(rows) - 1) / 2) * width for n in sets]
        axes.bar(
            places,
            values,
            width * 0.92,
            yerr=bounds,
            ecolor=INK,
            capsize=2,
            label=name,
            color=palette[number % len(palette)],
        )
    axes.set_xticks(range(len(BENCHMARKS)), [_short(name) for name in BENCHMARKS])
    axes.set_ylabel("strict F1")
    axes.grid(axis="x", visible=False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=len(rows))
    return figure


def pareto(results: dict[str, Any]) -> Figure:
    """Draw F1 against forwards: a line a canvas over the steps, and the adaptive points."""
    figure, axes = plt.subplots(figsize=(7, 4))
    points = results["points"].values()
    for canvas in dict.fromkeys(p["canvas"] for p in points):
        own = [p for p in points if p["canvas"] == canvas]
        fixed = sorted((p for p in own if not p["adaptive"]), key=lambda p: p["steps"])
        x = [p["forwards"] for p in fixed]
        y = [100 * p["f1"] for p in fixed]
        axes.plot(x, y, "o-", color=COLOURS[canvas], label=canvas, markersize=5)
        for at, height, point in zip(x, y, fixed, strict=True):
            axes.annotate(
                f"T={point['steps']}",
                (at, height),
                (0, 6),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        for marker, point in zip("*P", (p for p in own if p["adaptive"]), strict=False):
            axes.plot(
                point["forwards"],
                100 * point["f1"],
                marker,
                color=COLOURS[canvas],
                markersize=11,
                label=f"{canvas}, adaptive ({point['adaptive']})",
                linestyle="none",
            )
    axes.set_xscale("log")
    axes.margins(0.08, 0.1)  # room for the labels of the uppermost points
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("forwards over a sentence (log scale)")
    axes.set_ylabel("mean strict F1 over the sets")
    axes.legend(fontsize=8)
    return figure


def self_correction(results: dict[str, Any]) -> Figure:
    """Draw corrections against regressions, and F1 after each step."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(1.1, 1))
    names = list(results["settings"])
    for row, name in enumerate(names):
        total = results["settings"][name]["total"]
        left.barh(row, total["found"], color=COLOURS["right"])
        left.barh(row, total["removed"], left=total["found"], color=COLOURS["right"], alpha=0.55)
        left.barh(row, -total["lost"], color=COLOURS["missed"])
        left.barh(row, -total["added"], left=-total["lost"], color=COLOURS["missed"], alpha=0.55)
    left.set_yticks(range(len(names)), [_setting(name) for name in names])
    left.invert_yaxis()
    left.axvline(0, color=INK, linewidth=0.8)
    left.set_xlabel("regressions (lost, pale: added)  |  corrections (found, pale: removed)", fontsize=8)
    for name in names:
        values = [100 * value for value in results["settings"][name]["f1_by_step"]]
        colour = COLOURS["aligned" if name.startswith("aligned") else "completion"]
        style = "--" if "remasking" in name else "-"
        right.plot(
            range(1, len(values) + 1), values, f"o{style}", color=colour, markersize=4, label=_setting(name)
        )
    right.set_xlabel("after step")
    right.set_ylabel("mean strict F1")
    right.legend(fontsize=8)
    figure.tight_layout()
    return figure


def uncertainty(results: dict[str, Any]) -> Figure:
    """Draw risk against coverage, and confidence against accuracy before and after calibration."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    for kind, colour in (("score", COLOURS["aligned"]), ("agreement", COLOURS["completion"])):
        own = results["all"][kind]
        if "risk_coverage" not in own:
            continue
        left.plot(
            *zip(*own["risk_coverage"], strict=True), color=colour, label=f"{kind}, AUROC {own['auroc']:.2f}"
        )
        for when, style in (("before", "o-"), ("after", "o:")):
            bins = own[f"reliability_{when}"]
            right.plot(
                [b["confidence"] for b in bins],
                [b["accuracy"] for b in bins],
                style,
                color=colour,
                markersize=3,
                label=f"{kind} {when}, error {own[f'ece_{when}']:.2f}",
            )
    left.set_xlabel("share of entities kept, the surest first")
    left.set_ylabel("share of them that is wrong")
    left.set_ylim(bottom=0)
    right.plot([0, 1], [0, 1], color=INK, linewidth=0.8)
    right.set_xlabel("confidence")
    right.set_ylabel("share that is right")
    if left.lines:  # no entity, or all alike: nothing to draw
        left.legend(fontsize=8)
        right.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    return figure


def hallucination(results: dict[str, Any]) -> Figure:
    """Draw the share of entities that are not in the text over the steps, free against grounded."""
    figure, axes = plt.subplots(figsize=(6, 3.2))
    for decoding, colour in (("plain", "plain"), ("grounded", "completion"), ("aligned", "aligned")):
        rows = [r for r in results["settings"].values() if r["decoding"] == decoding]
        if rows:
            label = "aligned" if decoding == "aligned" else f"completion, {decoding}"
            # The grounded lines lie on each other at 0: markers of their own keep both visible.
            axes.plot(
                [r["steps"] for r in rows],
                [100 * r["hallucination"] for r in rows],
                {"plain": "o-", "grounded": "s-", "aligned": "x--"}[decoding],
                color=COLOURS[colour],
                label=label,
            )
    axes.set_xscale("log", base=2)
    steps = sorted({r["steps"] for r in results["settings"].values()})
    axes.set_xticks(steps, [str(step) for step in steps])
    axes.set_xlabel("denoising steps")
    axes.set_ylabel("entities not in the text, %")
    axes.legend(fontsize=8)
    return figure


def errors(results: dict[str, Any]) -> Figure:
    """Draw the classes of gold and predicted mentions of each set as stacked bars."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    for axes, side, kinds in zip(panels, ("gold", "predicted"), (GOLD, PREDICTED), strict=True):
        _stacked(axes, results["sets"], side, kinds)
        axes.set_title("mentions in the reference" if side == "gold" else "mentions predicted", fontsize=10)
        axes.legend(
            fontsize=8,
            ncols=len(kinds),
            loc="upper center",
            bbox_to_anchor=(0.5, -0.2),
            columnspacing=0.9,
            handlelength=1,
        )
    figure.tight_layout()
    return figure


def size(results: dict[str, Any]) -> Figure:
    """Draw F1 against megabytes of weights, this model's in each reading, published ones beside them."""
    figure, axes = plt.subplots(figsize=(7, 3.8))
    own = iter(("completion", "aligned", "right"))
    for row in results["rows"]:
        x, y = row["megabytes"], 100 * row["f1"]
        if not row["published"]:
            axes.plot(x, y, "o", color=COLOURS[next(own)], label=f"this model, {row['metric']}", alpha=0.8)
            continue
        axes.plot(x, y, "D", color=COLOURS["baseline"])
        left = x < 1000  # the heaviest stand at the right edge
        axes.annotate(
            f"{row['model']}\n{row['metric']}",
            (x, y),
            (6 if left else -6, 0),
            textcoords="offset points",
            fontsize=7,
            ha="left" if left else "right",
            va="center",
        )
    axes.legend(fontsize=8, loc="upper left")
    axes.set_xscale("log")
    axes.margins(0.08, 0.15)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("megabytes of weights (log scale); published ones at two bytes a parameter")
    axes.set_ylabel("mean F1, by the metric named")
    return figure


def _stacked(axes: Axes, sets: dict[str, Any], side: str, kinds: Sequence[str]) -> None:
    names = [name for name in BENCHMARKS if name in sets]
    start = [0.0] * len(names)
    for kind in kinds:
        totals = [max(1, sum(sets[name][side].values())) for name in names]
        share = [100 * sets[n][side][kind] / total for n, total in zip(names, totals, strict=True)]
        axes.barh(range(len(names)), share, left=start, color=COLOURS[kind], label=kind)
        start = [a + b for a, b in zip(start, share, strict=True)]
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("%")
    axes.grid(axis="y", visible=False)


def _short(name: str) -> str:
    return source_of(name).title.split()[-1]


def _setting(name: str) -> str:
    canvas = name.split(",")[0]
    return f"{canvas}, {'with' if 'remasking' in name else 'no'} remasking"


FIGURES: dict[str, tuple[str, Callable[[dict[str, Any]], Figure]]] = {
    "f1": ("main", f1),
    "pareto": ("pareto", pareto),
    "self_correction": ("self_correction", self_correction),
    "uncertainty": ("uncertainty", uncertainty),
    "hallucination": ("hallucination", hallucination),
    "errors": ("errors", errors),
    "size": ("size", size),
}
