"""What of the test sets the training mix holds, and how a model does on what it had seen and what it had not.

    python -m model_card.zero_shot --mix runs/mix --data DIR --model mini

Counts test sentences, mentions and types that occur in the mix (``dataset_builder.contamination``), and with
``--model`` scores the model's answers apart: F1 on types that training asked for and on types it never did,
recall of mentions that training marks with the same type and of new ones. All types of a data set are asked
at once, without ``misc``. The answers are those of the experiments, under the setting that users get if they
name none; what is not kept under ``runs/evidence`` is computed.
"""

import argparse
import hashlib
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch

from dataset_builder.benchmarks import BENCHMARKS, Benchmark, load_benchmarks
from dataset_builder.contamination import Overlap, compare
from dataset_builder.mix.built import passages, type_names
from model_card.evidence.predictions import RUNS, Item, Prediction
from model_card.evidence.provenance import provenance
from model_card.evidence.results import RESULTS, write
from model_card.evidence.scores import references, strict, written
from model_card.experiments.driver import Context, context_of

NAME = "contamination_mix"
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


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mix", type=Path, required=True, help="folder that dataset_builder.mix wrote")
    parser.add_argument("--data", type=Path, help="folder of the benchmarks; default: download")
    parser.add_argument("--model", help="Hub id or folder to score too, such as mini")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, help="benchmarks to run; default: all")
    parser.add_argument("--limit", type=int, help="sentences of each benchmark to score; default: all")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--device", help="such as cuda or cpu; default: a GPU if there is one")
    parser.add_argument("--runs", type=Path, default=RUNS, help=f"folder of kept answers; default: {RUNS}")
    parser.add_argument("--output", type=Path, default=RESULTS / f"{NAME}.json", help=f"default: {NAME}.json")
    return parser.parse_args(argv)


def _context(args: argparse.Namespace) -> Context:
    return context_of(argparse.Namespace(**vars(args), dtype="float32", results=args.output.parent))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = parse(argv)
    try:
        benchmarks = [b for b in load_benchmarks("test", args.data) if b.name in (args.only or BENCHMARKS)]
        overlaps = overlaps_of(args.mix, benchmarks)
        context = None if args.model is None else _context(args)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report: dict[str, Any] = {
        "what": "test sentences, mentions and types that the training mix holds",
        **provenance(torch.device("cpu"), {b.name: b.sha256 for b in benchmarks}),
        "mix_sha256": {name: hashlib.sha256((args.mix / name).read_bytes()).hexdigest() for name in FILES},
        "sets": {overlap.benchmark.name: overlap.figures() for overlap in overlaps},
    }
    if context is not None:
        predictor, setting = context.predictor, context.headline
        report["scores"] = {
            "what": "strict micro-F1 on exact (text, type), a set per sentence, no misc, all types at once",
            "model": args.model,
            "weights_sha256": predictor.weights,
            "setting": setting.name,
            "limit": args.limit,
            "sets": {
                benchmark.name: scores_of(predictor(setting, benchmark), benchmark, overlap)
                for benchmark, overlap in zip(benchmarks, overlaps, strict=True)
            },
        }
    for name, figures in report["sets"].items():
        seen = f"{figures['mentions_seen']:,} of {figures['mentions']:,} mentions"
        unseen = ", ".join(figures["types_unseen"]) or "none"
        print(f"{name}: {figures['exact']} sentences, {seen}; types not seen: {unseen}")
    print(f"wrote {write(args.output.parent, args.output.stem, report)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
