"""Every figure of a model's card by the name of its block."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from model_card.evidence.results import read
from model_card.experiments.registry import EXPERIMENTS
from model_card.figures import quality
from model_card.figures.cost import cost
from model_card.figures.far import mini_open
from model_card.figures.markdown import NotMeasured, table


def experiments(folder: Path) -> str:
    """What each results file measures, and whether it is there."""
    rows = []
    for experiment in EXPERIMENTS.values():
        report = read(folder, experiment.name)
        state = "not measured" if report is None else f"measured {report['scored']['date']}"
        rows.append([f"`{experiment.name}`", experiment.what, state])
    return table(["experiment", "what", ""], rows)


def tables() -> dict[str, Callable[[Path], str]]:
    """Return every table by the name of its block: those of the experiments, and those drawn from several."""
    own = {name: show for e in EXPERIMENTS.values() for name, show in e.tables.items()}
    general = {"anchors": quality.anchors, "criteria": quality.criteria, "cost": cost, "mini-open": mini_open}
    return {**own, **general, "experiments": experiments}


# Block -> results file, picture beside the card, what it shows.
IMAGES = {
    "image-f1": ("main", "card_f1.png", "Strict F1 of each test set with 95% intervals"),
    "image-pareto": ("pareto", "card_pareto.png", "Mean F1 against milliseconds a sentence"),
    "image-self-correction": (
        "self_correction",
        "card_self_correction.png",
        "Corrections and regressions between one step and eight, and F1 after each step",
    ),
    "image-uncertainty": (
        "uncertainty",
        "card_uncertainty.png",
        "Risk against coverage, and confidence against accuracy",
    ),
    "image-errors": ("errors", "card_errors.png", "Classes of mistakes by test set"),
    "image-hallucination": (
        "hallucination",
        "card_hallucination.png",
        "Share of entities that are not in the text, by number of steps",
    ),
    "image-size": ("size", "card_size.png", "Mean F1 against megabytes of weights"),
    "image-denoising": (
        "denoising",
        "card_denoising_{canvas}.gif",
        "A sentence while it is denoised, step by step, {canvas} canvas",
    ),
}


def fill(name: str, folder: Path) -> str:
    """Return one figure of the model whose results files are in this folder.

    Raises:
        KeyError: there is no such figure.
    """
    if name in IMAGES:
        return _image(name, folder)
    try:
        return tables()[name](folder)
    except NotMeasured as missing:
        return f"Not measured yet: `python -m model_card {missing}`."


def _image(name: str, folder: Path) -> str:
    source, file, what = IMAGES[name]
    report = read(folder, source)
    if report is None:
        return "No picture: not measured yet."
    canvases = report["results"].get("canvases", [""])
    return "\n\n".join(f"![{what.format(canvas=c)}]({file.format(canvas=c)})" for c in canvases)
