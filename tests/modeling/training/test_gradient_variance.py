"""Complementary masks and evenly spaced times make a training step less noisy, at the same cost."""

from __future__ import annotations

import pytest
import torch

from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.loss import DiffusionLoss
from modeling.training.masking import BatchPlace
from tests.modeling.training.toy import toy_batch, toy_network

# The exact bound's weight of 1000 is so rare that no small number of draws shows its variance.
PLAIN = DiffusionLoss(max_weight=4.0, low_discrepancy=False)
PAIRS = DiffusionLoss(max_weight=4.0, low_discrepancy=False, masks="complementary")


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return toy_network()


def gradients(network: torch.nn.Module, loss: DiffusionLoss, rows: torch.Tensor, draws: int) -> torch.Tensor:
    """Return the gradients of steps over given rows that differ in their masks, ``[draws, parameters]``."""
    batch, settings = toy_batch().select(rows), DiffusionSettings.of(network)
    found = []
    for seed in range(draws):
        value = loss(network, settings, batch, BatchPlace(seed)).loss / len(rows)
        slopes = torch.autograd.grad(value, list(network.parameters()))
        found.append(torch.cat([slope.flatten() for slope in slopes]))
    return torch.stack(found)


def test_complementary_masks_lower_the_variance_at_equal_cost(network):
    """Eight canvas forwards a step: four rows twice, each with a mask, or four rows with a pair."""
    rows = torch.arange(4)
    single = gradients(network, PLAIN, rows.repeat(2), 200)
    pairs = gradients(network, PAIRS, rows, 200)
    assert float(pairs.var(0).sum()) < 0.85 * float(single.var(0).sum())
    # Both have the same mean; each difference lies within five standard errors.
    error = ((single.var(0) + pairs.var(0)) / 200).sqrt()
    assert bool(((single.mean(0) - pairs.mean(0)).abs() <= 5 * error + 1e-6).all())


@torch.no_grad()
def test_evenly_spaced_times_lower_the_variance_of_the_loss(network):
    """Of one row many times over. Under the weight 1 its mean loss is proportional to the mask rate."""
    single = DiffusionLoss(max_weight=1.0, low_discrepancy=False)
    batch, settings = toy_batch().select(torch.zeros(32, dtype=torch.long)), DiffusionSettings.of(network)
    drawn, even = (
        torch.stack([loss(network, settings, batch, BatchPlace(k)).loss for k in range(150)])
        for loss in (single, DiffusionLoss(max_weight=1.0))
    )
    assert float(even.var()) < 0.7 * float(drawn.var())
