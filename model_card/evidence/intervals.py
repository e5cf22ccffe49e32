"""Bootstrap intervals of a mean over data sets, for one system and for the difference of two."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from metric.entity_f1.entities import entity_key
from metric.entity_f1.scorer import Entities, quantile, resampled_sums

RESAMPLES = 1000
LEVEL = 0.95

# Per sentence: true positives, predicted and reference entities.
Counts = list[tuple[int, int, int]]


def counts_of(predictions: Entities, references: Entities, config_name: str = "text") -> Counts:
    """Return each sentence's counts for strict F1, as ``entity_f1`` counts them."""
    key = entity_key(config_name, "strict")
    counts = []
    for predicted, gold in zip(predictions, references, strict=True):
        found, wanted = set(map(key, predicted)), set(map(key, gold))
        counts.append((len(found & wanted), len(found), len(wanted)))
    return counts


def f1(counts: Sequence[int]) -> float:
    """Return micro-F1 of summed counts (tp, predicted, reference); 0 if there is nothing at all."""
    tp, predicted, gold = counts
    return 2 * tp / (predicted + gold) if predicted + gold else 0.0


def mean_f1(sets: Sequence[Counts], resamples: int = RESAMPLES) -> dict[str, Any]:
    """Return the mean of the sets' F1 and its percentile interval.

    Sentences are resampled within each set, the sets themselves are not (they are seven chosen benchmarks,
    no sample of benchmarks): Efron & Tibshirani 1993, ch. 13.
    """
    draws = zip(*(_draws(counts, seed, resamples) for seed, counts in enumerate(sets)), strict=True)
    values = sorted(fmean(f1(own) for own in draw) for draw in draws)
    return {"f1": fmean(f1(_sums(counts)) for counts in sets), "interval": _interval(values)}


def difference(
    first: Sequence[Counts], second: Sequence[Counts], resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Return the mean F1 of one system minus another's on the same sentences: paired bootstrap (Koehn 2004).

    ``f1_difference`` in [-1, 1], ``interval`` its 95% percentile interval, ``p_value`` two-sided as in
    ``entity_f1``.
    """
    pairs = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(first, second, strict=True)]
    draws = zip(*(_draws(rows, seed, resamples) for seed, rows in enumerate(pairs)), strict=True)
    values = sorted(fmean(f1(own[:3]) - f1(own[3:]) for own in draw) for draw in draws)
    against = min(sum(v <= 0 for v in values), sum(v >= 0 for v in values))
    return {
        "f1_difference": fmean(f1(_sums(x)) - f1(_sums(y)) for x, y in zip(first, second, strict=True)),
        "interval": _interval(values),
        "p_value": min(1.0, 2 * (1 + against) / (1 + resamples)),
    }


def _draws(rows: Sequence[Sequence[int]], seed: int, resamples: int) -> list[tuple[int, ...]]:
    # Each set has a seed of its own: the same one would resample all sets alike.
    if max(map(max, rows), default=0) == 0:
        return [tuple(0 for _ in rows[0])] * resamples
    return list(resampled_sums(rows, resamples, seed))


def _sums(counts: Counts) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*counts, strict=True))


def _interval(ordered: Sequence[float]) -> list[float]:
    tail = (1 - LEVEL) / 2
    return [quantile(ordered, tail), quantile(ordered, 1 - tail)]
