"""Which rows make a step, and where each stands in it."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling.training.sampler import (
    DrawnCollator,
    DrawnRows,
    EvaluationSampler,
    GlobalBatchSampler,
    derived_seed,
    fraction,
    seeds_of,
)

lengths = st.lists(st.integers(1, 60), min_size=1, max_size=80)


def flat(batches: list) -> list:
    return [draw for batch in batches for draw in batch]


@given(lengths, st.integers(1, 200), st.integers(0, 5))
def test_every_row_comes_once_a_pass_within_the_budget(rows, budget, seed):
    sampler = GlobalBatchSampler(rows, budget=budget, seed=seed)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    assert sorted(draw.row for draw in flat(batches)) == list(range(len(rows)))
    for batch in batches:
        assert batch
        # A row that alone is dearer than the budget stands alone.
        assert len(batch) * max(rows[draw.row] for draw in batch) <= budget or len(batch) == 1


@given(lengths, st.integers(1, 7), st.integers(0, 3), st.integers(1, 3), st.integers(1, 3))
def test_every_row_comes_once_an_epoch_in_batches_of_a_size(rows, size, epoch, processes, accumulation):
    own = []
    for process in range(processes):
        sampler = GlobalBatchSampler(
            rows, size, processes=processes, process=process, accumulation=accumulation
        )
        sampler.set_epoch(epoch)
        own.append(list(sampler))
    # No process waits for another one's batches.
    assert len({len(batches) for batches in own}) == 1 == len({len(sampler)} | {len(own[0])})
    assert all(0 < len(batch) <= size for batches in own for batch in batches)
    drawn = [draw for batches in own for draw in flat(batches)]
    assert sorted(draw.row for draw in drawn if not draw.repeated) == list(range(len(rows)))
    assert sum(draw.repeated for draw in drawn) < processes


def steps_of(rows: list[int], processes: int, accumulation: int, **how: int) -> list[dict]:
    """Return what each optimiser step of an epoch sees, over all processes."""
    steps: list[dict] = []
    for process in range(processes):
        sampler = GlobalBatchSampler(
            rows, processes=processes, process=process, accumulation=accumulation, **how
        )
        sampler.set_epoch(1)
        for at, batch in enumerate(sampler):
            if at // accumulation == len(steps):
                steps.append({})
            steps[at // accumulation] |= {draw.position: draw for draw in batch}
    return steps


@given(lengths, st.sampled_from([{"budget": 90}, {"batch_size": 3}]))
def test_a_step_is_the_same_whoever_shares_it(rows, how):
    expected = steps_of(rows, 1, 4, **how)
    for processes, accumulation in ((2, 2), (4, 1)):
        found = steps_of(rows, processes, accumulation, **how)
        assert len(found) == len(expected)
        for step, own in zip(found, expected, strict=True):
            # Only a last step of fewer rows than processes is filled up.
            assert step == own or len(own) < processes
    # A batch of twelve is also four of three.
    if "batch_size" in how:
        whole = [step for step in steps_of(rows, 1, 1, batch_size=12) if len(step) == 12]
        assert whole == [step for step in expected if len(step) == 12]


def test_places_of_a_batch_follow_each_other():
    for batch in GlobalBatchSampler([5] * 24, 4, accumulation=2):
        assert [draw.position - batch[0].position for draw in batch] == [0, 1, 2, 3]
        assert batch[0].position in (0, 4)
        assert {(draw.step, draw.total) for draw in batch} == {(batch[0].step, 8)}


def test_the_same_seed_gives_the_same_order_and_epochs_differ():
    rows = [5 + i % 17 for i in range(300)]
    first, second = (GlobalBatchSampler(rows, budget=100, seed=3) for _ in range(2))
    assert list(first) == list(first) == list(second)
    second.set_epoch(1)
    assert list(first) != list(second)
    assert list(first) != list(GlobalBatchSampler(rows, budget=100, seed=4))
    second.set_epoch(0)
    assert list(first) == list(second)


def test_epochs_of_a_budget_have_as_many_batches_and_lose_no_row():
    rng = random.Random(0)
    rows = [rng.randint(1, 60) for _ in range(101)]
    sampler = GlobalBatchSampler(rows, budget=130, processes=2)
    other = GlobalBatchSampler(rows, budget=130, processes=2, process=1)
    seen: Counter[int] = Counter()
    for epoch in range(6):
        sampler.set_epoch(epoch)
        other.set_epoch(epoch)
        batches = [*sampler, *other]
        assert len(batches) == 2 * len(sampler)
        seen.update(draw.row for draw in flat(batches))
    # What one epoch leaves over comes in the next one.
    assert max(seen.values()) - min(seen.values()) <= 2
    assert set(seen) == set(range(101))


def test_rows_of_like_length_share_a_batch():
    rows = [(i * 7919) % 200 + 1 for i in range(5000)]
    for sampler in (GlobalBatchSampler(rows, budget=1000), GlobalBatchSampler(rows, 8)):
        batches = list(sampler)
        longest = [max(rows[draw.row] for draw in batch) for batch in batches]
        padded = sum(len(batch) * most for batch, most in zip(batches, longest, strict=True))
        assert sum(rows) / padded > 0.9
        # Yet not in order of length: the batches are shuffled.
        assert longest != sorted(longest)


def test_the_length_of_a_use_may_depend_on_its_draw():
    sampler = GlobalBatchSampler([1] * 400, 8, drawn_lengths=lambda rows, seeds: seeds % 97)
    batches = list(sampler)
    assert all(draw.length == draw.seed % 97 for draw in flat(batches))
    spread = [max(d.length for d in batch) - min(d.length for d in batch) for batch in batches]
    assert sum(spread) / len(spread) < 10


def test_weights_say_how_often_a_row_comes():
    counted: Counter[int] = Counter()
    epochs = 400
    sampler = GlobalBatchSampler([10] * 5, budget=1000, weights=[0.0, 0.25, 1.0, 1.5, 3.0])
    for number in range(epochs):
        drawn = Counter(draw.row for draw in sampler._pass(number)[0])
        assert drawn[0] == 0
        assert drawn[2] == 1
        assert drawn[3] in (1, 2)
        assert drawn[4] == 3
        assert 5 <= drawn.total() <= 6
        counted += drawn
    assert counted[1] / epochs == pytest.approx(0.25, abs=0.07)
    assert counted[3] / epochs == pytest.approx(1.5, abs=0.08)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0}, "token budget of a batch must be positive, got 0"),
        ({"batch_size": 0}, "batch_size must be positive, got 0"),
        ({}, "either batch_size .* or budget"),
        ({"batch_size": 1, "budget": 1}, "either batch_size .* or budget"),
        ({"batch_size": 1, "weights": [0.0]}, "no rows to draw"),
    ],
)
def test_what_makes_no_batches_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GlobalBatchSampler([1], **options)


@given(lengths, st.integers(1, 9), st.integers(1, 3), st.integers(1, 2))
def test_evaluation_sees_every_row_once_a_draw_whoever_shares_it(rows, size, processes, draws):
    own = [list(EvaluationSampler(rows, size, draws, 7, processes, process)) for process in range(processes)]
    assert len({len(batches) for batches in own}) == 1
    drawn = [draw for batches in own for draw in flat(batches)]
    counted = Counter(draw.row for draw in drawn if not draw.repeated)
    assert counted == dict.fromkeys(range(len(rows)), draws)
    assert len({draw.seed for draw in drawn if not draw.repeated}) == draws * len(rows)
    assert all(0 < len(batch) <= size for batches in own for batch in batches)


def test_rows_bring_their_draws_to_the_collator():
    sampler = GlobalBatchSampler([3] * 6, 2, accumulation=2)
    rows = DrawnRows([{"number": i} for i in range(6)])
    collate = DrawnCollator(lambda batch: {"numbers": torch.tensor([row["number"] for row in batch])})
    for draws in sampler:
        batch = collate(rows.__getitems__(draws))
        assert batch["numbers"].tolist() == [draw.row for draw in draws]
        assert (batch["place"].seed, batch["place"].offset) == (draws[0].step, draws[0].position)
        assert rows[draws[0]]["number"] == draws[0].row
        assert seeds_of(rows.__getitems__(draws)) == [draw.seed for draw in draws]


@given(st.lists(st.integers(0, 2**62 - 1), min_size=1))
def test_fractions_of_a_seed_are_the_same_alone_and_in_an_array(seeds):
    for part in range(3):
        alone = [fraction(seed, part) for seed in seeds]
        assert alone == fraction(np.array(seeds), part).tolist()
        assert all(0 <= value < 1 for value in alone)


def test_fractions_are_uniform_and_have_nothing_to_do_with_each_other():
    seeds = np.array([derived_seed(i) for i in range(4000)])
    parts = np.stack([fraction(seeds, part) for part in range(3)])
    assert np.allclose(parts.mean(1), 0.5, atol=0.03)
    assert np.allclose(np.corrcoef(parts), np.eye(3), atol=0.06)
