"""What each part of the data recipe gives: short runs from one start that differ in one thing, on dev.

    python -m model_card experiment recipe --mix runs/mix --data DIR

Every row of ``ablations.yaml`` goes on from the same weights with the same seed, steps and batches, and is
scored on CrossNER's development sets. A run lies under a checksum of all that it depends on; one that is
there is not trained again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from dataset_builder.benchmarks import Benchmark
from model_card.evidence.evaluate import evaluate
from model_card.evidence.files import read_json, write_json
from model_card.evidence.provenance import weights_sha256
from model_card.evidence.results import ROOT
from model_card.evidence.setting import Setting
from model_card.experiments.protocol import Context, Experiment
from model_card.experiments.rows import Sources, TrainingRow, training_rows
from model_card.figures.recipe import recipe
from model_card.flags import UsageError
from modeling import EntityExtractor
from modeling.backbones.sources import resolve
from modeling.cli.flags import positive_number

SETTING = Setting("aligned")
CONFIG = ROOT / "modeling" / "configs" / "train_mini.yaml"
FIXED = ("--tokens_per_batch", "4096", "--learning_rate", "1e-4", "--warmup_steps", "10", "--seed", "0")
CPU = (
    *("--use_cpu", "True"),
    *("--bf16", "False"),
    *("--dataloader_num_workers", "0"),
    *("--dataloader_prefetch_factor", "None"),
    *("--dataloader_persistent_workers", "False"),
)


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the experiment's own flags."""
    parser.add_argument("--mix", type=Path, required=True, help="folder that dataset_builder.mix wrote")
    parser.add_argument("--steps", type=positive_number, default=120, help="of every row; default: 120")
    names = [row.name for row in training_rows()]
    parser.add_argument("--rows", nargs="+", metavar="ROW", choices=names, help="names of rows; default: all")


def depends(context: Context) -> dict[str, Any]:
    """Return what the results depend on besides the start."""
    args = context.args
    rows = [row for row in training_rows() if args.rows is None or row.name in args.rows]
    return {
        "mix_sha256": hashlib.sha256((args.mix / "sources.json").read_bytes()).hexdigest(),
        "steps": args.steps,
        "flags": " ".join(FIXED),
        "rows": {row.name: asdict(row) for row in rows},
        "data_sha256": {b.name: b.sha256 for b in context.predictor.benchmarks("dev")},
    }


def variant(mix: Path, row: TrainingRow, folder: Path) -> list[str]:
    """Write a mix as a row has it, sharing the rows of text, and return the flags that train on it."""
    sources: Sources = json.loads((mix / "sources.json").read_text(encoding="utf-8"))
    changed = row.change(sources)
    # Sources left out are left out by name, for the rows still hold them.
    write_json(folder / "sources.json", {**sources, **changed})
    link = folder / "train.jsonl.gz"
    link.unlink(missing_ok=True)
    link.symlink_to((mix / "train.jsonl.gz").resolve())
    names = [] if len(changed) == len(sources) else ["--sources", *changed]
    return ["--data", str(folder), *names, *row.flags]


def run(context: Context) -> dict[str, Any]:
    """Train and score every row; the weights that all began at are the row ``before``.

    Raises:
        UsageError: the model is no folder, so that training cannot go on from it.
        subprocess.CalledProcessError: a training failed; its own message stands above.
    """
    predictor = context.predictor
    if predictor.weights is None:
        raise UsageError(f"--model {predictor.model!r} must be a folder, so that training can go on from it")
    told = depends(context)
    found = {"before": score(predictor.extractor, context, predictor.weights)}
    for row in training_rows():
        if row.name in told["rows"]:
            own = {**told, "rows": told["rows"][row.name], "start": predictor.weights}
            key = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:12]
            found[row.name] = trained(row, context, predictor.runs.parent / "recipe" / key)
    return found


def trained(row: TrainingRow, context: Context, folder: Path) -> dict[str, Any]:
    """Train and score one row, unless it is scored, and return its scores."""
    scores = read_json(folder / "dev.json")
    if scores is None:
        args, predictor = context.args, context.predictor
        model = folder / "model"
        start = ["--config", str(CONFIG), "--init", resolve(predictor.model), "--output_dir", str(model)]
        words = [*start, *variant(args.mix, row, folder / "mix"), "--max_steps", str(args.steps), *FIXED]
        words += [*(CPU if predictor.identity["device"] == "cpu" else ()), "--eval_sample_rows", "0"]
        subprocess.run([sys.executable, str(ROOT / "train_sft.py"), *words], check=True)
        extractor = EntityExtractor.from_pretrained(model, device=predictor.device)
        scores = score(extractor, context, weights_sha256(str(model)))
        write_json(folder / "dev.json", scores)
    return scores


def score(extractor: EntityExtractor, context: Context, weights: str | None) -> dict[str, Any]:
    """Return F1 of each development set and their mean."""
    benchmarks: Sequence[Benchmark] = context.predictor.benchmarks("dev")
    sets = {b.name: evaluate(extractor, b, SETTING, limit=context.limit)["f1"] for b in benchmarks}
    return {"sets": sets, "mean": fmean(sets.values()), "weights_sha256": weights}


EXPERIMENT = Experiment(
    "recipe",
    "CrossNER dev, aligned canvas, one step, strict F1, after the same few steps from one start",
    run,
    {"recipe-rows": recipe},
    depends=depends,
    flags=flags,
    standard=False,
)
