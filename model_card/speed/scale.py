"""Annotation at scale: throughput, memory, and that nothing is lost when processes are killed.

    python -m model_card speed scale --sentences 200000 --data DIR --workers 2 --output FILE.json
    python -m model_card speed scale --overhead --tokenizer DIR --device cuda --workers 1 2 --output FILE.json

The first runs the embedded model over the benchmarks' test sentences, repeated with ids of their own: one
extractor alone on a sample, then Ray, of which a worker is killed at a quarter and the driver at half of the
parts; then the same command again, and the checker. The second sets an extractor alone beside one and more
workers at Dream-7B's shape with random weights (aligned canvas, one step); ``--layers 2 --hidden 64``
rehearses it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from model_card.evidence.files import rounded, write_json
from model_card.evidence.provenance import provenance
from model_card.flags import UsageError
from model_card.speed.cuda import dream_network
from model_card.speed.scale_run import (
    LABELS,
    Job,
    Watched,
    alone,
    command,
    growth,
    rate,
    steady_rate,
    thinned,
    watch,
    write_corpus,
)
from model_card.speed.shape import add_shape, changes_of
from modeling import load_tokenizer
from modeling.backbones.saving import write_model


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    add = parser.add_argument
    add("--sentences", type=int, default=200_000)
    add("--sample", type=int, default=4000, help="sentences of the extractor alone")
    add("--data", type=Path, help="folder of the benchmarks; otherwise they are downloaded")
    add("--workers", type=int, nargs="+", default=[2], help="with --overhead, several numbers one by one")
    add("--documents-per-part", type=int, default=1000)
    add("--model", default="mini", help="folder or Hub id; not with --overhead")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--work", type=Path, default=Path("runs") / "scale", help="folder for corpus, outputs and weights")
    add("--interval", type=float, default=1.0, help="seconds between memory samples")
    add("--output", type=Path, help="JSON file for the results")
    add("--overhead", action="store_true", help="measure what Ray costs at Dream-7B's shape")
    add("--tokenizer", default="Dream-org/Dream-v0-Base-7B", help="with --overhead: folder or Hub id")
    add_shape(parser)


def check(args: argparse.Namespace) -> None:
    """Check flags that must go together.

    Raises:
        UsageError: they do not.
    """
    if not args.overhead and len(args.workers) != 1:
        raise UsageError("several numbers of --workers need --overhead")
    if args.sentences < 8 * args.documents_per_part:
        raise UsageError("--sentences must be at least eight times --documents-per-part")


def survive(args: argparse.Namespace) -> dict[str, Any]:
    """Run with kills, run again, check; return what was measured."""
    job = _job(args, args.model, None, args.workers[0])
    report: dict[str, Any] = {"data_sha256": write_corpus(job.source, args.sentences, args.data)}
    results: dict[str, Any] = {
        "alone": alone(job, args.sample, None),
        "alone_one_thread": alone(job, args.sample, 1),
    }
    print(f"alone: {results['alone']}\nalone, one thread: {results['alone_one_thread']}", flush=True)
    parts = -(-args.sentences // args.documents_per_part)
    runs = {
        "killed": watch(job, max(1, parts // 4), parts // 2, args.interval),
        "again": watch(job, interval=args.interval),
        "once_more": watch(job, interval=args.interval),
    }
    for name, run in runs.items():
        results[name] = _described(run, args.documents_per_part)
        shown = {k: v for k, v in results[name].items() if k != "samples"}
        print(f"{name}: {json.dumps(rounded(shown))}", flush=True)
    status, printed = command("--check", str(job.output))
    results["check"] = {"status": status, "printed": printed.splitlines()}
    print(printed, flush=True)
    if best := results["again"]["documents_per_s"]:
        results["times_alone"] = best / results["alone"]["documents_per_s"]
        print(f"times the extractor alone: {results['times_alone']:.2f}", flush=True)
    results["passed"] = (
        [run.status for run in runs.values()] == [-9, 0, 0]
        and len(runs["killed"].events) == 2
        and status == 0
    )
    return {**report, "results": results}


def _described(run: Watched, documents_per_part: int) -> dict[str, Any]:
    return {
        "status": run.status,
        "seconds": run.seconds,
        "message": run.message,
        "documents_per_s": rate(run.samples, documents_per_part),
        "memory": growth(run.samples),
        "events": run.events,
        "samples": thinned(run.samples),
    }


def overhead(args: argparse.Namespace) -> dict[str, Any]:
    """Measure an extractor alone and then workers on Ray at Dream-7B's shape; return the rates."""
    folder = args.work / "dream"
    device = torch.device(args.device)
    dtype = torch.bfloat16 if args.device == "cuda" else torch.float32
    network = dream_network(device, dtype, changes_of(args))
    results: dict[str, Any] = {"parameters": sum(p.numel() for p in network.parameters())}
    write_model(network, load_tokenizer(args.tokenizer), folder)
    del network  # the workers need the memory
    if args.device == "cuda":
        torch.cuda.empty_cache()
    checksums = write_corpus(_job(args, str(folder), "aligned", 1).source, args.sentences, args.data)
    bare = alone(_job(args, str(folder), "aligned", 1), args.sentences, None)
    results["alone"] = bare
    print(f"alone: {bare}", flush=True)
    for workers in args.workers:
        job = _job(args, str(folder), "aligned", workers)
        run = watch(job, interval=args.interval)
        if run.status != 0:
            raise ValueError(f"the run with {workers} workers ended with {run.status}: {run.message}")
        found = steady_rate(job.output, args.documents_per_part, workers)
        entry = {"documents_per_s": found, "seconds": run.seconds, "memory": growth(run.samples)}
        entry["share_of_alone"] = found / (workers * bare["documents_per_s"])
        results[f"{workers} workers"] = entry
        print(f"{workers} workers: {json.dumps(rounded(entry))}", flush=True)
    shutil.rmtree(folder)
    return {"data_sha256": checksums, "layers": args.layers, "hidden": args.hidden, "results": results}


def _job(args: argparse.Namespace, model: str, canvas: str | None, workers: int) -> Job:
    return Job(
        args.work / "corpus.jsonl",
        args.work / f"annotated-{workers}",
        model,
        args.device,
        workers,
        args.documents_per_part,
        canvas,
    )


def run(args: argparse.Namespace) -> int:
    """Measure; exit status 1 if a document was lost or doubled."""
    check(args)
    for own in ("dream", *(f"annotated-{workers}" for workers in args.workers)):  # of an earlier run
        shutil.rmtree(args.work / own, ignore_errors=True)
    measured = overhead(args) if args.overhead else survive(args)
    report: dict[str, Any] = {
        "what": "an extractor alone beside workers on Ray Data at Dream-7B's shape, random weights"
        if args.overhead
        else "benchmark sentences repeated with unique ids; a worker and then the driver killed in mid-run",
        "sentences": args.sentences,
        "documents_per_part": args.documents_per_part,
        "labels": LABELS,
        **provenance(torch.device(args.device), {}),
        **measured,
    }
    report["versions"]["ray"] = importlib.metadata.version("ray")
    if args.output is not None:
        write_json(args.output, report)
    return 0 if args.overhead or report["results"]["passed"] else 1
