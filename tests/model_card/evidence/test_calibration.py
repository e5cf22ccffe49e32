"""The figures of uncertainty against slow, obviously right versions."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_card.evidence.calibration import (
    area_under_risk,
    auroc,
    bootstrap_interval,
    correlation,
    expected_calibration_error,
    fit_temperature,
    reliability,
    risk_coverage,
    scaled,
)

# Few different values, so that ties are common.
ANSWERS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans()), min_size=2, max_size=30
)


def split(answers: list[tuple[float, bool]]) -> tuple[list[float], list[bool]]:
    return [score for score, _ in answers], [right for _, right in answers]


@settings(deadline=None)
@given(ANSWERS.filter(lambda own: len({right for _, right in own}) == 2))
def test_auroc_is_the_share_of_pairs_in_the_right_order(answers: list[tuple[float, bool]]) -> None:
    pairs = [(a > b) + (a == b) / 2 for a, good in answers if good for b, bad in answers if not bad]
    assert auroc(*split(answers)) == pytest.approx(sum(pairs) / len(pairs))


def test_auroc_of_one_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="all are of one kind"):
        auroc([0.2, 0.9], [True, True])


@settings(deadline=None)
@given(ANSWERS)
def test_calibration_error_is_the_weighted_gap(answers: list[tuple[float, bool]]) -> None:
    bins: dict[int, list[tuple[float, bool]]] = {}
    for score, right in answers:
        bins.setdefault(min(int(score * 15), 14), []).append((score, right))
    gaps = [
        len(own) / len(answers) * abs(sum(s for s, _ in own) / len(own) - sum(r for _, r in own) / len(own))
        for own in bins.values()
    ]
    assert expected_calibration_error(*split(answers)) == pytest.approx(sum(gaps))
    assert sum(b["share"] for b in reliability(*split(answers))) == pytest.approx(1)


def test_a_known_temperature_is_found_again() -> None:
    draw = random.Random(0)
    chances = [draw.uniform(0.02, 0.98) for _ in range(20000)]
    correct = [draw.random() < chance for chance in chances]
    overconfident = scaled(chances, 0.5)  # logits twice as far out as they should be
    assert fit_temperature(overconfident, correct) == pytest.approx(2.0, rel=0.05)
    assert expected_calibration_error(overconfident, correct) > 0.08
    assert expected_calibration_error(scaled(overconfident, 2.0), correct) < 0.02


@given(st.floats(0, 1), st.floats(0.1, 10))
def test_scaling_keeps_the_side_and_stays_a_probability(score: float, temperature: float) -> None:
    (after,) = scaled([score], temperature)
    assert 0 <= after <= 1
    assert (after - 0.5) * (score - 0.5) >= -1e-9


def test_risk_is_that_of_the_surest() -> None:
    scores, correct = [0.9, 0.8, 0.3, 0.2], [True, True, False, True]
    assert risk_coverage(scores, correct) == [
        [0.25, 0.0],
        [0.5, 0.0],
        [0.75, pytest.approx(1 / 3)],
        [1.0, 0.25],
    ]
    assert area_under_risk(scores, correct) == pytest.approx((0 + 0 + 1 / 3 + 1 / 4) / 4)


def test_correlation_of_a_constant_is_none() -> None:
    assert correlation([0.5, 0.5], [True, False]) == 0.0
    assert correlation([0.0, 1.0], [False, True]) == pytest.approx(1.0)


def test_interval_holds_the_value_and_repeats() -> None:
    draw = random.Random(1)
    correct = [draw.random() < 0.5 for _ in range(200)]
    scores = [draw.gauss(0.6 if right else 0.4, 0.2) for right in correct]
    groups = [i // 4 for i in range(200)]
    low, high = bootstrap_interval(auroc, scores, correct, groups)
    assert low < auroc(scores, correct) < high
    assert [low, high] == bootstrap_interval(auroc, scores, correct, groups)
    assert all(map(math.isnan, bootstrap_interval(auroc, [0.5], [True], [0])))


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 confidences but 1 answers"):
        auroc([0.1, 0.2], [True])
