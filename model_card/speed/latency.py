"""How long one sentence takes by itself on this machine, with all types of its data set.

python -m model_card speed latency --data DIR --device cpu --sentences 60 --output latency.json
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

from dataset_builder.benchmarks import BENCHMARKS, Benchmark, load_benchmark
from model_card.evidence.files import write_json
from model_card.evidence.predictor import DTYPES
from model_card.evidence.provenance import provenance, weights_sha256
from model_card.evidence.timing import latency
from model_card.figures.markdown import table
from model_card.flags import add_data, add_model, add_output
from modeling import EntityExtractor
from modeling.cli.flags import positive_number

ROUNDS = 3


def measure(extractor: EntityExtractor, benchmark: Benchmark, count: int) -> dict[str, float]:
    """Return percentiles of one call, in the extractor's default setting, in milliseconds.

    ``count`` sentences spread over the benchmark, one call each. All of them are called once to warm up, then
    ``ROUNDS`` times; the fastest call of a sentence counts, for what slows a call down is other work.
    """
    chosen = benchmark.sentences[:: max(1, len(benchmark.sentences) // count)][:count]
    rounds = [[_call(extractor, s.text, benchmark.types) for s in chosen] for _ in range(1 + ROUNDS)]
    best = [min(own) for own in zip(*rounds[1:], strict=True)]
    return {"sentences": len(chosen), **latency(best)}


def _call(extractor: EntityExtractor, text: str, types: Sequence[str]) -> float:
    start = time.perf_counter()
    extractor.predict_entities(text, types)
    return time.perf_counter() - start


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    add_model(parser)
    add_data(parser)
    parser.add_argument("--quantize", choices=["int8"], help="the encoder in 8-bit integers (CPU)")
    parser.add_argument("--sentences", type=positive_number, default=60, help="of each set; default: 60")
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Measure on every test set."""
    extractor = EntityExtractor.from_pretrained(
        args.model,
        device=args.device,
        dtype=DTYPES[args.dtype],
        revision=args.revision,
        quantize=args.quantize,
    )
    sets = [load_benchmark(name, "test", args.data) for name in args.only or BENCHMARKS]
    results: dict[str, Any] = {b.name: measure(extractor, b, args.sentences) for b in sets}
    rows = [[name, f"{own['p50_ms']:.1f}", f"{own['p95_ms']:.1f}"] for name, own in results.items()]
    print(table(["test set", "p50, ms", "p95, ms"], rows))
    if args.output is not None:
        report = {
            "what": "milliseconds of one sentence by itself, all types of its data set asked",
            "model": args.model,
            "weights_sha256": weights_sha256(args.model),
            "dtype": args.quantize or args.dtype,
            **provenance(extractor.device, {b.name: b.sha256 for b in sets}),
            "results": results,
        }
        write_json(args.output, report)
    return 0
