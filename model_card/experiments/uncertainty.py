"""Do ten seeded runs and the score know when an answer is right?

    python -m model_card experiment uncertainty --model mini --data DIR

For each entity of the deterministic answer: its score, and the share of ten sampled runs (temperature 1) that
hold the same span and type. Right is what stands in the reference under that type with these offsets.
AUROC and the risk-coverage curve say whether the confidence tells right from wrong; the calibration error
says whether 80% means 80%, before and after one temperature fitted on the dev sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dataset_builder.benchmarks import Benchmark
from model_card.evidence.calibration import (
    area_under_risk,
    auroc,
    bootstrap_interval,
    correlation,
    expected_calibration_error,
    fit_temperature,
    reliability,
    risk_coverage,
    scaled,
)
from model_card.evidence.predictions import Answer
from model_card.evidence.setting import SAMPLES, SAMPLING_TEMPERATURE, Setting
from model_card.experiments.protocol import Context, Experiment
from model_card.figures import behaviour

CONFIDENCES = ("score", "agreement")


@dataclass
class Judged:
    """Entities with their confidences and whether they are right, over some sentences."""

    score: list[float] = field(default_factory=list)
    agreement: list[float] = field(default_factory=list)
    correct: list[bool] = field(default_factory=list)
    sentence: list[int] = field(default_factory=list)

    def add(self, other: "Judged") -> None:
        """Append the entities of other sentences."""
        shift = max(self.sentence, default=-1) + 1
        self.score += other.score
        self.agreement += other.agreement
        self.correct += other.correct
        self.sentence += [s + shift for s in other.sentence]


def sampled(setting: Setting) -> Setting:
    """Return the setting whose seeded runs are compared with it."""
    return Setting(
        setting.canvas,
        setting.decoding,
        setting.steps,
        adaptive=setting.adaptive,
        temperature=SAMPLING_TEMPERATURE,
        answers="samples",
    )


def settings(context: Context) -> dict[str, list[Setting]]:
    """Return the headline setting and its seeded runs, on the test sets and on dev."""
    chosen = [context.headline, sampled(context.headline)]
    return {"test": chosen, "dev": chosen}


def run(context: Context) -> dict[str, Any]:
    """Judge the confidences on each test set and on all of them; calibrate them on dev."""
    dev = Judged()
    for own in _judged(context, "dev").values():
        dev.add(own)
    tests = _judged(context, "test")
    everything = Judged()
    for own in tests.values():
        everything.add(own)
    # Without a single entity on dev there is nothing to fit; the results say on how many it was done.
    fitted = {
        kind: fit_temperature(getattr(dev, kind), dev.correct) if dev.correct else 1.0 for kind in CONFIDENCES
    }
    return {
        "setting": context.headline.name,
        "runs": SAMPLES,
        "sampling_temperature": SAMPLING_TEMPERATURE,
        "fitted_temperature": fitted,
        "fitted_on": f"{len(dev.correct)} entities of CrossNER dev",
        "all": {kind: _figures(everything, kind, fitted[kind], curves=True) for kind in CONFIDENCES},
        "sets": {
            name: {kind: _figures(own, kind, fitted[kind]) for kind in CONFIDENCES}
            for name, own in tests.items()
        },
    }


def judge(benchmark: Benchmark, finals: Sequence[Answer], runs: Sequence[Sequence[Answer]]) -> Judged:
    """Return the entities of the final answers with both confidences and whether they are right."""
    judged = Judged()
    rows = zip(benchmark.sentences, finals, runs, strict=False)
    for number, (sentence, final, samples) in enumerate(rows):
        gold = {(e.type, e.start, e.end) for e in sentence.entities}
        found = [{(e.label, e.start, e.end) for e in sample.entities} for sample in samples]
        for entity in final.entities:
            key = (entity.label, entity.start, entity.end)
            judged.score.append(entity.score)
            judged.agreement.append(sum(key in own for own in found) / len(found))
            judged.correct.append(key in gold)
            judged.sentence.append(number)
    return judged


def _judged(context: Context, split: str) -> dict[str, Judged]:
    plain = context.predictions(context.headline, split)
    seeded = context.predictions(sampled(context.headline), split)
    return {
        benchmark.name: judge(benchmark, prediction.final, runs.answers)
        for (benchmark, prediction), (_, runs) in zip(plain, seeded, strict=True)
    }


def _figures(judged: Judged, kind: str, temperature: float, *, curves: bool = False) -> dict[str, Any]:
    confidence, correct = getattr(judged, kind), judged.correct
    if all(correct) or not any(correct):  # also of no entities at all
        return {"entities": len(correct), "right": sum(correct)}
    after = scaled(confidence, temperature)
    figures = {
        "entities": len(correct),
        "right": sum(correct),
        "auroc": auroc(confidence, correct),
        "auroc_interval": bootstrap_interval(auroc, confidence, correct, judged.sentence),
        "correlation": correlation(confidence, correct),
        "ece_before": expected_calibration_error(confidence, correct),
        "ece_after": expected_calibration_error(after, correct),
        "area_under_risk": area_under_risk(confidence, correct),
        "risk_at_full_coverage": 1 - sum(correct) / len(correct),
    }
    if curves:
        figures["risk_coverage"] = risk_coverage(confidence, correct)
        figures["reliability_before"] = reliability(confidence, correct)
        figures["reliability_after"] = reliability(after, correct)
    return figures


EXPERIMENT = Experiment(
    "uncertainty",
    "agreement of ten seeded runs and the score against correctness of each entity",
    run,
    {"uncertainty": behaviour.uncertainty},
    settings=settings,
)
