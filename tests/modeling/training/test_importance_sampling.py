"""P-POTS: the density of times follows the losses, stays unbiased, and is saved."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling.training.importance_sampling import FLOOR, TimeDensity


def fitted(g=lambda t: 1 + 3 * t, spread=0.0, buckets: int = 20, steps: int = 20) -> TimeDensity:
    """Return a density that has seen losses of mean g(t) and of a standard deviation."""
    density = TimeDensity(buckets)
    torch.manual_seed(0)
    for _ in range(steps):
        t = torch.rand(512)
        density.record(t, g(t) + spread * torch.randn(512))
        density.step()
    return density


def test_a_new_density_is_uniform():
    quantiles = torch.rand(100)
    times, density = TimeDensity().draw(quantiles)
    torch.testing.assert_close(times, quantiles)
    assert bool((density == 1).all())


def test_it_is_the_root_of_the_second_moment():
    density = fitted(spread=2.0)
    midpoints = (torch.arange(20, dtype=torch.float64) + 0.5) / 20
    g, v = 1 + 3 * midpoints, torch.full((20,), 4.0, dtype=torch.float64)
    torch.testing.assert_close(density.mean, g, rtol=0.1, atol=0.0)
    torch.testing.assert_close(density.variance, v, rtol=0.3, atol=0.0)
    root = (g**2 + v).sqrt()
    # Density at the times that fall into each bucket.
    times, found = density.draw(torch.linspace(0, 1, 20_001, dtype=torch.float64)[:-1])
    heights = torch.stack([found[(times * 20).long() == b].mean() for b in range(20)])
    torch.testing.assert_close(heights, (1 - FLOOR) * root / root.mean() + FLOOR, rtol=0.05, atol=0.0)


@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=12))
def test_importance_weights_keep_the_mean(heights):
    """The mean over quantiles of f(t) / density(t) is the mean of f over uniform times."""
    buckets = len(heights)
    density = fitted(lambda t: torch.tensor(heights)[(t * buckets).long()], buckets=buckets, steps=4)
    quantiles = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    times, found = density.draw(quantiles)
    assert 0 <= float(times.min()) <= float(times.max()) <= 1
    assert bool((times.diff() >= 0).all())
    assert float((1 / found).max()) <= 1 / FLOOR + 1e-9
    assert float((times**2 / found).mean()) == pytest.approx(1 / 3, rel=1e-3)


def test_variance_falls_where_the_loss_depends_on_time():
    quantiles = torch.rand(20_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    g = lambda t: 0.1 + t**4
    times, density = fitted(g).draw(quantiles)
    assert float((g(times) / density).var()) < 0.1 * float(g(quantiles).var())


def test_the_density_changes_in_step_alone_and_needs_every_bucket():
    density = TimeDensity(4)
    density.record(torch.rand(400), torch.rand(400))
    assert bool((density.draw(torch.rand(9))[1] == 1).all())
    density.step()
    assert not bool((density.draw(torch.rand(9))[1] == 1).all())
    partial = TimeDensity(4)
    partial.record(torch.rand(400) / 2, torch.rand(400))
    partial.step()
    assert bool((partial.draw(torch.rand(9))[1] == 1).all())


def test_a_saved_density_goes_on_exactly():
    first = fitted(spread=1.0, steps=3)
    second = TimeDensity()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for density in (first, second):
        density.record(torch.linspace(0, 1, 50), torch.linspace(2, 1, 50))
        density.step()
    quantiles = torch.rand(64)
    for a, b in zip(first.draw(quantiles), second.draw(quantiles), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(ValueError, match=r"shape \(3, 20\), this one of \(3, 5\)"):
        TimeDensity(5).load_state_dict(first.state_dict())


def test_a_density_without_buckets_is_refused():
    with pytest.raises(ValueError, match="at least one bucket, got 0"):
        TimeDensity(0)
