"""Mask rates, masks and their pairs."""

import pytest
import torch

from modeling.training.masking import MASKS, MIN_RATE, mask_rates, noised_canvases

MASK = -7
SLOTS = 1000


def draw(masks: str, rates: list[float], seed: int = 0) -> tuple:
    """Return clean canvases of 1,000 slots, 900 of them valid, one for each rate, and their noised forms."""
    ids = torch.arange(len(rates) * SLOTS).view(len(rates), SLOTS)
    valid = torch.ones_like(ids, dtype=torch.bool)
    valid[:, 900:] = False
    torch.manual_seed(seed)
    rate = torch.tensor(rates)
    return ids, valid, noised_canvases(ids, valid, torch.rand(ids.shape), rate, MASK, masks)


def test_rates_are_uniform_above_the_least():
    rates = mask_rates(torch.linspace(0, 1, 1001, dtype=torch.float64))
    assert rates[[0, -1]].tolist() == [MIN_RATE, 1.0]
    torch.testing.assert_close(rates.diff(), torch.full((1000,), (1 - MIN_RATE) / 1000).double())


@pytest.mark.parametrize("masks", MASKS)
def test_masks_keep_to_their_slots_and_their_rate(masks):
    ids, valid, canvases = draw(masks, [0.0, 0.25, 0.75, 1.0])
    for canvas in canvases:
        assert not (canvas.masked & ~valid).any()
        assert torch.equal(canvas.ids == MASK, canvas.masked)
        assert torch.equal(canvas.ids[~canvas.masked], ids[~canvas.masked])
        share = canvas.masked[:, :900].float().mean(1)
        # Four standard errors of a share of 900 draws; all and nothing are sure.
        tolerance = 4 * (canvas.rate * (1 - canvas.rate) / 900).sqrt()
        assert bool(((share - canvas.rate).abs() <= tolerance).all())
    # Together the masks count once.
    assert sum(canvas.share for canvas in canvases).tolist() == [1.0] * 4


def test_complementary_masks_cover_every_slot_once():
    _, valid, (first, second) = draw("complementary", [0.3, 0.9])
    assert torch.equal(first.masked ^ second.masked, valid)
    torch.testing.assert_close(second.rate, 1 - first.rate)
    assert first.share.tolist() == second.share.tolist() == [0.5, 0.5]


def test_a_complement_that_training_would_not_draw_leaves_its_mask_alone():
    _, _, (first, second) = draw("complementary", [1.0, 1 - MIN_RATE / 2, 1 - 2 * MIN_RATE])
    assert first.share.tolist() == [1.0, 1.0, 0.5]
    assert second.share.tolist() == [0.0, 0.0, 0.5]


def test_masks_of_another_name_are_refused():
    with pytest.raises(ValueError, match=r"masks must be one of \('single', .*got 'double'"):
        draw("double", [0.5])
