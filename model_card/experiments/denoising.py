"""The way of one sentence from all masks to entities, step by step, on each canvas.

    python -m model_card.experiments.denoising --model mini

The build of the card draws it as a figure and as an animation.
"""

import sys
from typing import Any

from model_card.evidence.setting import Setting
from model_card.experiments.driver import Context, Experiment, main

# From no data set.
TEXT = "Toni Morrison received the Nobel Prize in Literature in 1993, six years after publishing Beloved."
LABELS = ["person", "award", "book", "date"]
STEPS = 8


def settings(context: Context) -> dict[str, list[Setting]]:
    """Return none: it needs no benchmark."""
    return {}


def measure(context: Context) -> dict[str, Any]:
    """Record the canvas after every step."""
    extractor = context.predictor.extractor
    return {
        "text": TEXT,
        "labels": LABELS,
        "steps": STEPS,
        "canvases": {
            canvas: list(extractor.stream(TEXT, LABELS, canvas=canvas, steps=STEPS))
            for canvas in context.canvases
        },
    }


def extra(context: Context) -> dict[str, Any]:
    """Return the sentence: the results depend on it."""
    return {"text": TEXT, "labels": LABELS, "steps": STEPS}


def show(results: dict[str, Any]) -> str:
    """Return the entities after each step in lines."""
    lines = []
    for canvas, steps in results["canvases"].items():
        for step in steps:
            shown = "; ".join(f"{e['label']}: {e['text']}" for e in step["entities"]) or "nothing"
            lines.append(f"{canvas} {step['step']}/{step['steps']}: {shown}")
    return "\n".join(lines)


EXPERIMENT = Experiment(
    "denoising",
    "the canvas of one sentence after every denoising step",
    1,
    settings,
    measure,
    show,
    extra,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT, __doc__))
