"""The noise schedule and the times it is sampled at."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling.schedule import MIN_TIME, LogLinearSchedule, sample_times


def test_the_weight_is_that_of_the_bound():
    schedule = LogLinearSchedule()
    t = torch.linspace(0.01, 1, 50, dtype=torch.float64, requires_grad=True)
    alpha = schedule.alpha(t)
    (slope,) = torch.autograd.grad(alpha.sum(), t)
    torch.testing.assert_close(schedule.weight(t).detach(), (-slope / (1 - alpha)).detach())
    assert float(schedule.alpha(torch.tensor(0.0))) == 1  # nothing is masked at time 0
    assert float(schedule.alpha(torch.tensor(1.0))) == 0  # and everything at time 1


@given(st.integers(1, 64), st.integers(0, 2**31))
def test_times_cover_the_interval_evenly(count, seed):
    torch.manual_seed(seed)
    times = sample_times(count, "cpu")
    assert times.shape == (count,)
    assert float(times.min()) >= MIN_TIME
    assert float(times.max()) <= 1
    # Low discrepancy: one time in each of ``count`` equal parts of the (circular) interval.
    unit = ((times - MIN_TIME) / (1 - MIN_TIME)).double().sort().values
    gaps = torch.cat([unit.diff(), unit[:1] + 1 - unit[-1:]])
    torch.testing.assert_close(gaps, torch.full_like(gaps, 1 / count), atol=1e-5, rtol=0)


def test_each_time_alone_is_uniform():
    first = torch.stack([sample_times(8, "cpu")[0] for _ in range(2000)])
    # Three standard errors of the mean of 2,000 uniform draws.
    assert float(first.mean()) == pytest.approx(0.5, abs=3 * (1 / 12 / 2000) ** 0.5)
    assert float(first.var()) == pytest.approx(1 / 12, rel=0.1)


def test_times_follow_torchs_seed():
    torch.manual_seed(5)
    first = sample_times(4, "cpu")
    assert not torch.equal(first, sample_times(4, "cpu"))
    torch.manual_seed(5)
    assert torch.equal(first, sample_times(4, "cpu"))


def test_no_rows_have_no_times():
    assert sample_times(0, "cpu").shape == (0,)
