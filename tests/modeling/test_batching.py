"""Batches of a token budget."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.batching import TokenBudgetBatchSampler

lengths = st.lists(st.integers(1, 60), max_size=80)


@given(lengths, st.integers(1, 200), st.integers(0, 5), st.integers(0, 3))
def test_every_row_comes_once_within_the_budget(rows, budget, seed, epoch):
    sampler = TokenBudgetBatchSampler(rows, budget, seed=seed)
    sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert sorted(i for batch in batches for i in batch) == list(range(len(rows)))
    for batch in batches:
        assert batch
        # A row that alone is dearer than the budget stands alone.
        assert len(batch) * max(rows[i] for i in batch) <= budget or len(batch) == 1


@given(lengths, st.integers(1, 3))
def test_rounds_repeat_the_rows(rows, rounds):
    sampler = TokenBudgetBatchSampler(rows, 100, rounds=rounds)
    assert Counter(i for batch in sampler for i in batch) == dict.fromkeys(range(len(rows)), rounds)


def test_the_same_seed_gives_the_same_order_and_epochs_differ():
    rows = [5 + i % 17 for i in range(300)]
    first, second = (TokenBudgetBatchSampler(rows, 100, seed=3) for _ in range(2))
    assert list(first) == list(first) == list(second)
    second.set_epoch(1)
    assert list(first) != list(second)
    assert list(first) != list(TokenBudgetBatchSampler(rows, 100, seed=4))
    second.set_epoch(0)
    assert list(first) == list(second)


def test_rows_of_like_length_share_a_batch():
    rows = [(i * 7919) % 200 + 1 for i in range(5000)]
    batches = list(TokenBudgetBatchSampler(rows, 1000))
    padded = sum(len(batch) * max(rows[i] for i in batch) for batch in batches)
    assert sum(rows) / padded > 0.9
    # Yet not in order of length: the batches are shuffled.
    longest = [max(rows[i] for i in batch) for batch in batches]
    assert longest != sorted(longest)


def test_weights_say_how_often_a_row_comes():
    weights = [0.0, 0.25, 1.0, 1.5, 3.0]
    counted: Counter[int] = Counter()
    epochs = 400
    sampler = TokenBudgetBatchSampler([10] * 5, 40, weights)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        drawn = Counter(i for batch in sampler for i in batch)
        assert drawn[0] == 0
        assert drawn[2] == 1
        assert drawn[3] in (1, 2)
        assert drawn[4] == 3
        counted += drawn
    assert counted[1] / epochs == pytest.approx(0.25, abs=0.07)
    assert counted[3] / epochs == pytest.approx(1.5, abs=0.08)


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="token budget of a batch must be positive, got 0"):
        TokenBudgetBatchSampler([1], 0)
