"""The bootstrap over data sets agrees with the metric's own where both apply."""

import random

import pytest

from metric.entity_f1.scorer import score_entities
from model_card.evidence.intervals import counts_of, difference, f1, mean_f1


def sentences(seed: int, right: float) -> tuple[list, list]:
    """Predictions and references of 60 sentences, a share of them right."""
    draw = random.Random(seed)
    gold = [[{"type": "t", "text": f"{i}-{k}"} for k in range(draw.randint(0, 3))] for i in range(60)]
    found = [[e if draw.random() < right else {"type": "t", "text": "wrong"} for e in own] for own in gold]
    return found, gold


def test_one_set_is_scored_as_the_metric_scores_it() -> None:
    found, gold = sentences(0, 0.6)
    other, _ = sentences(0, 0.3)
    expected = score_entities(found, gold, bootstrap=200, baseline_predictions=other)
    mean = mean_f1([counts_of(found, gold)], 200)
    assert mean["f1"] == pytest.approx(expected.f1)
    assert mean["interval"] == pytest.approx(expected.bootstrap.f1)
    paired = difference([counts_of(found, gold)], [counts_of(other, gold)], 200)
    assert paired["f1_difference"] == pytest.approx(expected.paired.f1_difference)
    assert paired["interval"] == pytest.approx(expected.paired.interval)
    assert paired["p_value"] == pytest.approx(expected.paired.p_value)


def test_mean_is_over_sets_and_the_interval_around_it() -> None:
    sets = [counts_of(*sentences(seed, right)) for seed, right in ((1, 0.9), (2, 0.2))]
    mean = mean_f1(sets, 200)
    assert mean["f1"] == pytest.approx(sum(f1([sum(c) for c in zip(*own, strict=True)]) for own in sets) / 2)
    low, high = mean["interval"]
    assert low < mean["f1"] < high


def test_a_system_does_not_differ_from_itself() -> None:
    own = [counts_of(*sentences(3, 0.5))]
    assert difference(own, own, 100) == {"f1_difference": 0, "interval": [0, 0], "p_value": 1.0}


def test_sets_without_any_entity_score_zero() -> None:
    assert mean_f1([counts_of([[], []], [[], []])], 10) == {"f1": 0.0, "interval": [0.0, 0.0]}
