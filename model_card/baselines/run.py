"""Answer the benchmarks with a baseline and keep the answers beside the model's own.

    python -m model_card baseline --system uniner --data DIR
    python -m model_card baseline --system uniner --model ORG/MODEL --engine transformers --data DIR
    python -m model_card baseline --system gliner --model urchade/gliner_small-v2.1 --data DIR

A set that has been answered is not asked again. The experiments find the answers under ``runs/evidence`` and
score them as they score the model's.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dataset_builder.benchmark_queries import QuerySet, queries_of
from dataset_builder.benchmarks import BENCHMARKS, Benchmark, load_benchmark
from model_card.baselines.engines import TransformersEngine, VllmEngine
from model_card.baselines.systems import ConversationSystem, GlinerSystem, System
from model_card.evidence.files import write_json
from model_card.evidence.predictions import BASELINE, RUNS, Prediction, baseline_folder, save, unit_path
from model_card.evidence.provenance import provenance
from model_card.evidence.scores import strict, uniner
from model_card.flags import add_data, add_device
from modeling.cli.flags import positive_number

MODELS = {"uniner": "Universal-NER/UniNER-7B-type", "gliner": "urchade/gliner_small-v2.1"}


def make_system(args: argparse.Namespace, model: str) -> System:
    """Return the system that the command line names.

    Raises:
        ImportError: its package is not installed; the message says how to.
    """
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if args.system == "gliner":
        return GlinerSystem(model, device=device, batch_size=args.batch_size)
    if args.engine == "vllm":
        return ConversationSystem(VllmEngine(model, eager=args.eager, memory=args.memory))
    return ConversationSystem(
        TransformersEngine(model, device=device, batch_size=args.batch_size, progress=sys.stderr.isatty())
    )


def ask(
    system: System, benchmark: Benchmark, queries: QuerySet | None, args: argparse.Namespace, model: str
) -> Prediction:
    """Return a system's answers to one set, with how long they took."""
    sentences = benchmark.sentences[: args.limit]
    start = time.perf_counter()
    answers = system.answer(benchmark, sentences, queries)
    seconds = time.perf_counter() - start
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    origin = provenance(device, {})
    header: dict[str, Any] = {
        "system": model if model.count("/") == 1 else Path(model).name,
        "setting": system.setting,
        "set": benchmark.name,
        "split": benchmark.split,
        "data_sha256": benchmark.sha256,
        "sentences": len(sentences),
        "limit": args.limit,
        "seconds": round(seconds, 3),
        **{key: origin[key] for key in ("command", "commit", "date", "hardware", "python", "versions")},
    }
    return Prediction(header, [[answer] for answer in answers])


def path_test(path: Path, note: str, done: Sequence[tuple[Benchmark, QuerySet | None, Prediction]]) -> None:
    """Write a results file that shows the path was walked: its figures are no evidence of quality."""
    sets = {}
    for benchmark, queries, prediction in done:
        finals = prediction.final
        sets[benchmark.name] = {
            "sentences": len(finals),
            "queries": sum(a.segments for a in finals),
            "unreadable": sum(a.violations for a in finals),
            "entities": sum(len(a.entities) for a in finals),
            "not_in_text": sum(len(a.invented) for a in finals),
            "seconds": prediction.header["seconds"],
            "strict": strict(prediction, benchmark),
            "uniner": uniner(prediction, benchmark, queries),
        }
    origin = done[0][2].header
    report = {
        "what": "path test, no evidence of quality",
        "note": note,
        **{
            key: origin[key]
            for key in ("system", "setting", "command", "commit", "date", "hardware", "versions")
        },
        "sets": sets,
    }
    write_json(path, report)


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.add_argument("--system", choices=sorted(MODELS), required=True)
    parser.add_argument(
        "--model", help=f"Hub id or folder; default: {MODELS['uniner']} or {MODELS['gliner']}"
    )
    parser.add_argument("--engine", choices=["vllm", "transformers"], default="vllm", help="of uniner")
    add_data(parser)
    add_device(parser)
    parser.add_argument("--batch-size", type=positive_number, default=8, help="of transformers and GLiNER")
    parser.add_argument("--eager", action="store_true", help="vLLM without CUDA graphs: starts faster")
    parser.add_argument("--memory", type=float, default=0.85, help="vLLM's share of the GPU's memory")
    parser.add_argument("--runs", type=Path, default=RUNS, help=f"folder of the answers; default: {RUNS}")
    parser.add_argument("--path-test", type=Path, help="also write what came out, labelled as a path test")
    parser.add_argument("--note", default="", help="what the path test's model is")


def run(args: argparse.Namespace) -> int:
    """Ask every set that is not answered yet."""
    model = args.model or MODELS[args.system]
    base = baseline_folder(model, args.runs)
    todo = []
    names = args.only or list(BENCHMARKS)
    for name in names:
        benchmark = load_benchmark(name, "test", args.data)
        if not unit_path(base, BASELINE, benchmark, args.limit).is_file():
            todo.append((benchmark, queries_of(name, args.data)))
    system = make_system(args, model) if todo else None
    done = []
    for benchmark, queries in todo:
        assert system is not None  # made if there is anything to do
        prediction = ask(system, benchmark, queries, args, model)
        save(unit_path(base, BASELINE, benchmark, args.limit), prediction)
        done.append((benchmark, queries, prediction))
        seconds = prediction.header["seconds"]
        print(f"{benchmark.title}: {len(prediction.answers)} sentences, {seconds:.1f} s")
    if args.path_test is not None and done:
        path_test(args.path_test, args.note, done)
    print(f"{len(done)} sets answered, {len(names) - len(done)} kept, in {base}")
    return 0
