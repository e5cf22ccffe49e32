"""What a model makes up: entities that are not in the text, and answers that cannot be read.

    python -m model_card experiment hallucination --model mini --data DIR

Free completions (``plain``) against grounded ones and, where the model has it, the aligned canvas, over the
number of steps. F1 is given twice: of all that was written, and of what is left when the extractor has
dropped what is not in the text.
"""

from typing import Any

from model_card.evidence.intervals import counts_of, mean_f1
from model_card.evidence.scores import references
from model_card.evidence.setting import Setting, fixed
from model_card.experiments.protocol import Context, Experiment
from model_card.figures import behaviour

STEPS = (1, 2, 4, 8, 16)


def settings(context: Context) -> dict[str, list[Setting]]:
    """Return free and grounded completions, and the aligned canvas, over the steps."""
    chosen = [*fixed("completion", "plain", STEPS), *fixed("completion", "grounded", STEPS)]
    return {"test": chosen + (fixed("aligned", steps=STEPS) if "aligned" in context.canvases else [])}


def run(context: Context) -> dict[str, Any]:
    """Count what was made up and what could not be read."""
    rows = {}
    for setting in settings(context)["test"]:
        sets, full, kept = {}, [], []
        for benchmark, prediction in context.predictions(setting):
            finals = prediction.final
            full.append(context.counts_of(prediction, benchmark))
            returned = [answer.returned() for answer in finals]
            kept.append(counts_of(returned, references(benchmark, context.limit)))
            sets[benchmark.name] = {
                "written": sum(len(a.entities) + len(a.invented) for a in finals),
                "invented": sum(len(a.invented) for a in finals),
                "segments": sum(a.segments for a in finals),
                "violations": sum(a.violations for a in finals),
            }
        total = {key: sum(own[key] for own in sets.values()) for key in next(iter(sets.values()))}
        rows[setting.name] = {
            "decoding": setting.decoding if setting.canvas == "completion" else "aligned",
            "steps": setting.steps,
            "sets": sets,
            **total,
            "hallucination": _share(total["invented"], total["written"]),
            # A grounded answer has no segments to be read: it is valid by construction.
            "compliance": 1 - _share(total["violations"], total["segments"]),
            "f1_written": mean_f1(full, resamples=1)["f1"],
            "f1_kept": mean_f1(kept, resamples=1)["f1"],
        }
    return {"settings": rows}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


EXPERIMENT = Experiment(
    "hallucination",
    "entities not in the text and unreadable answers, with and without grounding",
    run,
    {"hallucination": behaviour.hallucination},
    settings=settings,
)
