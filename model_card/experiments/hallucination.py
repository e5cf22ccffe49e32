"""What a model makes up: entities that are not in the text, and answers that cannot be read.

    python -m model_card.experiments.hallucination --model mini --data DIR

Free completions (``plain``) against grounded ones and, where the model has it, the aligned canvas, over the
number of steps. F1 is given twice: of all that was written, and of what is left when the extractor has
dropped what is not in the text.
"""

import sys
from typing import Any

from model_card.evidence.intervals import counts_of, mean_f1
from model_card.evidence.scores import references, written
from model_card.evidence.setting import Setting, fixed
from model_card.experiments.driver import Context, Experiment, main

STEPS = (1, 2, 4, 8, 16)


def settings(context: Context) -> dict[str, list[Setting]]:
    """Return free and grounded completions, and the aligned canvas, over the steps."""
    chosen = [*fixed("completion", "plain", STEPS), *fixed("completion", "grounded", STEPS)]
    return {"test": chosen + (fixed("aligned", steps=STEPS) if "aligned" in context.canvases else [])}


def measure(context: Context) -> dict[str, Any]:
    """Count what was made up and what could not be read."""
    rows = {}
    for setting in settings(context)["test"]:
        sets, full, kept = {}, [], []
        for benchmark, prediction in context.predictions(setting):
            finals = prediction.final
            gold = references(benchmark, context.limit)
            full.append(counts_of(written(prediction, benchmark), gold))
            kept.append(counts_of([answer.returned() for answer in finals], gold))
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


def show(results: dict[str, Any]) -> str:
    """Return one line a setting."""
    lines = [f"{'setting':28} {'not in text':>11} {'readable':>9} {'F1 written':>11} {'F1 kept':>8}"]
    for name, row in results["settings"].items():
        lines.append(
            f"{name:28} {row['hallucination']:11.1%} {row['compliance']:9.1%} "
            f"{100 * row['f1_written']:11.1f} {100 * row['f1_kept']:8.1f}"
        )
    return "\n".join(lines)


EXPERIMENT = Experiment(
    "hallucination",
    "entities not in the text and unreadable answers, with and without grounding",
    1,
    settings,
    measure,
    show,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT, __doc__))
