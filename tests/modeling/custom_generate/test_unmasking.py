"""Which slots a step reveals, and how many."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling.custom_generate.unmasking import (
    ALGORITHMS,
    DREAM_LAST_TIME,
    REMASKING_CAP,
    SCHEDULES,
    confidence,
    remasking_budget,
    reveal_budget,
    top_slots,
)

rows = st.lists(st.integers(0, 200), min_size=1, max_size=6)


def budgets(masked: list[int], steps: int, schedule: str) -> list[list[int]]:
    """Return what each step reveals, step by step, as the loop does it."""
    left, told = torch.tensor(masked), []
    for step in range(steps):
        told.append(reveal_budget(left, step, steps, schedule))
        left = left - told[-1]
    return torch.stack(told).tolist()


@given(rows, st.integers(1, 64), st.sampled_from(SCHEDULES))
def test_the_steps_reveal_every_slot_of_every_row(masked, steps, schedule):
    told = budgets(masked, steps, schedule)
    assert [sum(column) for column in zip(*told, strict=True)] == masked
    assert all(count >= 0 for step in told for count in step)


@given(rows, st.integers(1, 64), st.sampled_from(SCHEDULES))
def test_a_row_reveals_what_it_would_alone(masked, steps, schedule):
    together = budgets(masked, steps, schedule)
    for row, count in enumerate(masked):
        assert [step[row] for step in together] == [step[0] for step in budgets([count], steps, schedule)]


@given(st.integers(1, 200), st.integers(1, 64))
def test_uniform_steps_differ_by_one_at_most_and_waste_none(masked, steps):
    told = [step[0] for step in budgets([masked], steps, "uniform")]
    busy = [count for count in told if count]
    assert max(busy) - min(busy) <= 1
    assert len(busy) == min(masked, steps)
    assert told == sorted(told, reverse=True)


def test_the_dream_schedule_follows_its_formula():
    # 16 slots in 4 steps: int(left * (1 - s / t)) over times 1, .75, .5, .25 (shifted up to end at 1e-3).
    times = [1 - (1 - DREAM_LAST_TIME) * i / 4 for i in range(5)]
    left, expected = 16, []
    for step in range(3):
        expected.append(int(left * (1 - times[step + 1] / times[step])))
        left -= expected[-1]
    assert [step[0] for step in budgets([16], 4, "dream")] == [*expected, left]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_confidence_is_what_its_name_says(algorithm):
    probs = torch.tensor([[[0.7, 0.2, 0.1], [0.4, 0.4, 0.2], [1.0, 0.0, 0.0]]])
    expected = {
        "maskgit_plus": [0.7, 0.4, 1.0],
        "topk_margin": [0.5, 0.0, 1.0],
        "entropy": [
            sum(p * math.log(p) for p in (0.7, 0.2, 0.1)),
            sum(p * math.log(p) for p in (0.4, 0.4, 0.2)),
            0.0,
        ],
    }
    assert confidence(probs.log(), algorithm)[0].tolist() == pytest.approx(expected[algorithm], abs=1e-6)


def test_the_surest_eligible_slots_are_taken_and_ties_go_left():
    scores = torch.tensor([[0.5, 0.9, 0.5, 0.5, 0.9], [0.1, 0.2, 0.3, 0.4, 0.5]])
    eligible = torch.tensor([[True, False, True, True, True], [True, True, True, False, False]])
    picked = top_slots(scores, eligible, torch.tensor([2, 1]))
    assert picked.tolist() == [[True, False, False, False, True], [False, False, True, False, False]]


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 1000))
def test_never_more_than_the_budget_nor_outside_what_is_eligible(budget, open_count, seed):
    generator = torch.Generator().manual_seed(seed)
    eligible = torch.zeros(1, 12, dtype=torch.bool)
    eligible[0, torch.randperm(12, generator=generator)[:open_count]] = True
    scores = torch.randint(0, 3, (1, 12), generator=generator).float()
    scores[0, 0] = float("-inf")  # a score of no confidence at all is still a slot
    picked = top_slots(scores, eligible, torch.tensor([budget]))
    assert int(picked.sum()) == min(budget, open_count)
    assert not (picked & ~eligible).any()


@given(st.integers(0, 500), st.integers(1, 50))
def test_remasking_stays_below_its_cap_and_ends_before_the_last_step(revealed, steps):
    for step in range(steps):
        count = int(remasking_budget(torch.tensor([revealed]), step, steps, REMASKING_CAP))
        assert 0 <= count <= REMASKING_CAP * revealed + 1e-9
        s, t = 1 - (step + 1) / steps, 1 - step / steps
        if t < 1:  # the posterior allows no more than (1 - alpha_s) / alpha_t
            assert count <= s / (1 - t) * revealed + 1e-9
    assert int(remasking_budget(torch.tensor([revealed]), steps - 1, steps, REMASKING_CAP)) == 0


def test_remasking_counts_each_row_by_itself():
    assert remasking_budget(torch.tensor([0, 9, 10, 100]), 1, 8, 0.1).tolist() == [0, 0, 1, 10]
