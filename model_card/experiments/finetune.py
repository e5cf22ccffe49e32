"""What fine-tuning on a few labelled sentences of a domain brings: F1 on its test set before and after.

    python -m model_card experiment finetune --data DIR --sentences 50

For each CrossNER domain, sentences drawn from its train split are written as JSON Lines and trained on by
``train_sft.py --init MODEL --data FILE`` on the CPU, in a process of its own whose time and memory are
measured. A run lies under a checksum of all that it depends on; one that is there is not trained again.
"""

import argparse
import hashlib
import json
import random
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from dataset_builder.benchmarks import BENCHMARKS, MISC, Benchmark
from model_card.evidence.evaluate import evaluate
from model_card.evidence.files import read_json, write_json
from model_card.evidence.results import ROOT
from model_card.evidence.setting import default_setting
from model_card.experiments.protocol import Context, Experiment
from model_card.figures import finetune as tables
from modeling import EntityExtractor
from modeling.backbones.sources import resolve
from modeling.cli.flags import positive_number

NAME = "finetune"
CONFIG = ROOT / "modeling" / "configs" / "finetune_mini.yaml"
DOMAINS = tuple(name for name in BENCHMARKS if name.startswith("crossner_"))  # MIT has no train split here
CORES = 2
RESAMPLES = 1000


def draw(benchmark: Benchmark, count: int, seed: int) -> list[dict[str, Any]]:
    """Return labelled texts of ``count`` sentences, without ``misc``, in the form of
    ``modeling.training.labelled``.

    Raises:
        ValueError: the benchmark has fewer.
    """
    if count > len(benchmark.sentences):
        raise ValueError(
            f"{benchmark.title} {benchmark.split} has {len(benchmark.sentences)} sentences, not {count}; "
            "take fewer by --sentences"
        )
    chosen = random.Random(f"{seed}/{benchmark.name}").sample(benchmark.sentences, count)
    return [
        {
            "text": sentence.text,
            "entities": [
                {"start": e.start, "end": e.end, "type": e.type, "text": e.text}
                for e in sentence.entities
                if e.type != MISC
            ],
        }
        for sentence in chosen
    ]


def train(model: str, texts: Sequence[dict[str, Any]], folder: Path, seed: int, flags: str) -> dict[str, Any]:
    """Fine-tune ``model`` into ``folder / "model"`` on the CPU.

    Returns:
        ``seconds`` of the whole command, ``cpu_seconds``, ``peak_mib`` of memory, ``train_loss``.

    Raises:
        subprocess.CalledProcessError: the run failed; it has said why.
    """
    from dataset_builder.benchmark import measure  # only who fine-tunes needs psutil

    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "train.jsonl"
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in texts), encoding="utf-8")
    command = [sys.executable, str(ROOT / "train_sft.py"), "--init", resolve(model), "--data", str(data)]
    command += ["--output_dir", str(folder / "model"), "--seed", str(seed), "--use_cpu", "True"]
    command += ["--disable_tqdm", "True", *shlex.split(flags)]
    measured = measure(command, CORES)
    log = json.loads((folder / "model" / "training_log.json").read_text(encoding="utf-8"))
    return {
        "seconds": round(measured.seconds, 1),
        "cpu_seconds": round(measured.cpu_seconds, 1),
        "peak_mib": measured.peak_bytes // 2**20,
        "train_loss": log["metrics"]["train_loss"],
    }


def score(model: str, benchmark: Benchmark, limit: int | None) -> dict[str, Any]:
    """Return strict scores of a model in its default setting, on the CPU, with 95% intervals."""
    extractor = EntityExtractor.from_pretrained(model, device="cpu", dtype=torch.float32)
    setting = default_setting(extractor.canvas)
    kept = ("precision", "recall", "f1", "support", "bootstrap", "sentences")
    scores = evaluate(extractor, benchmark, setting, limit=limit, bootstrap=RESAMPLES)
    return {"setting": setting.name, **{name: scores[name] for name in kept}}


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the experiment's own flags."""
    parser.add_argument("--sentences", type=positive_number, default=50, help="of each domain; default: 50")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of draw and training; default: 0")
    parser.add_argument("--only", nargs="+", choices=DOMAINS, default=DOMAINS, help="domains; default: all")
    parser.add_argument("--split", default="test", choices=["dev", "test"], help="to score; choose on dev")
    parser.add_argument("--flags", default="", help='more flags of train_sft.py, such as "--max_steps 20"')


def depends(context: Context) -> dict[str, Any]:
    """Return what the results depend on besides the start."""
    args, predictor = context.args, context.predictor
    sets = [predictor.benchmark(name, split) for name in args.only for split in ("train", args.split)]
    return {
        "sentences": args.sentences,
        "seeds": args.seeds,
        "split": args.split,
        "flags": args.flags,
        "config_sha256": hashlib.sha256(CONFIG.read_bytes()).hexdigest(),
        "data_sha256": {f"{b.name}/{b.split}": b.sha256 for b in sets},
    }


def run(context: Context) -> dict[str, Any]:
    """Score each domain before and after training, seed by seed.

    Raises:
        subprocess.CalledProcessError: a training failed; its own message stands above.
    """
    args, predictor = context.args, context.predictor
    drawn = {
        (name, seed): draw(predictor.benchmark(name, "train"), args.sentences, seed)
        for name in args.only
        for seed in args.seeds
    }
    told = json.dumps({**predictor.identity, "limit": args.limit, **depends(context)}, sort_keys=True)
    work = predictor.runs.parent / NAME / hashlib.sha256(told.encode()).hexdigest()[:12]
    results: dict[str, Any] = {}
    for (name, seed), texts in tqdm(drawn.items(), disable=not predictor.progress):
        benchmark = predictor.benchmark(name, args.split)
        if name not in results:
            results[name] = {"before": score(predictor.model, benchmark, args.limit), "runs": {}}
        folder = work / f"{name}-{seed}"
        figures = read_json(folder / "scores.json")
        if figures is None:
            figures = train(predictor.model, texts, folder, seed, args.flags)
            figures |= score(str(folder / "model"), benchmark, args.limit)
            write_json(folder / "scores.json", figures)
        results[name]["runs"][str(seed)] = figures
    return results


EXPERIMENT = Experiment(
    NAME,
    "strict micro-F1 on exact (text, type), a set per sentence, without misc, all types at once; "
    "trained on sentences of the domain's train split",
    run,
    {"finetune": tables.finetune},
    depends=depends,
    flags=flags,
    standard=False,
)
