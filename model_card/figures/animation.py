"""The denoising of one sentence as a figure and as an animation, from its results file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes

from model_card.evidence.results import read
from model_card.figures.plots import COLOURS, DPI, STYLE

STEPS_A_SECOND = 1
HOLD = 3  # steps that the last picture stays
PER_LINE = 9  # slots in a line of the animation
MASK = "▒"
# Text stands on colours of any strength here, and a GIF has no half-transparent pixels: both get a ground of
# their own, and ink for it.
GROUND, INK = "#ffffff", "#2b3138"
_COLOURS: dict[Any, Any] = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK)


def draw(results: Path, target: Path, prefix: str = "") -> list[Path]:
    """Draw both, and return the files written; none without the results file."""
    report = read(results, "denoising")
    if report is None:
        return []
    target.mkdir(parents=True, exist_ok=True)
    return [
        path
        for canvas in report["results"]["canvases"]
        for path in (
            _figure(report["results"], canvas, target / f"{prefix}denoising_{canvas}.png"),
            _animation(report["results"], canvas, target / f"{prefix}denoising_{canvas}.gif"),
        )
    ]


def _figure(results: dict[str, Any], canvas: str, path: Path) -> Path:
    """Draw all steps below each other: one row a step, one cell a slot, its colour the confidence."""
    steps = results["canvases"][canvas]
    shown = content(steps, results["padding"])
    with plt.rc_context({**STYLE, **_COLOURS, "axes.grid": False}):
        size = (max(7.0, 0.74 * shown), 0.42 * len(steps) + 0.9)
        figure, axes = plt.subplots(figsize=size, facecolor=GROUND)
        for row, step in enumerate(steps):
            for column, slot in enumerate(step["slots"][:shown]):
                _cell(axes, column, row, slot, canvas)
        axes.set_yticks(range(len(steps)), [f"step {step['step']}" for step in steps])
        # The last step's: a canvas that proves too short grows on the way.
        words = [slot["text"] for slot in steps[-1]["slots"][:shown]]
        axes.xaxis.tick_top()
        axes.set_xticks(range(shown), words, rotation=40, ha="left", fontsize=9)
        axes.tick_params(length=0)
        axes.set_xlim(-0.5, shown - 0.5)
        axes.set_ylim(len(steps) - 0.5, -0.5)
        for spine in axes.spines.values():
            spine.set_visible(False)
        figure.savefig(path, dpi=DPI, bbox_inches="tight", facecolor=GROUND, metadata={"Software": None})
        plt.close(figure)
    return path


def _animation(results: dict[str, Any], canvas: str, path: Path) -> Path:
    """Draw one picture a step: the canvas in lines, the entities read so far below it."""
    steps = results["canvases"][canvas]
    shown = content(steps, results["padding"])
    lines = -(-shown // PER_LINE)
    order = [*range(len(steps)), *[len(steps) - 1] * HOLD]
    with plt.rc_context({**STYLE, **_COLOURS, "axes.grid": False}):
        figure = plt.figure(figsize=(8.6, 1.05 * lines + 1.0), facecolor=GROUND)
        axes = figure.add_axes((0.01, 0.0, 0.98, 1.0))

        def picture(number: int) -> list[Any]:
            step = steps[order[number]]
            axes.clear()
            axes.axis("off")
            axes.set_xlim(-0.5, PER_LINE - 0.5)
            axes.set_ylim(1.9 * lines + 0.9, -1.1)
            axes.text(-0.45, -0.6, f"step {step['step']} of {step['steps']}", fontsize=11, weight="bold")
            for at, slot in enumerate(step["slots"][:shown]):
                column, row = at % PER_LINE, 1.9 * (at // PER_LINE)
                if slot["text"]:
                    axes.text(column, row - 0.02, slot["text"], ha="center", va="center", fontsize=9)
                _cell(axes, column, row + 0.75, slot, canvas)
            found = "    ".join(f"{e['label']}: {e['text']}" for e in step["entities"])
            axes.text(-0.45, 1.9 * lines + 0.4, found or "nothing read yet", fontsize=10)
            return []

        animation = FuncAnimation(figure, picture, frames=len(order), blit=False)
        animation.save(path, PillowWriter(fps=STEPS_A_SECOND), dpi=100, savefig_kwargs={"facecolor": GROUND})
        plt.close(figure)
    return path


def _cell(axes: Axes, x: float, y: float, slot: dict[str, Any], canvas: str) -> None:
    """Draw one slot: a box whose strength is the confidence it was revealed with, or a mask."""
    colour = COLOURS["aligned" if canvas == "aligned" else "completion"]
    strength = 0.12 + 0.45 * slot["confidence"] if slot["revealed"] else 0.0
    axes.add_patch(
        plt.Rectangle(
            (x - 0.47, y - 0.4), 0.94, 0.8, facecolor=(colour, strength), edgecolor=(INK, 0.4), lw=0.6
        )
    )
    symbol = slot["symbol"].strip() or "·"
    axes.text(
        x,
        y,
        symbol if slot["revealed"] else MASK,
        ha="center",
        va="center",
        color=INK,
        fontsize=9 if len(symbol) <= 6 else 54 / len(symbol) + 1,
    )


def content(steps: list[dict[str, Any]], padding: str) -> int:
    """Return how many slots are worth showing: with words all, else two behind the last that says something.

    Args:
        steps: of one canvas.
        padding: the symbol of a slot behind the answer's end, as the model's tokenizer writes it.
    """
    slots = steps[-1]["slots"]
    if slots[0]["text"]:
        return len(slots)
    empty = ("", padding)
    said = [i for i, slot in enumerate(slots) if slot["revealed"] and slot["symbol"].strip() not in empty]
    return min(len(slots), max(said, default=0) + 3)
