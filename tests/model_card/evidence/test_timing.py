"""Timings are warmed up, repeated, and told by nearest rank and with their spread."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_card.evidence.timing import latency, percentile, spread, timed
from model_card.experiments.pareto import _dominates


@given(st.lists(st.floats(0, 100), min_size=1, max_size=80), st.sampled_from([0.5, 0.9, 0.95, 1.0]))
def test_a_percentile_is_the_least_value_that_covers_its_share(values: list[float], share: float) -> None:
    covering = [v for v in values if sum(w <= v for w in values) >= share * len(values) - 1e-9]
    assert percentile(values, share) == min(covering)


def test_the_95th_of_sixty_is_the_57th() -> None:
    values = [n / 1000 for n in range(1, 61)]
    assert latency(values) == {"p50_ms": 30.0, "p95_ms": 57.0}


def test_the_first_call_is_no_round() -> None:
    clock = iter([float(n) for n in range(100)])
    calls = count()
    result, seconds = timed(lambda: next(calls), rounds=5, least=0, clock=lambda: next(clock))
    assert (result, seconds) == (5, [1.0] * 5)  # six calls, five of them timed


@pytest.mark.parametrize(("each", "rounds"), [(0.5, 10), (2.0, 5), (30.0, 3)])
def test_short_work_is_repeated_more_often_and_long_work_less(each: float, rounds: int) -> None:
    clock = (n * each for n in count())
    _, seconds = timed(lambda: None, clock=lambda: next(clock))
    assert len(seconds) == rounds


def test_f1_and_forwards_decide_which_setting_beats_another() -> None:
    def point(f1: float, forwards: float) -> dict:
        return {"f1": f1, "forwards": forwards}

    middle = point(0.5, 4.0)
    assert _dominates(point(0.5, 3.0), middle)
    assert _dominates(point(0.6, 4.0), middle)
    assert not _dominates(point(0.6, 4.1), middle)
    assert not _dominates(point(0.4, 1.0), middle)
    assert not _dominates(middle, middle)


def test_a_spread_has_its_median() -> None:
    assert spread([1.0, 2.0, 3.0])["median"] == 2.0
