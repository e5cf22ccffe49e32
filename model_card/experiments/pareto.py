"""Quality against work: both canvases, 1 to 32 denoising steps and adaptive decoding, baselines as points.

    python -m model_card experiment pareto --model mini --data DIR --device cuda

F1 is that of `main`. Work is the number of forwards over a sentence, which no machine and no load changes.
The wall clock of one sentence in a full batch stands beside it where it was measured, alone on the machine
(100 sentences of each set, all types of the set, after a warm-up).
"""

from statistics import fmean
from typing import Any

from model_card.evidence.files import read_json, write_json
from model_card.evidence.intervals import mean_f1
from model_card.evidence.setting import Setting, adaptive, fixed
from model_card.experiments.protocol import Context, Experiment
from model_card.figures import behaviour
from modeling.backbones.devices import checked_device


def settings(context: Context) -> dict[str, list[Setting]]:
    """Return every number of steps, and adaptive, on each canvas."""
    return {"test": [s for canvas in context.canvases for s in (*fixed(canvas), *adaptive(canvas))]}


def timing(context: Context, setting: Setting) -> dict[str, Any]:
    """Return the kept speed of a setting, or measure it and keep it; nothing where its device is not here."""
    folder = "timing" if context.limit is None else f"timing-first-{context.limit}"
    path = context.predictor.folder / folder / f"{setting.slug}.json"
    if not path.is_file():
        try:
            checked_device(context.predictor.device)
        except ValueError:
            return {}
        write_json(path, context.predictor.seconds_per_sentence(setting))
    return read_json(path)


def run(context: Context) -> dict[str, Any]:
    """Put F1, forwards and time of every setting side by side, and mark the points that no other beats."""
    points = {}
    for setting in settings(context)["test"]:
        forwards = [a.forwards for _, p in context.predictions(setting) for a in p.final]
        points[setting.name] = {
            "canvas": setting.canvas,
            "steps": setting.steps,
            "adaptive": setting.adaptive,
            **mean_f1(context.counts(setting)),
            **timing(context, setting),
            "forwards": fmean(forwards),  # of all sentences; a timing counts those it read
        }
    for point in points.values():
        point["optimal"] = not any(_dominates(other, point) for other in points.values())
    return {"points": points, "baselines": _baselines(context)}


def _dominates(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether one point is as good with as few forwards at least, and better in one of the two."""
    better, fewer = one["f1"] - other["f1"], other["forwards"] - one["forwards"]
    return better >= 0 and fewer >= 0 and (better > 0 or fewer > 0)


def _baselines(context: Context) -> dict[str, Any]:
    """Return the baselines that have answered all sets and were timed with them."""
    found = {}
    for name in context.baselines:
        counts, seconds, sentences, origin = [], 0.0, 0, {}
        for benchmark in context.predictor.benchmarks():
            prediction = context.baseline(name, benchmark)
            if prediction is None:
                break
            counts.append(context.counts_of(prediction, benchmark))
            seconds += prediction.header["seconds"]
            sentences += len(prediction.answers)
            origin = {"hardware": prediction.header["hardware"], "versions": prediction.header["versions"]}
        else:
            found[name] = {**mean_f1(counts), "seconds_per_sentence": seconds / sentences, **origin}
    return found


EXPERIMENT = Experiment(
    "pareto",
    "mean strict F1 against wall-clock seconds a sentence, in batches",
    run,
    {"pareto": behaviour.pareto},
    settings=settings,
    timed=lambda context: settings(context)["test"],
)
