"""One thing changed at a time: decoding rows from predictions, training rows from runs of equal budget.

    python -m model_card.experiments.ablations --model mini --data DIR

Rows that need training are trained by `model_card.train_ablations`; those without scores are "not measured".
"""

import hashlib
import json
import sys
from typing import Any

from model_card.evidence.intervals import Counts, counts_of, difference, mean_f1
from model_card.evidence.scores import references, written
from model_card.evidence.setting import Setting, adaptive, fixed
from model_card.experiments.driver import Context, Experiment, default_setting, main
from model_card.experiments.training_rows import ROWS, TrainingRow, scores_path

STEPS = 8  # where remasking and the rules of unmasking can make a difference


def rows(context: Context) -> dict[str, dict[str, Setting]]:
    """Return the decoding rows: question -> row name -> setting. The first row is what others are held to."""
    found: dict[str, dict[str, Setting]] = {
        "canvas": {canvas: default_setting(canvas) for canvas in context.canvases}
    }
    for canvas in context.canvases:
        plain = Setting(canvas, steps=STEPS)
        found[f"steps, {canvas}"] = {
            **{f"T={s.steps}": s for s in fixed(canvas)},
            **{f"adaptive {s.adaptive}": s for s in adaptive(canvas)},
        }
        found[f"remasking, {canvas}"] = {
            "without": plain,
            "with": Setting(canvas, steps=STEPS, remasking=True),
        }
    # A projection reveals by the probability of what it writes, so the rule only matters without one.
    found["unmasking, free completion"] = {
        "probability": Setting("completion", "plain", STEPS),
        "margin": Setting("completion", "plain", STEPS, algorithm="topk_margin"),
        "entropy": Setting("completion", "plain", STEPS, algorithm="entropy"),
    }
    found["grounding, completion"] = {
        "grounded": Setting("completion", steps=STEPS),
        "plain": Setting("completion", "plain", STEPS),
    }
    return found


def settings(context: Context) -> dict[str, list[Setting]]:
    """Return every setting of a decoding row once."""
    every = (setting for group in rows(context).values() for setting in group.values())
    return {"test": list(dict.fromkeys(every))}


def measure(context: Context) -> dict[str, Any]:
    """Score all rows; the difference is to the first row of each question, on the same sentences."""
    decoding: dict[str, Any] = {}
    counted = {s: _counts(context, s) for s in settings(context)["test"]}
    for question, group in rows(context).items():
        first = counted[next(iter(group.values()))]
        decoding[question] = {
            name: {
                "setting": setting.name,
                **mean_f1(counted[setting]),
                "against_first": None if counted[setting] is first else difference(counted[setting], first),
            }
            for name, setting in group.items()
        }
    return {"decoding": decoding, "training": {row.name: _trained(context, row) for row in ROWS}}


def _counts(context: Context, setting: Setting) -> list[Counts]:
    """Return the counts of every sentence, set by set."""
    return [
        counts_of(written(prediction, benchmark), references(benchmark, context.limit))
        for benchmark, prediction in context.predictions(setting)
    ]


def _trained(context: Context, row: TrainingRow) -> dict[str, Any]:
    path = scores_path(context.predictor.runs, row, context.limit)
    scores = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return {"question": row.question, "flags": list(row.flags), "scores": scores}


def extra(context: Context) -> dict[str, Any]:
    """Return the rows that need training, and which have scores: a new one makes the results new."""
    paths = [scores_path(context.predictor.runs, row, context.limit) for row in ROWS]
    return {
        "rows": {row.name: list(row.flags) for row in ROWS},
        "trained": {
            path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            for path in paths
            if path.is_file()
        },
    }


def show(results: dict[str, Any]) -> str:
    """Return the rows in lines."""
    lines = []
    for question, group in results["decoding"].items():
        lines.append(f"{question}: " + ", ".join(f"{n} {100 * row['f1']:.1f}" for n, row in group.items()))
    for name, row in results["training"].items():
        scores = row["scores"]
        told = "not measured"
        if scores is not None:
            told = ", ".join(f"{s} {100 * v['f1']:.1f}" for s, v in scores["settings"].items())
        lines.append(f"trained: {name}: {told}")
    return "\n".join(lines)


EXPERIMENT = Experiment(
    "ablations",
    "mean strict F1 with one thing changed at a time",
    1,
    settings,
    measure,
    show,
    extra,
)


if __name__ == "__main__":
    sys.exit(main(EXPERIMENT, __doc__))
