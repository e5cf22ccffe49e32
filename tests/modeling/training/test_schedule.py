"""The noise schedules."""

import pytest
import torch

from modeling.training.schedule import (
    MIN_RATE,
    SCHEDULES,
    CosineSchedule,
    LogLinearSchedule,
    PolynomialSchedule,
    Schedule,
    make_schedule,
)

ALL = [LogLinearSchedule(), CosineSchedule(), PolynomialSchedule(2.0), PolynomialSchedule(0.5)]


@pytest.mark.parametrize("schedule", ALL, ids=str)
def test_the_weight_is_that_of_the_bound(schedule: Schedule):
    t = torch.linspace(0.01, 1, 50, dtype=torch.float64, requires_grad=True)
    alpha = schedule.alpha(t)
    (slope,) = torch.autograd.grad(alpha.sum(), t)
    torch.testing.assert_close(schedule.alpha_derivative(t).detach(), slope)
    torch.testing.assert_close(schedule.weight(t).detach(), (-slope / (1 - alpha)).detach())
    assert bool((alpha.diff() < 0).all())
    # Nothing is masked at time 0 and everything at time 1.
    ends = schedule.alpha(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert ends.tolist() == pytest.approx([1.0, 0.0], abs=1e-12)


@pytest.mark.parametrize("schedule", ALL, ids=str)
def test_a_time_is_found_by_its_rate(schedule: Schedule):
    for rate in (MIN_RATE, 0.25, 0.9):
        assert float(schedule.rate(torch.tensor(schedule.time(rate)).double())) == pytest.approx(rate)


@pytest.mark.parametrize("schedule", ALL, ids=str)
def test_measured_by_rate_every_schedule_averages_the_same(schedule: Schedule):
    """The mean of r^2 over uniform rates in [MIN_RATE, 1], by the midpoint rule over times."""
    start = schedule.start
    t = start + (1 - start) * (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    found = float((schedule.measure(t) * schedule.rate(t) ** 2).mean())
    assert found == pytest.approx((1 - MIN_RATE**3) / 3 / (1 - MIN_RATE), rel=1e-5)


def test_schedules_go_by_their_names():
    assert [type(make_schedule(name)).__name__.lower() for name in SCHEDULES] == [
        "loglinearschedule",
        "cosineschedule",
        "polynomialschedule",
    ]
    assert make_schedule("polynomial", 3.0) == PolynomialSchedule(3.0)
    with pytest.raises(ValueError, match=r"schedule must be one of \('log_linear', .*got 'sine'"):
        make_schedule("sine")
    with pytest.raises(ValueError, match="schedule_exponent must be positive, got 0"):
        make_schedule("polynomial", 0)
