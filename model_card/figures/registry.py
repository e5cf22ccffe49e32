"""Every figure of a model's card by the name of its block."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from model_card.evidence.results import read
from model_card.figures import behaviour, quality
from model_card.figures.cost import cost
from model_card.figures.finetune import finetune
from model_card.figures.markdown import NotMeasured
from model_card.figures.zero_shot import zero_shot

TABLES: dict[str, Callable[[Path], str]] = {
    "f1": quality.headline,
    "readings": quality.readings,
    "seeds": quality.seeds,
    "steps": quality.steps,
    "baselines": quality.baselines,
    "anchors": quality.anchors,
    "size": quality.size,
    "criteria": quality.criteria,
    "experiments": quality.experiments,
    "pareto": behaviour.pareto,
    "self-correction": behaviour.self_correction,
    "uncertainty": behaviour.uncertainty,
    "ablations": behaviour.ablations,
    "errors": behaviour.errors,
    "hallucination": behaviour.hallucination,
    "zero-shot": zero_shot,
    "finetune": finetune,
    "cost": cost,
}

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
        return TABLES[name](folder)
    except NotMeasured as missing:
        return f"Not measured yet: `python -m model_card.experiments.{missing}`."


def _image(name: str, folder: Path) -> str:
    source, file, what = IMAGES[name]
    report = read(folder, source)
    if report is None:
        return "No picture: not measured yet."
    canvases = report["results"].get("canvases", [""])
    return "\n\n".join(f"![{what.format(canvas=c)}]({file.format(canvas=c)})" for c in canvases)
