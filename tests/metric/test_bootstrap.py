"""The bootstrap against a plain resampling of the same draws, and against the normal approximation."""

from __future__ import annotations

import math
import random
from statistics import quantiles
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metric.entity_f1.scorer import quantile, resampled_sums, score_entities

Sentences = list[list[dict[str, Any]]]

reproducible = settings(deadline=None, derandomize=True)


def random_sentences(seed: int, count: int) -> tuple[Sentences, Sentences, Sentences]:
    """References and two systems' predictions, the second slightly worse."""
    draw = random.Random(seed)

    def sentence() -> list[dict[str, Any]]:
        count = draw.randrange(5)
        return [{"type": draw.choice("abc"), "text": draw.choice("tuvwxyz")} for _ in range(count)]

    def system(kept: float) -> Sentences:
        return [[entity for entity in gold if draw.random() < kept] + sentence()[:1] for gold in references]

    references = [sentence() for _ in range(count)]
    return references, system(0.8), system(0.6)


@reproducible
@given(
    st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=1, max_size=30),
    st.integers(0, 10),
    st.integers(0, 2**32),
)
def test_packed_sums_equal_plain_sums(rows: list[list[int]], resamples: int, seed: int) -> None:
    draw = random.Random(seed)
    plain = [tuple(map(sum, zip(*draw.choices(rows, k=len(rows)), strict=True))) for _ in range(resamples)]
    assert list(resampled_sums(rows, resamples, seed)) == plain


@reproducible
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=50))
def test_quantile_is_the_inclusive_one_of_the_standard_library(values: list[float]) -> None:
    expected = quantiles(values, n=40, method="inclusive")
    ordered = sorted(values)
    assert [quantile(ordered, k / 40) for k in range(1, 40)] == pytest.approx(expected, abs=1e-12)
    assert (quantile(ordered, 0), quantile(ordered, 1)) == (ordered[0], ordered[-1])


def test_intervals_are_those_of_rescoring_the_drawn_sentences() -> None:
    references, predictions, _ = random_sentences(seed=3, count=30)
    draw = random.Random(5)
    rescored = []
    for _ in range(200):
        drawn = draw.choices(range(30), k=30)
        rescored.append(score_entities([predictions[i] for i in drawn], [references[i] for i in drawn]))
    result = score_entities(predictions, references, bootstrap=200, seed=5).bootstrap
    assert result is not None
    for name in ("precision", "recall", "f1"):
        ordered = sorted(getattr(score, name) for score in rescored)
        assert getattr(result, name) == pytest.approx((quantile(ordered, 0.025), quantile(ordered, 0.975)))


def test_interval_agrees_with_the_normal_approximation() -> None:
    # One prediction and one reference a sentence, 70% right: precision is a plain proportion.
    count, right = 2000, 1400
    references = [[{"type": "a", "text": "x"}]] * count
    predictions = [[{"type": "a", "text": "x" if i < right else "y"}] for i in range(count)]
    result = score_entities(predictions, references, bootstrap=2000, seed=1).bootstrap
    assert result is not None
    half = 1.96 * math.sqrt(0.7 * 0.3 / count)
    assert result.precision == pytest.approx((0.7 - half, 0.7 + half), abs=0.1 * half)
    narrow = score_entities(predictions, references, bootstrap=2000, seed=1, confidence_level=0.5).bootstrap
    assert narrow is not None
    assert result.precision[0] < narrow.precision[0] < 0.7 < narrow.precision[1] < result.precision[1]


def test_seed_decides_and_the_baseline_does_not_change_the_draws() -> None:
    references, predictions, baseline = random_sentences(seed=1, count=40)
    first = score_entities(predictions, references, bootstrap=100, seed=7)
    assert score_entities(predictions, references, bootstrap=100, seed=7) == first
    assert score_entities(predictions, references, bootstrap=100, seed=8).bootstrap != first.bootstrap
    paired = score_entities(predictions, references, bootstrap=100, seed=7, baseline_predictions=baseline)
    assert paired.bootstrap == first.bootstrap


@pytest.mark.parametrize("matching", ["strict", "multiset", "uniner"])
def test_paired_comparison(matching: str) -> None:
    references, better, worse = random_sentences(seed=2, count=300)

    def compare(first: Sentences, second: Sentences) -> Any:
        return score_entities(
            first, references, matching=matching, bootstrap=500, seed=4, baseline_predictions=second
        ).paired

    forward, backward, equal = compare(better, worse), compare(worse, better), compare(better, better)
    alone = score_entities(worse, references, matching=matching)
    assert (forward.baseline.f1, forward.baseline.tp, forward.baseline.fp) == (alone.f1, alone.tp, alone.fp)
    assert forward.f1_difference == -backward.f1_difference > 0
    assert forward.interval == pytest.approx((-backward.interval[1], -backward.interval[0]))
    assert forward.interval[0] > 0
    assert forward.p_value == backward.p_value == 2 / 501  # no draw against it: the smallest value there is
    assert (equal.f1_difference, equal.interval, equal.p_value) == (0, (0, 0), 1)


def test_p_value_of_equally_good_systems_is_not_small() -> None:
    references, first, _ = random_sentences(seed=9, count=200)
    _, second, _ = random_sentences(seed=9, count=200)
    second = second[:100] + [list(sentence) for sentence in references[100:]]
    first = [list(sentence) for sentence in references[:100]] + first[100:]
    paired = score_entities(first, references, bootstrap=500, baseline_predictions=second).paired
    assert paired is not None
    assert paired.p_value > 0.05
    assert paired.interval[0] < 0 < paired.interval[1]
