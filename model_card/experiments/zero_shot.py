"""What of the test sets the training mix holds, and how a model does on what it had seen and what it had not.

    python -m model_card experiment zero_shot --mix runs/mix --data DIR --model mini

Counts test sentences, mentions and types that occur in the mix (``dataset_builder.contamination``), and
scores the model's answers apart: F1 on types that training asked for and on types it never did, recall of
mentions that training marks with the same type and of new ones. All types of a data set are asked at once,
without ``misc``, under the setting that users get if they name none.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from dataset_builder.benchmarks import BENCHMARKS, Benchmark
from dataset_builder.contamination import Overlap, compare
from dataset_builder.mix.built import passages, type_names
from model_card.evidence.predictions import Item, Prediction
from model_card.evidence.scores import references, strict, written
from model_card.experiments.protocol import Context, Experiment
from model_card.figures.zero_shot import zero_shot

NAME = "zero_shot"
FILES = ("sources.json", "train.jsonl.gz")  # of a mix, by which it is known again


def overlaps_of(mix: Path, benchmarks: Sequence[Benchmark]) -> list[Overlap]:
    """Compare the training split of a mix with benchmarks.

    Raises:
        FileNotFoundError: the folder is no mix.
    """
    return compare(passages(mix), benchmarks, type_names(mix))


def scores_of(prediction: Prediction, benchmark: Benchmark, overlap: Overlap) -> dict[str, Any]:
    """Return strict scores of a model's answers, on what was seen and on what was not.

    ``f1``; ``seen`` and ``unseen`` with precision, recall, F1 and support over types; ``recall_seen`` and
    ``recall_new`` over (type, text) pairs of a sentence that training marks or does not, each with how many
    there are (``mentions_seen``, ``mentions_new``).
    """
    score = strict(prediction, benchmark, seen=overlap.seen)
    hits: dict[bool, list[bool]] = {True: [], False: []}
    gold = references(benchmark, len(prediction.answers))
    for own, right in zip(written(prediction, benchmark), gold, strict=True):
        said = _pairs(own)
        for kind, text in sorted(_pairs(right)):
            hits[overlap.knows(text, kind)].append((kind, text) in said)
    return {
        "f1": score["f1"],
        "seen": score["seen"],
        "unseen": score["unseen"],
        "recall_seen": _share(hits[True]),
        "recall_new": _share(hits[False]),
        "mentions_seen": len(hits[True]),
        "mentions_new": len(hits[False]),
    }


def _pairs(entities: Sequence[Item]) -> set[tuple[str, str]]:
    return {(entity["type"], entity["text"]) for entity in entities}


def _share(hits: Collection[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the experiment's own flags."""
    parser.add_argument("--mix", type=Path, required=True, help="folder that dataset_builder.mix wrote")
    parser.add_argument(
        "--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), help="default: all"
    )


def depends(context: Context) -> dict[str, Any]:
    """Return what the results depend on besides the model."""
    mix = context.args.mix
    type_names(mix)  # says what is missing
    sets = [context.predictor.benchmark(name) for name in context.args.only]
    return {
        "mix_sha256": {name: hashlib.sha256((mix / name).read_bytes()).hexdigest() for name in FILES},
        "data_sha256": {b.name: b.sha256 for b in sets},
    }


def run(context: Context) -> dict[str, Any]:
    """Count what training had seen, and score what it had seen and what it had not."""
    predictor, setting = context.predictor, context.headline
    benchmarks = [predictor.benchmark(name) for name in context.args.only]
    overlaps = overlaps_of(context.args.mix, benchmarks)
    pairs = list(zip(benchmarks, overlaps, strict=True))
    return {
        "setting": setting.name,
        "sets": {benchmark.name: overlap.figures() for benchmark, overlap in pairs},
        "scores": {b.name: scores_of(predictor(setting, b), b, overlap) for b, overlap in pairs},
    }


EXPERIMENT = Experiment(
    NAME,
    "test sentences, mentions and types that the training mix holds, and strict F1 on both parts",
    run,
    {"zero-shot": zero_shot},
    depends=depends,
    flags=flags,
    standard=False,
)
