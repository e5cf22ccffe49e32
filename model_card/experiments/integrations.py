"""Whether transformers pipeline and spaCy component find what EntityExtractor finds, on the benchmarks.

    python -m model_card experiment integrations --data DIR

Every sentence of every test set goes through all three, with all types of its data set; types, offsets and
scores are compared. The exit status is 1 if a sentence differs.
"""

import argparse
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dataset_builder.benchmarks import BENCHMARKS, Benchmark
from model_card.experiments.protocol import Context, Experiment
from model_card.figures.markdown import results_of, table
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


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the experiment's own flags."""
    parser.add_argument(
        "--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), help="default: all"
    )


def depends(context: Context) -> dict[str, Any]:
    """Return what the results depend on besides the model."""
    sets = [context.predictor.benchmark(name) for name in context.args.only]
    spacy = importlib.util.find_spec("spacy") is not None
    return {"data_sha256": {b.name: b.sha256 for b in sets}, "spacy": spacy}


def run(context: Context) -> dict[str, Any]:
    """Compare on each benchmark; without spaCy its component is left out, and said so."""
    extractor = context.predictor.extractor
    readers = {"pipeline": through_pipeline(extractor)}
    if importlib.util.find_spec("spacy") is None:
        print("spaCy is not installed (pip install -r requirements-spacy.txt): its component is not compared")
    else:
        readers["spacy"] = through_spacy(extractor)
    sets = [context.predictor.benchmark(name) for name in context.args.only]
    return {b.name: compare(extractor, b, readers, context.limit) for b in sets}


def same(results: dict[str, Any]) -> bool:
    """Whether no sentence differs."""
    return not any(n for counts in results.values() for n in counts["different"].values())


def shown(folder: Path) -> str:
    """Sentences that differ, by test set and integration."""
    results = results_of(folder, "integrations")["results"]
    rows = [
        [
            name,
            f"{counts['sentences']:,}",
            f"{counts['entities']:,}",
            ", ".join(f"{reader} differs in {n}" for reader, n in counts["different"].items()),
        ]
        for name, counts in results.items()
    ]
    return table(["test set", "sentences", "entities", "compared with the extractor"], rows)


EXPERIMENT = Experiment(
    "integrations",
    "sentences whose entities differ from EntityExtractor's, by integration",
    run,
    {"integrations": shown},
    depends=depends,
    flags=flags,
    standard=False,
    passed=same,
)
