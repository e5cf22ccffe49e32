"""What fine-tuning on a few labelled sentences of a domain brings: F1 on its test set before and after.

    python -m model_card.finetune --data DIR --sentences 50

For each CrossNER domain, sentences drawn from its train split are written as JSON Lines and trained on by
``train_sft.py --init MODEL --data FILE`` on the CPU, in a process of its own whose time and memory are
measured. A domain that the output holds already, of the same weights, data and settings, is kept.
"""

import argparse
import hashlib
import json
import random
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from dataset_builder.benchmark import measure
from dataset_builder.benchmarks import BENCHMARKS, MISC, Benchmark, load_benchmark
from model_card.evidence.evaluate import Setting, evaluate
from model_card.evidence.predictions import RUNS
from model_card.evidence.provenance import ROOT, provenance, weights_sha256
from model_card.evidence.results import RESULTS, write
from modeling import EntityExtractor
from modeling.backbones.sources import resolve

NAME = "finetune"
CONFIG = ROOT / "modeling" / "configs" / "finetune_mini.yaml"
DOMAINS = tuple(name for name in BENCHMARKS if name.startswith("crossner_"))  # MIT has no train split here
CORES = 2
RESAMPLES = 1000
# What a kept domain must agree in.
SAME = ("weights_sha256", "sentences", "split", "limit", "config_sha256", "flags", "data_sha256")


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
    decoding = "grounded"
    steps = extractor.options(extractor.canvas, decoding, None).steps
    setting = Setting(extractor.canvas, decoding, steps)
    kept = ("precision", "recall", "f1", "support", "bootstrap", "sentences")
    scores = evaluate(extractor, benchmark, setting, limit=limit, bootstrap=RESAMPLES, progress=False)
    return {"setting": setting.name, **{name: scores[name] for name in kept}}


def show(results: dict[str, Any]) -> str:
    """Return F1 before and after of every domain, in lines."""
    lines = [f"{'domain':22} {'before':>6}  after (seed: F1, seconds, MiB)"]
    for name, entry in results.items():
        runs = [
            f"{seed}: {100 * run['f1']:.1f}, {run['seconds']:.0f} s, {run['peak_mib']:,} MiB"
            for seed, run in entry["runs"].items()
        ]
        lines.append(f"{name:22} {100 * entry['before']['f1']:6.1f}  {'; '.join(runs)}")
    return "\n".join(lines)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini", help="pointer checkpoint to go on from; default: mini")
    parser.add_argument("--data", type=Path, help="folder of the benchmarks; default: download")
    parser.add_argument("--sentences", type=int, default=50, help="to train on, of each domain; default: 50")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of draw and training; default: 0")
    parser.add_argument("--only", nargs="+", choices=DOMAINS, help="domains; default: all five")
    parser.add_argument("--split", default="test", choices=["dev", "test"], help="to score; choose on dev")
    parser.add_argument("--flags", default="", help='more flags of train_sft.py, such as "--max_steps 20"')
    parser.add_argument("--limit", type=int, help="sentences to score; default: all")
    parser.add_argument("--work", type=Path, default=RUNS.parent / NAME, help="folder of the trained models")
    parser.add_argument("--output", type=Path, default=RESULTS / f"{NAME}.json", help=f"default: {NAME}.json")
    args = parser.parse_args(argv)
    if args.sentences < 1:
        parser.error(f"--sentences must be at least 1, got {args.sentences}")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = parse(argv)
    try:
        trains = {name: load_benchmark(name, "train", args.data) for name in DOMAINS}
        scored = {name: load_benchmark(name, args.split, args.data) for name in DOMAINS}
        checksum = weights_sha256(args.model)
        chosen = args.only or DOMAINS
        drawn = {(n, s): draw(trains[n], args.sentences, s) for n in chosen for s in args.seeds}
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    data = {f"{b.name}/{b.split}": b.sha256 for b in (*trains.values(), *scored.values())}
    report: dict[str, Any] = {
        "what": "strict micro-F1 on exact (text, type), a set per sentence, without misc, all types at once; "
        "trained on sentences of the domain's train split",
        "model": args.model,
        "weights_sha256": checksum,
        "sentences": args.sentences,
        "split": args.split,
        "limit": args.limit,
        "config_sha256": hashlib.sha256(CONFIG.read_bytes()).hexdigest(),
        "flags": args.flags,
        "resamples": RESAMPLES,
        **provenance(torch.device("cpu"), data),
    }
    results = _kept(args.output, report)
    todo = [(n, s) for n, s in drawn if str(s) not in results.get(n, {}).get("runs", {})]
    for name, seed in tqdm(todo, disable=not sys.stderr.isatty()):
        if name not in results:
            results[name] = {"before": score(args.model, scored[name], args.limit), "runs": {}}
        folder = args.work / f"{name}-{seed}"
        try:
            figures = train(args.model, drawn[name, seed], folder, seed, args.flags)
        except subprocess.CalledProcessError as error:
            print(f"error: training on {name} ended with status {error.returncode}", file=sys.stderr)
            return 1
        figures |= score(str(folder / "model"), scored[name], args.limit)
        results[name]["runs"][str(seed)] = figures
        ordered = {n: results[n] for n in DOMAINS if n in results}
        write(args.output.parent, args.output.stem, {**report, "results": ordered})
    print(show({n: results[n] for n in DOMAINS if n in results}))
    return 0


def _kept(path: Path, report: dict[str, Any]) -> dict[str, Any]:
    """Return the domains that a file has already, if they are of the same weights, data and settings."""
    if not path.is_file():
        return {}
    old = json.loads(path.read_text(encoding="utf-8"))
    return dict(old["results"]) if all(old.get(key) == report[key] for key in SAME) else {}


if __name__ == "__main__":
    sys.exit(main())
