"""Strict entity F1 of a model on the benchmarks.

    python -m model_card.evaluate --model mini --data DIR
    python -m model_card.evaluate --model mini --data DIR --split dev --steps 1 2 4 8 --output dev.json
    python -m model_card.evaluate --model mini --data DIR --split dev --steps 4 --adaptive threshold 0.9

All types of a data set are asked at once, without ``misc``; the score is micro-F1 on exact (text, type), a
set per sentence, and the mean is over the data sets.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from dataset_builder.benchmarks import BENCHMARKS, MISC, Benchmark, load_benchmarks
from metric.entity_f1.scorer import score_entities
from model_card.evidence.provenance import provenance, weights_sha256
from modeling import EntityExtractor
from modeling.extraction.chunking import Entity, flat
from modeling.extraction.decoder import Options

# The option that holds each adaptive rule's bound.
ADAPTIVE = {"threshold": "confidence_threshold", "entropy": "entropy_bound"}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Setting:
    """One row of the table: how the canvas is decoded."""

    canvas: str
    decoding: str
    steps: int
    adaptive: str | None = None
    bound: float = 0.0

    @property
    def name(self) -> str:
        """Such as ``aligned, T=4`` or ``completion, grounded, threshold 0.9, T<=16``."""
        kind = self.canvas if self.canvas == "aligned" else f"{self.canvas}, {self.decoding}"
        if self.adaptive is None:
            return f"{kind}, T={self.steps}"
        return f"{kind}, {self.adaptive} {self.bound:g}, T<={self.steps}"

    def options(self) -> dict[str, Any]:
        """Return the extractor's options of the adaptive rule."""
        return (
            {} if self.adaptive is None else {"adaptive": self.adaptive, ADAPTIVE[self.adaptive]: self.bound}
        )


def evaluate(
    extractor: EntityExtractor,
    benchmark: Benchmark,
    setting: Setting,
    *,
    limit: int | None = None,
    batch_size: int = 32,
    bootstrap: int = 0,
    progress: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """Return the scores of one model on one benchmark.

    ``f1``, ``precision``, ``recall``, counts and (with ``bootstrap`` resamples) a 95% interval; ``predicted``
    counts what the model wrote, hallucinated spans included; ``hallucination`` is the share of it that is not
    in the text, ``violation`` the share of completion segments that cannot be read, ``repeated`` counts
    mentions named more often than the text has them, ``truncated`` answers that fill the longest canvas;
    ``forwards`` is the mean number of forwards over a canvas, ``seconds`` the wall time of all sentences.
    """
    sentences = benchmark.sentences[:limit]
    chosen: Options = extractor.options(
        setting.canvas, setting.decoding, setting.steps, **setting.options(), **options
    )
    documents = [(list(benchmark.types), sentence.text) for sentence in sentences]
    found: list[list[Entity]] = [[] for _ in sentences]
    hallucinated = predicted = segments = violations = 0
    requests = forwards = repeated = truncated = 0
    start = time.perf_counter()
    readings = extractor.read(documents, chosen, batch_size)
    for request, reading in tqdm(
        readings, total=len(documents), desc=f"{benchmark.title}, {setting.name}", disable=not progress
    ):
        found[request.document] += reading.entities
        check_offsets(sentences[request.document].text, request.offset, reading.entities, benchmark.types)
        hallucinated += len(reading.hallucinations)
        predicted += len(reading.entities) + len(reading.hallucinations)
        segments += reading.segments
        violations += len(reading.violations)
        requests += 1
        forwards += reading.forwards
        repeated += len(reading.repetitions)
        truncated += reading.truncated
    seconds = time.perf_counter() - start
    predictions = [[{"type": e.label, "text": e.text} for e in flat(entities)] for entities in found]
    references = [[{"type": e.type, "text": e.text} for e in s.entities if e.type != MISC] for s in sentences]
    score = score_entities(predictions, references, bootstrap=bootstrap).to_dict()
    return {
        **score,
        "sentences": len(sentences),
        "predicted": predicted,
        "hallucination": hallucinated / predicted if predicted else 0.0,
        "violation": violations / segments if segments else 0.0,
        "repeated": repeated,
        "truncated": truncated,
        "forwards": round(forwards / requests, 3) if requests else 0.0,
        "seconds": round(seconds, 2),
    }


def check_offsets(text: str, offset: int, entities: Sequence[Entity], types: Sequence[str]) -> None:
    """Check that every entity stands in the text where it says, under a type that was asked for.

    Raises:
        RuntimeError: one does not, which is a fault of the extractor.
    """
    for entity in entities:
        found = text[offset + entity.start : offset + entity.end]
        if found != entity.text or entity.label not in types:
            raise RuntimeError(
                f"{entity} is not what the text holds there ({found!r}), or of no type asked for"
            )


def table(results: dict[str, dict[str, dict[str, Any]]], names: Sequence[str]) -> str:
    """Return F1 by setting and benchmark as an aligned text table, its mean and that of the forwards last."""
    width = max([len("decoding"), *(len(setting) for setting in results)])
    short = [name.split("_")[1][:10] for name in names]
    lines = [
        "  ".join([f"{'decoding':{width}}", *(f"{name:>10}" for name in short), f"{'mean':>6}", "forwards"])
    ]
    for setting, scores in results.items():
        values = [scores[name]["f1"] * 100 for name in names if name in scores]
        cells = [f"{scores[n]['f1'] * 100:10.1f}" if n in scores else f"{'':>10}" for n in names]
        forwards = [scores[n].get("forwards", 0.0) for n in names if n in scores]
        means = [f"{sum(values) / len(values):6.1f}", f"{sum(forwards) / len(forwards):8.2f}"]
        lines.append("  ".join([f"{setting:{width}}", *cells, *means]))
    return "\n".join(lines)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini", help="Hub id or folder; default: the embedded model")
    parser.add_argument("--data", type=Path, help="folder of the benchmarks; default: download")
    parser.add_argument("--split", default="test", choices=["train", "dev", "test"], help="default: test")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, help="benchmarks to run; default: all")
    parser.add_argument("--steps", type=int, nargs="+", help="denoising steps; default: the extractor's")
    parser.add_argument(
        "--adaptive",
        nargs=2,
        metavar=("RULE", "BOUND"),
        help="threshold P or entropy NATS: steps reveal what the network is sure of, --steps are the most",
    )
    parser.add_argument(
        "--no-fit", action="store_true", help="leave completion canvases as long as they begin"
    )
    parser.add_argument("--canvas", nargs="+", choices=["aligned", "completion"], help="default: the model's")
    parser.add_argument("--decoding", nargs="+", default=["grounded"], choices=["grounded", "plain"])
    parser.add_argument("--limit", type=int, help="sentences of each benchmark; default: all")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--device", help="such as cuda or cpu; default: a GPU if there is one")
    parser.add_argument("--bootstrap", type=int, default=0, help="resamples for 95%% intervals")
    parser.add_argument("--outside-bias", type=float, help="added to the logit of O; default: the model's")
    parser.add_argument("--pad-penalty", type=float, default=0.0)
    parser.add_argument("--quantize", choices=["int8"], help="the encoder in 8-bit integers (CPU)")
    parser.add_argument("--dtype", default="float32", choices=sorted(DTYPES), help="default: float32")
    parser.add_argument(
        "--latency", type=int, default=0, help="time this many single sentences of each set instead"
    )
    parser.add_argument("--output", type=Path, help="JSON file for the results; keys it has already are kept")
    args = parser.parse_args(argv)
    args.rule, args.bound = None, 0.0
    if args.adaptive is not None:
        args.rule, bound = args.adaptive
        if args.rule not in ADAPTIVE:
            parser.error(f"--adaptive: the rule must be one of {', '.join(ADAPTIVE)}, got {args.rule!r}")
        try:
            args.bound = float(bound)
        except ValueError:
            parser.error(f"--adaptive: the bound of {args.rule} must be a number, got {bound!r}")
    return args


def latency(extractor: EntityExtractor, benchmarks: Sequence[Benchmark], count: int) -> dict[str, Any]:
    """Return the seconds that one sentence takes by itself, in the extractor's default setting.

    ``count`` sentences of each benchmark, spread over it, one call each, after a warm-up of 10 calls.
    """
    figures: dict[str, Any] = {}
    for benchmark in benchmarks:
        chosen = benchmark.sentences[:: max(1, len(benchmark.sentences) // count)][:count]
        for sentence in chosen[:10]:
            extractor.predict_entities(sentence.text, benchmark.types)
        seconds = []
        for sentence in chosen:
            start = time.perf_counter()
            extractor.predict_entities(sentence.text, benchmark.types)
            seconds.append(time.perf_counter() - start)
        seconds.sort()
        figures[benchmark.name] = {
            "sentences": len(seconds),
            "p50_ms": round(1000 * seconds[len(seconds) // 2], 1),
            "p95_ms": round(1000 * seconds[int(len(seconds) * 0.95)], 1),
        }
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = parse(argv)
    try:
        benchmarks = [
            b for b in load_benchmarks(args.split, args.data) if b.name in (args.only or BENCHMARKS)
        ]
        extractor = EntityExtractor.from_pretrained(
            args.model, device=args.device, dtype=DTYPES[args.dtype], quantize=args.quantize
        )
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    origin = provenance(extractor.device, {b.name: b.sha256 for b in benchmarks})
    names = [b.name for b in benchmarks]
    if args.latency:
        figures = latency(extractor, benchmarks, args.latency)
        for name, entry in figures.items():
            print(f"{name:20}  p50 {entry['p50_ms']:7.1f} ms  p95 {entry['p95_ms']:7.1f} ms")
        _update(args.output, {"latency": {**origin, "results": figures}})
        return 0
    options: dict[str, Any] = {"pad_penalty": args.pad_penalty, "outside_bias": args.outside_bias}
    if args.no_fit:
        options["fit_canvas"] = False
    report = {
        "what": "strict micro-F1 on exact (text, type), a set per sentence, without misc, all types at once",
        "model": args.model,
        "weights_sha256": weights_sha256(args.model),
        "split": args.split,
        "limit": args.limit,
        "dtype": args.dtype if args.quantize is None else args.quantize,
        "options": options,
        **origin,
    }
    results = _done(args.output, report)
    for setting in _settings(args, extractor):
        if setting.name in results:
            continue
        results[setting.name] = {
            b.name: evaluate(
                extractor,
                b,
                setting,
                limit=args.limit,
                batch_size=args.batch_size,
                bootstrap=args.bootstrap,
                progress=sys.stderr.isatty(),
                **options,
            )
            for b in benchmarks
        }
        print(table({setting.name: results[setting.name]}, names), flush=True)
        _update(args.output, {**report, "results": results})
    return 0


def _settings(args: argparse.Namespace, extractor: EntityExtractor) -> list[Setting]:
    return [
        Setting(canvas, decoding, steps, args.rule, args.bound)
        for canvas in args.canvas or [extractor.canvas]
        for decoding in (args.decoding if canvas == "completion" else ["grounded"])
        for steps in args.steps or [extractor.options(canvas, decoding, None, adaptive=args.rule).steps]
    ]


def _done(path: Path | None, report: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that a file has already, if it is of the same weights, data and options."""
    if path is None or not path.is_file():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    same = ("weights_sha256", "split", "limit", "dtype", "options", "data_sha256")
    return dict(kept.get("results", {})) if all(kept.get(key) == report[key] for key in same) else {}


def _update(path: Path | None, report: dict[str, Any]) -> None:
    """Write the report's keys into a JSON file, keeping the keys it does not have."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**kept, **report}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
