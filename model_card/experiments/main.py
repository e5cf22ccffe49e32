"""F1 on the seven benchmarks, in every reading, against every baseline at hand.

    python -m model_card experiment main --model mini --data DIR

The headline is strict micro-F1 on exact (text, type), a set per sentence, without CrossNER's ``misc``, all
types of the data set asked at once. What a system wrote that is not in the text counts as wrong.
"""

from typing import Any

from model_card.evidence.intervals import RESAMPLES, difference, mean_f1
from model_card.evidence.results import read
from model_card.evidence.scores import strict, uniner, written
from model_card.evidence.setting import Setting, default_setting
from model_card.experiments.protocol import Context, Experiment
from model_card.figures import quality

TYPES_FILE = "seen_types"
FEW, MANY = 1, 8  # the steps that the paper's claim compares


def settings(context: Context) -> dict[str, list[Setting]]:
    """Return both ends of the steps and the default on each canvas, and the headline with ``misc`` asked."""
    chosen = [context.headline]
    for canvas in context.canvases:
        chosen += [default_setting(canvas), Setting(canvas, steps=FEW), Setting(canvas, steps=MANY)]
    head = context.headline
    chosen.append(Setting(head.canvas, head.decoding, head.steps, adaptive=head.adaptive, misc=True))
    return {"test": list(dict.fromkeys(chosen))}


def run(context: Context) -> dict[str, Any]:
    """Score every setting, compare steps, compare with baselines."""
    seen = seen_types(context)
    rows = {s.name: _row(context, s, seen) for s in settings(context)["test"] if not s.misc}
    for setting in settings(context)["test"]:
        if setting.misc:
            rows[context.headline.name]["with_misc"] = {
                b.name: strict(p, b, misc=True, bootstrap=RESAMPLES) for b, p in context.predictions(setting)
            }
    return {
        "headline": context.headline.name,
        "settings": rows,
        "steps": {canvas: _steps(context, canvas) for canvas in context.canvases},
        "baselines": {name: _baseline(context, name) for name in context.baselines},
    }


def seen_types(context: Context) -> list[str] | None:
    """Return the types that the model was trained on, if a results file says so."""
    report = read(context.results, TYPES_FILE)
    return None if report is None else list(report["results"]["types"])


def _row(context: Context, setting: Setting, seen: list[str] | None) -> dict[str, Any]:
    sets: dict[str, Any] = {}
    counts = []
    for benchmark, prediction in context.predictions(setting):
        score = strict(prediction, benchmark, seen=seen, per_type=True, bootstrap=RESAMPLES)
        sets[benchmark.name] = {
            **score,
            "span": strict(prediction, benchmark, span=True, bootstrap=RESAMPLES),
            "uniner": uniner(prediction, benchmark, context.queries(benchmark.name)),
        }
        counts.append(context.counts_of(prediction, benchmark))
    return {"sets": sets, "mean": mean_f1(counts), "means": _means(sets)}


def _means(sets: dict[str, Any]) -> dict[str, float]:
    """Return the means over the sets of the readings that have no interval of their own."""
    readings = {
        "span": [s["span"]["f1"] for s in sets.values()],
        "uniner": [s["uniner"]["f1"] for s in sets.values()],
    }
    for part in ("seen", "unseen"):
        # A set all of whose types were trained on has no unseen ones.
        readings[part] = [s[part]["f1"] for s in sets.values() if part in s and s[part]["support"]]
    return {name: sum(values) / len(values) for name, values in readings.items() if values}


def _steps(context: Context, canvas: str) -> dict[str, Any]:
    """Compare many steps with one on the same sentences."""
    few, many = Setting(canvas, steps=FEW), Setting(canvas, steps=MANY)
    pairs = zip(context.predictions(few), context.predictions(many), strict=True)
    sets, first, second = {}, [], []
    for (benchmark, one), (_, eight) in pairs:
        score = strict(eight, benchmark, bootstrap=RESAMPLES, baseline=written(one, benchmark))
        sets[benchmark.name] = score["paired"]
        first.append(context.counts_of(eight, benchmark))
        second.append(context.counts_of(one, benchmark))
    better = sum(entry["f1_difference"] > 0 for entry in sets.values())
    surely = sum(entry["interval"][0] > 0 for entry in sets.values())
    return {
        "few": few.name,
        "many": many.name,
        "sets": sets,
        "mean": difference(first, second),
        "better_on": better,
        "better_beyond_chance_on": surely,
    }


def _baseline(context: Context, name: str) -> dict[str, Any]:
    """Score a baseline's answers and compare the headline setting with them."""
    sets, own, other = {}, [], []
    setting = "not said"
    for benchmark, prediction in context.predictions(context.headline):
        against = context.baseline(name, benchmark)
        if against is None:
            continue
        setting = against.header["setting"]
        score = strict(prediction, benchmark, bootstrap=RESAMPLES, baseline=written(against, benchmark))
        sets[benchmark.name] = {
            **strict(against, benchmark, bootstrap=RESAMPLES),
            "span": strict(against, benchmark, span=True),
            "uniner": uniner(against, benchmark, context.queries(benchmark.name)),
            "against": score["paired"],
        }
        own.append(context.counts_of(prediction, benchmark))
        other.append(context.counts_of(against, benchmark))
    return {"setting": setting, "sets": sets, "mean": mean_f1(other), "against": difference(own, other)}


def depends(context: Context) -> dict[str, Any]:
    """Return what the results depend on besides predictions."""
    report = read(context.results, TYPES_FILE)
    return {"seen_types": None if report is None else report["results"]["source_sha256"]}


EXPERIMENT = Experiment(
    "main",
    "strict micro-F1 on exact (text, type), a set per sentence, without misc, all types at once",
    run,
    {
        "f1": quality.headline,
        "readings": quality.readings,
        "steps": quality.steps,
        "baselines": quality.baselines,
    },
    settings=settings,
    depends=depends,
)
