"""The way of one sentence from all masks to entities, step by step, on each canvas.

    python -m model_card experiment denoising --model mini

The build of the card draws it as a figure and as an animation.
"""

from typing import Any

from model_card.evidence.setting import Setting
from model_card.experiments.protocol import Context, Experiment
from model_card.figures import behaviour

# From no data set.
TEXT = "Toni Morrison received the Nobel Prize in Literature in 1993, six years after publishing Beloved."
LABELS = ["person", "award", "book", "date"]
STEPS = 8


def settings(context: Context) -> dict[str, list[Setting]]:
    """Return none: it needs no benchmark."""
    return {}


def run(context: Context) -> dict[str, Any]:
    """Record the canvas after every step."""
    extractor = context.predictor.extractor
    return {
        "text": TEXT,
        "labels": LABELS,
        "steps": STEPS,
        "padding": str(extractor.encoder.tokenizer.decode([extractor.settings.pad_token_id])).strip(),
        "canvases": {
            canvas: list(extractor.stream(TEXT, LABELS, canvas=canvas, steps=STEPS))
            for canvas in context.canvases
        },
    }


def depends(context: Context) -> dict[str, Any]:
    """Return the sentence: the results depend on it."""
    return {"text": TEXT, "labels": LABELS, "steps": STEPS}


EXPERIMENT = Experiment(
    "denoising",
    "the canvas of one sentence after every denoising step",
    run,
    {"denoising": behaviour.denoising},
    depends=depends,
)
