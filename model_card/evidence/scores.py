"""All the ways in which one system's answers to one benchmark are scored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from dataset_builder.benchmark_queries import QuerySet
from dataset_builder.benchmarks import MISC, Benchmark
from metric.entity_f1.scorer import score_entities
from model_card.evidence.predictions import Item, Prediction

RATIOS = ("precision", "recall", "f1", "tp", "fp", "fn", "support")


def references(benchmark: Benchmark, limit: int | None, *, misc: bool = False) -> list[list[Item]]:
    """Return the gold entities of each sentence, without CrossNER's ``misc`` unless asked for."""
    return [
        [
            {"type": e.type, "text": e.text, "start": e.start, "end": e.end}
            for e in sentence.entities
            if misc or e.type != MISC
        ]
        for sentence in benchmark.sentences[:limit]
    ]


def written(prediction: Prediction, benchmark: Benchmark) -> list[list[Item]]:
    """Return all that the system wrote, what is not in the text included: that counts as wrong."""
    sentences = benchmark.sentences[: len(prediction.answers)]
    return [
        answer.written(len(sentence.text))
        for answer, sentence in zip(prediction.final, sentences, strict=True)
    ]


def strict(
    prediction: Prediction,
    benchmark: Benchmark,
    *,
    misc: bool = False,
    span: bool = False,
    seen: Collection[str] | None = None,
    per_type: bool = False,
    bootstrap: int = 0,
    baseline: Sequence[Sequence[Item]] | None = None,
) -> dict[str, Any]:
    """Return strict scores, see ``metric.entity_f1``.

    Args:
        misc: whether ``misc`` counts.
        span: whether offsets are compared, not texts.
        seen: types that were trained on; None leaves that reading out.
        per_type: also by type.
        bootstrap: resamples for 95% intervals.
        baseline: another system's entities, for the paired bootstrap.
    """
    return score_entities(
        written(prediction, benchmark),
        references(benchmark, len(prediction.answers), misc=misc),
        config_name="span" if span else "text",
        seen_types=seen,
        per_type=per_type,
        bootstrap=bootstrap,
        baseline_predictions=baseline,
    ).to_dict()


def uniner(prediction: Prediction, benchmark: Benchmark, queries: QuerySet | None) -> dict[str, Any]:
    """Return the scores that UniNER's own script gives.

    With ``queries`` on UniNER's own files, one query for each (sentence, type), the answers taken from the
    sentence of the same text; without (it published none for MIT Movie) on the benchmark's sentences.
    ``files`` says which.

    Raises:
        ValueError: a sentence of UniNER's file is not in the benchmark.
    """
    answers = written(prediction, benchmark)
    if queries is None:
        gold = references(benchmark, len(answers))
        score = score_entities(answers, gold, matching="uniner")
        return {"files": "benchmark", **_ratios(score.to_dict())}
    # All sentences of one text get the same answer: it is the same question.
    by_text = {s.text: a for s, a in zip(benchmark.sentences, answers, strict=False)}
    known = {s.text for s in benchmark.sentences}
    predictions: list[list[Item]] = []
    gold = []
    for query in queries.queries:
        if query.text not in known:
            raise ValueError(f"UniNER's sentence {query.text!r:.80} is not in {benchmark.title}")
        if query.text not in by_text:
            continue  # beyond the limit
        predictions.append([e for e in by_text[query.text] if e["type"] == query.type])
        gold.append([{"type": query.type, "text": text} for text in query.answers])
    return {
        "files": "uniner",
        **_ratios(score_entities(predictions, gold, matching="uniner").to_dict()),
    }


def _ratios(score: dict[str, Any]) -> dict[str, Any]:
    return {name: score[name] for name in RATIOS}
