"""Strict entity F1 of a model on the benchmarks.

    python -m model_card evaluate --model mini --data DIR
    python -m model_card evaluate --model mini --data DIR --split dev --steps 1 2 4 8 --output dev.json
    python -m model_card evaluate --model mini --data DIR --split dev --steps 4 --adaptive threshold 0.9

All types of a data set are asked at once, without ``misc``; the score is micro-F1 on exact (text, type), a
set per sentence, and the mean is over the data sets. What is written but not in the text counts as wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from dataset_builder.benchmarks import BENCHMARKS, Benchmark, load_benchmark, source_of
from model_card.evidence.answers import answers_of
from model_card.evidence.files import read_json, write_json
from model_card.evidence.predictions import Prediction
from model_card.evidence.predictor import Predictor
from model_card.evidence.provenance import provenance
from model_card.evidence.scores import strict
from model_card.evidence.setting import BOUNDS, Setting
from model_card.figures.markdown import points, table
from model_card.flags import UsageError, add_data, add_model, add_output
from modeling import EntityExtractor
from modeling.cli.flags import positive_number

WHAT = "strict micro-F1 on exact (text, type), a set per sentence, without misc, all types at once"
# What a kept report must agree in.
SAME = ("weights_sha256", "hub_commit", "split", "limit", "dtype", "device", "data_sha256")


def evaluate(
    extractor: EntityExtractor,
    benchmark: Benchmark,
    setting: Setting,
    *,
    limit: int | None = None,
    batch_size: int = 32,
    bootstrap: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Return the scores of one model on one benchmark; see `summary`."""
    sentences = benchmark.sentences[:limit]
    title = f"{benchmark.title}, {setting.name}" if progress else None
    documents = [(benchmark.types, sentence.text) for sentence in sentences]
    answers = answers_of(extractor, documents, setting, batch_size, title)
    return summary(Prediction({}, answers), benchmark, bootstrap)


def summary(prediction: Prediction, benchmark: Benchmark, bootstrap: int = 0) -> dict[str, Any]:
    """Return the scores of the answers to one benchmark.

    ``f1``, ``precision``, ``recall``, counts and (with ``bootstrap`` resamples) a 95% interval; ``predicted``
    counts what the model wrote, hallucinated spans included; ``hallucination`` is the share of it that is not
    in the text, ``violation`` the share of completion segments that cannot be read, ``repeated`` counts
    mentions named more often than the text has them, ``truncated`` answers that fill the longest canvas;
    ``forwards`` is the mean number of forwards for a sentence.
    """
    finals = prediction.final
    invented = sum(len(a.invented) for a in finals)
    predicted = invented + sum(len(a.entities) for a in finals)
    segments = sum(a.segments for a in finals)
    return {
        **strict(prediction, benchmark, bootstrap=bootstrap),
        "sentences": len(finals),
        "predicted": predicted,
        "hallucination": invented / predicted if predicted else 0.0,
        "violation": sum(a.violations for a in finals) / segments if segments else 0.0,
        "repeated": sum(a.repeated for a in finals),
        "truncated": sum(a.truncated for a in finals),
        "forwards": round(fmean(a.forwards for a in finals), 3) if finals else 0.0,
    }


def score_table(results: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Return F1 by setting and set as a Markdown table, with the mean of F1 and of the forwards."""
    names = list(next(iter(results.values())))
    rows = []
    for setting, scores in results.items():
        f1 = [own["f1"] for own in scores.values()]
        forwards = fmean(own["forwards"] for own in scores.values())
        rows.append([setting, *map(points, f1), points(fmean(f1)), f"{forwards:.2f}"])
    return table(["decoding", *names, "mean", "forwards"], rows)


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    add_model(parser)
    add_data(parser)
    parser.add_argument("--split", default="test", choices=["train", "dev", "test"], help="default: test")
    parser.add_argument("--steps", type=positive_number, nargs="+", help="default: the extractor's")
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
    parser.add_argument("--bootstrap", type=int, default=0, help="resamples for 95%% intervals")
    parser.add_argument("--outside-bias", type=float, help="added to the logit of O; default: the model's")
    parser.add_argument("--pad-penalty", type=float, default=0.0)
    parser.add_argument("--quantize", choices=["int8"], help="the encoder in 8-bit integers (CPU)")
    parser.add_argument("--latency", help=argparse.SUPPRESS)  # a command of its own now
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate every setting that the flags name; what the output holds already is kept."""
    if args.latency is not None:
        raise UsageError(f"--latency is now: python -m model_card speed latency --sentences {args.latency}")
    rule, bound = _rule(args.adaptive)
    predictor = Predictor(
        args.model,
        device=args.device,
        dtype=args.dtype,
        quantize=args.quantize,
        revision=args.revision,
    )
    names = [n for n in args.only or BENCHMARKS if args.split in source_of(n).sizes]
    benchmarks = [load_benchmark(name, args.split, args.data) for name in names]
    extractor = predictor.extractor
    report = {
        "what": WHAT,
        "model": args.model,
        **predictor.identity,
        "split": args.split,
        "limit": args.limit,
        **provenance(extractor.device, {b.name: b.sha256 for b in benchmarks}),
    }
    kept = None if args.output is None else read_json(args.output)
    same = kept is not None and all(kept.get(key) == report.get(key) for key in SAME)
    results: dict[str, Any] = kept["results"] if kept is not None and same else {}
    for canvas in args.canvas or [extractor.canvas]:
        for decoding in args.decoding if canvas == "completion" else ["grounded"]:
            for steps in args.steps or [extractor.options(canvas, decoding, None, adaptive=rule).steps]:
                setting = Setting(
                    canvas,
                    decoding,
                    steps,
                    adaptive=rule,
                    bound=bound,
                    pad_penalty=args.pad_penalty,
                    outside_bias=args.outside_bias,
                    fit_canvas=False if args.no_fit else None,
                )
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
                    )
                    for b in benchmarks
                }
                print(score_table({setting.name: results[setting.name]}), flush=True)
                if args.output is not None:
                    write_json(args.output, {**report, "results": results})
    return 0


def _rule(given: Sequence[str] | None) -> tuple[str | None, float | None]:
    """Return the adaptive rule and its bound.

    Raises:
        UsageError: there is no such rule, or the bound is no number.
    """
    if given is None:
        return None, None
    rule, bound = given
    if rule not in BOUNDS:
        raise UsageError(f"--adaptive: the rule must be one of {', '.join(BOUNDS)}, got {rule!r}")
    try:
        return rule, float(bound)
    except ValueError:
        raise UsageError(f"--adaptive: the bound of {rule} must be a number, got {bound!r}") from None
