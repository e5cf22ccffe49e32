"""The aligned canvas's dynamic programmes against enumeration of all taggings."""

import itertools
import math
from collections.abc import Iterator

import pytest
import torch

from modeling.custom_generate.projection import TagProjection
from modeling.custom_generate.tagging import (
    INSIDE,
    OUTSIDE,
    Span,
    SpanProbabilities,
    best_tagging,
    clamp_known,
    spans_of,
)


def valid(tagging: tuple[int, ...]) -> bool:
    """Whether no I stands first or behind O."""
    return all(s != INSIDE or (i > 0 and tagging[i - 1] != OUTSIDE) for i, s in enumerate(tagging))


def taggings(log_probs: torch.Tensor) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Yield the score of every valid tagging of one row ``[slots, symbols]``."""
    slots, symbols = log_probs.shape
    for tagging in itertools.product(range(symbols), repeat=slots):
        if valid(tagging):
            yield sum(float(log_probs[i, s]) for i, s in enumerate(tagging)), tagging


def table(batch: int, slots: int, types: int, scale: float = 2.0) -> torch.Tensor:
    return torch.randn(batch, slots, 2 + types).mul(scale).log_softmax(-1)


SHAPES = list(itertools.product((1, 2, 3, 5), (1, 2, 3)))


@pytest.mark.parametrize(("slots", "types"), SHAPES)
def test_the_best_tagging_is_that_of_enumeration(slots, types):
    log_probs = table(8, slots, types)
    best = [max(taggings(row))[1] for row in log_probs]
    assert [tuple(row) for row in best_tagging(log_probs).tolist()] == best


@pytest.mark.parametrize(("slots", "types"), SHAPES)
def test_span_probabilities_are_those_of_enumeration(slots, types):
    log_probs = table(3, slots, types)
    probability = SpanProbabilities(log_probs)
    for row, scores in enumerate(log_probs):
        everything = [(math.exp(score), spans_of(list(tagging))) for score, tagging in taggings(scores)]
        mass = sum(weight for weight, _ in everything)
        for first, type_ in itertools.product(range(slots), range(types)):
            for last in range(first, slots):
                span = Span(first, last, type_)
                expected = sum(weight for weight, spans in everything if span in spans) / mass
                assert probability(row, span) == pytest.approx(expected, abs=1e-9)


def test_known_slots_stay_and_the_rest_is_the_best_around_them():
    for trial in range(20):
        log_probs = table(1, 5, 2)
        # Whatever the network liked before may be known now, also what it no longer likes.
        earlier = best_tagging(table(1, 5, 2))
        known = torch.where(torch.rand(1, 5) < 0.5, earlier, -1)
        got = best_tagging(clamp_known(log_probs, known))[0].tolist()
        fixed = [(i, s) for i, s in enumerate(known[0].tolist()) if s >= 0]
        open_ = log_probs[0].clone()
        for i, _ in fixed:
            open_[i] = 0.0
        best = max((score, t) for score, t in taggings(open_) if all(t[i] == s for i, s in fixed))[1]
        assert tuple(got) == best, trial


def test_a_padded_row_reads_as_if_it_were_alone():
    long, short = table(1, 6, 3), table(1, 3, 3)
    padded = torch.cat([short, torch.randn(1, 3, 5).log_softmax(-1)], dim=1)
    batch = torch.cat([long, padded])
    mask = torch.tensor([[True] * 6, [True] * 3 + [False] * 3])
    choice = TagProjection()(batch, torch.full((2, 6), -1), mask).choice
    assert torch.equal(choice[0], best_tagging(long)[0])
    assert torch.equal(choice[1, :3], best_tagging(short)[0])
    assert (choice[1, 3:] == OUTSIDE).all()
    clamped = clamp_known(batch, torch.where(mask, -1, OUTSIDE))
    together, alone = SpanProbabilities(clamped), SpanProbabilities(short)
    for span in (Span(0, 0, 0), Span(1, 2, 1), Span(0, 2, 2), Span(2, 2, 1)):
        assert together(1, span) == pytest.approx(alone(0, span), abs=1e-12)


def test_spans_of_a_tagging():
    # O, type 0 of two words, type 1, type 1 again right behind it, O.
    assert spans_of([0, 2, 1, 3, 3, 0]) == [Span(1, 2, 0), Span(3, 3, 1), Span(4, 4, 1)]
    assert spans_of([]) == []
    assert spans_of([0, 0]) == []


def test_certainty_is_probability_one_or_zero():
    tags = torch.tensor([[0, 2, 1, 0, 3]])
    certain = clamp_known(torch.zeros(1, 5, 4), tags)
    assert torch.equal(best_tagging(certain), tags)
    probability = SpanProbabilities(certain)
    assert probability(0, Span(1, 2, 0)) == pytest.approx(1)
    assert probability(0, Span(4, 4, 1)) == pytest.approx(1)
    assert probability(0, Span(1, 1, 0)) == 0
    assert probability(0, Span(1, 2, 1)) == 0


def test_no_slots_have_no_tags():
    assert best_tagging(torch.zeros(2, 0, 4)).shape == (2, 0)


def test_a_long_canvas_stays_finite():
    # 1,000 slots of sure and unlikely symbols: the sums must not overflow or swallow one another.
    log_probs = table(1, 1000, 2, scale=30.0)
    probability = SpanProbabilities(log_probs)
    scores = [probability(0, span) for span in spans_of(best_tagging(log_probs)[0].tolist())]
    assert scores
    assert all(0 <= score <= 1 for score in scores)
    assert max(scores) > 0.99
