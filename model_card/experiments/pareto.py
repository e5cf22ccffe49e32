"""Quality against time: both canvases, 1 to 32 denoising steps and adaptive decoding, baselines as points.

    python -m model_card.experiments.pareto --model mini --data DIR --device cuda

F1 is that of `main`; the time is the wall clock of one sentence in a full batch, measured alone on the
machine (100 sentences of each set, all types of the set, after a warm-up) and kept beside the predictions.
"""

import json
import sys
from typing import Any

from model_card.evidence.intervals import counts_of, mean_f1
from model_card.evidence.results import rounded
from model_card.evidence.scores import references, written
from model_card.evidence.setting import Setting, adaptive, fixed
from model_card.experiments.driver import Context, Experiment, main


def settings(context: Context) -> dict[str, list[Setting]]:
    """Return every number of steps, and adaptive, on each canvas."""
    return {"test": [s for canvas in context.canvases for s in (*fixed(canvas), *adaptive(canvas))]}


def timing(context: Context, setting: Setting) -> dict[str, Any]:
    """Return the kept speed of a setting, or measure it and keep it."""
    folder = context.predictor.folder / (
        "timing" if context.limit is None else f"timing-first-{context.limit}"
    )
    path = folder / f"{setting.slug}.json"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        measured = context.predictor.seconds_per_sentence(setting)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(rounded(measured), indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    return json.loads(path.read_text(encoding="utf-8"))


def measure(context: Context) -> dict[str, Any]:
    """Put F1 and time of every setting side by side, and mark the points that no other beats."""
    points = {}
    for setting in settings(context)["test"]:
        counts, forwards = [], []
        for benchmark, prediction in context.predictions(setting):
            gold = references(benchmark, context.limit)
            counts.append(counts_of(written(prediction, benchmark), gold))
            forwards += [answer.forwards for answer in prediction.final]
        points[setting.name] = {
            "canvas": setting.canvas,
            "steps": setting.steps,
            "adaptive": setting.adaptive,
            **mean_f1(counts),
            "forwards": sum(forwards) / len(forwards),
            **timing(context, setting),
        }
    for point in points.values():
        point["optimal"] = not any(_dominates(other, point) for other in points.values())
    return {"points": points, "baselines": _baselines(context)}


def _dominates(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether one point is at least as good and as fast, and better in one of them."""
    faster = other["seconds_per_sentence"] - one["seconds_per_sentence"]
    better = one["f1"] - other["f1"]
    return faster >= 0 and better >= 0 and (faster > 0 or better > 0)


def _baselines(context: Context) -> dict[str, Any]:
    """Return the baselines that have answered all sets and were timed with them."""
    found = {}
    for name in context.baselines:
        counts, seconds, sentences, origin = [], 0.0, 0, {}
        for benchmark in context.predictor.benchmarks():
            prediction = context.baseline(name, benchmark)
            if prediction is None:
                break
            counts.append(counts_of(written(prediction, benchmark), references(benchmark, context.limit)))
            seconds += prediction.header["seconds"]
            sentences += len(prediction.answers)
            origin = {"hardware": prediction.header["hardware"], "versions": prediction.header["versions"]}
        else:
            found[name] = {**mean_f1(counts), "seconds_per_sentence": seconds / sentences, **origin}
    return found


def show(results: dict[str, Any]) -> str:
    """Return the points in lines, the fastest first."""
    lines = [f"{'setting':40} {'F1':>6} {'ms a sentence':>14} {'forwards':>9}"]
    ordered = sorted(results["points"].items(), key=lambda item: item[1]["seconds_per_sentence"])
    for name, point in ordered:
        mark = " *" if point["optimal"] else ""
        lines.append(
            f"{name:40} {100 * point['f1']:6.1f} {1000 * point['seconds_per_sentence']:14.2f} "
            f"{point['forwards']:9.1f}{mark}"
        )
    return "\n".join(lines)


EXPERIMENT = Experiment(
    "pareto",
    "mean strict F1 against wall-clock seconds a sentence, in batches",
    1,
    settings,
    measure,
    show,
    timed=lambda context: settings(context)["test"],
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT, __doc__))
