"""Whether transformers pipeline and spaCy component find what EntityExtractor finds, on the benchmarks.

    python -m model_card.integrations --data DIR

Every sentence of every test set goes through all three, with all types of its data set; types, offsets and
scores are compared. The exit status is 1 if a sentence differs.
"""

import argparse
import importlib.util
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dataset_builder.benchmarks import BENCHMARKS, Benchmark, load_benchmarks
from model_card.evidence.provenance import provenance, weights_sha256
from modeling import EntityExtractor
from modeling.integrations.pipeline import TASK, ZeroShotNerPipeline

SCORE_TOLERANCE = 1e-4  # a batch is padded otherwise, which moves the last digits
BATCH = 32

Reader = Callable[[Sequence[str], Sequence[str]], list[list[dict[str, Any]]]]


def through_pipeline(extractor: EntityExtractor) -> Reader:
    """Return what reads texts through the pipeline, in the extractor's shape."""
    pipe = ZeroShotNerPipeline(
        model=extractor.model, tokenizer=extractor.encoder.tokenizer, task=TASK, device=extractor.device
    )

    def read(texts: Sequence[str], labels: Sequence[str]) -> list[list[dict[str, Any]]]:
        names = {"entity_group": "label", "word": "text"}
        found = pipe(list(texts), labels=labels, batch_size=BATCH)
        return [[{names.get(key, key): e[key] for key in e} for e in entities] for entities in found]

    return read


def through_spacy(extractor: EntityExtractor) -> Reader:
    """Return what reads texts through the spaCy component, in the extractor's shape."""
    import spacy

    from modeling.integrations.spacy_component import DiffusionNer

    nlp = spacy.blank("en")

    def read(texts: Sequence[str], labels: Sequence[str]) -> list[list[dict[str, Any]]]:
        docs = DiffusionNer(extractor, labels).pipe(nlp.pipe(texts), batch_size=BATCH)
        return [
            [
                {
                    "start": span.start_char,
                    "end": span.end_char,
                    "text": span.text,
                    "label": span.label_,
                    "score": span._.score,
                }
                for span in doc.ents
            ]
            for doc in docs
        ]

    return read


def differing(found: list[list[dict[str, Any]]], expected: list[list[dict[str, Any]]]) -> list[int]:
    """Return the numbers of the texts whose entities are not the same."""
    return [
        number
        for number, (own, wanted) in enumerate(zip(found, expected, strict=True))
        if len(own) != len(wanted)
        or any(
            {**a, "score": None} != {**b, "score": None} or abs(a["score"] - b["score"]) > SCORE_TOLERANCE
            for a, b in zip(own, wanted, strict=True)
        )
    ]


def compare(
    extractor: EntityExtractor, benchmark: Benchmark, readers: dict[str, Reader], limit: int | None
) -> dict[str, Any]:
    """Return the counts of one benchmark: sentences, entities, and sentences that differ by reader."""
    texts = [sentence.text for sentence in benchmark.sentences[:limit]]
    expected = extractor.batch_predict_entities(texts, benchmark.types, batch_size=BATCH)
    different = {
        name: len(differing(read(texts, benchmark.types), expected)) for name, read in readers.items()
    }
    return {"sentences": len(texts), "entities": sum(map(len, expected)), "different": different}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m model_card.integrations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="mini", help="Hub id or folder; default: the embedded model")
    parser.add_argument("--data", type=Path, help="folder of the benchmarks; default: download")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, help="benchmarks to run; default: all")
    parser.add_argument("--limit", type=int, help="sentences of each benchmark; default: all")
    parser.add_argument("--output", type=Path, help="JSON file for the counts")
    args = parser.parse_args(argv)
    try:
        benchmarks = [b for b in load_benchmarks("test", args.data) if b.name in (args.only or BENCHMARKS)]
        extractor = EntityExtractor.from_pretrained(args.model)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    readers = {"pipeline": through_pipeline(extractor)}
    if importlib.util.find_spec("spacy") is None:
        print("spaCy is not installed (pip install -r requirements-spacy.txt): its component is not compared")
    else:
        readers["spacy"] = through_spacy(extractor)
    results = {}
    for benchmark in benchmarks:
        results[benchmark.name] = counts = compare(extractor, benchmark, readers, args.limit)
        told = ", ".join(f"{name} differs in {n}" for name, n in counts["different"].items())
        print(
            f"{benchmark.name:20} {counts['sentences']:5} sentences {counts['entities']:6} entities  {told}"
        )
    if args.output is not None:
        report = {
            "what": "sentences whose entities differ from EntityExtractor's, by integration",
            "model": args.model,
            "weights_sha256": weights_sha256(args.model),
            "limit": args.limit,
            **provenance(extractor.device, {b.name: b.sha256 for b in benchmarks}),
            "results": results,
        }
        args.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(any(n for counts in results.values() for n in counts["different"].values()))


if __name__ == "__main__":
    sys.exit(main())
