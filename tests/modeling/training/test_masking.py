"""Masks and their pairs, and the weights of nearness."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling.training.masking import MASKS, context_weights, noised_canvases
from modeling.training.schedule import MIN_RATE

MASK = -7
SLOTS = 1000


def draw(masks: str, rates: list[float], seed: int = 0) -> tuple:
    """Return clean canvases of 1,000 slots, 900 of them valid, one for each rate, and their noised forms."""
    ids = torch.arange(len(rates) * SLOTS).view(len(rates), SLOTS)
    valid = torch.ones_like(ids, dtype=torch.bool)
    valid[:, 900:] = False
    torch.manual_seed(seed)
    rate = torch.tensor(rates)
    measure = torch.arange(1.0, len(rates) + 1)
    return ids, valid, noised_canvases(ids, valid, torch.rand(ids.shape), rate, measure, MASK, masks)


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
    # Between them the masks count for what the row counts for.
    assert sum(canvas.measure for canvas in canvases).tolist() == [1.0, 2.0, 3.0, 4.0]


def test_complementary_masks_cover_every_slot_once():
    _, valid, (first, second) = draw("complementary", [0.3, 0.9])
    assert torch.equal(first.masked ^ second.masked, valid)
    torch.testing.assert_close(second.rate, 1 - first.rate)
    assert first.measure.tolist() == second.measure.tolist() == [0.5, 1.0]


def test_a_complement_that_training_would_not_draw_leaves_its_mask_alone():
    _, _, (first, second) = draw("complementary", [1.0, 1 - MIN_RATE / 2, 1 - 2 * MIN_RATE])
    assert first.measure.tolist() == [1.0, 2.0, 1.5]
    assert second.measure.tolist() == [0.0, 0.0, 1.5]


def test_mirrored_masks_overlap_as_little_as_they_can():
    _, valid, (first, second) = draw("mirror", [0.3, 0.8, 1.0])
    both = (first.masked & second.masked)[:, :900].float().mean(1)
    assert both[0] == 0
    assert float(both[1]) == pytest.approx(0.6, abs=4 * (0.24 / 900) ** 0.5)
    assert torch.equal((first.masked | second.masked)[1:], valid[1:])  # above one half they cover all
    assert both[2] == 1


def test_masks_of_another_name_are_refused():
    with pytest.raises(ValueError, match=r"masks must be one of \('single', .*got 'double'"):
        draw("double", [0.5])


# CART.


def slow_weights(masked: list[bool], valid: list[bool], p: float, before: int) -> list[float]:
    """Return the weights of one row, slot by slot."""
    known = [-n for n in range(1, before + 1)]
    known += [n for n, (m, v) in enumerate(zip(masked, valid, strict=True)) if v and not m]
    raw = [sum(0.5 * p * (1 - p) ** (abs(n - m) - 1) for m in known) for n in range(len(masked))]
    raw = [w if m else 0.0 for w, m in zip(raw, masked, strict=True)]
    total = sum(raw)
    return [w * sum(masked) / total if total else float(m) for w, m in zip(raw, masked, strict=True)]


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=10),
    st.floats(0.05, 1),
    st.none() | st.integers(0, 6),
)
def test_context_weights_are_their_definition(slots, p, before):
    valid = [v for _, v in slots]
    masked = [m and v for m, v in slots]
    prompt = None if before is None else torch.tensor([before])
    found = context_weights(torch.tensor([masked]), torch.tensor([valid]), p, prompt)[0]
    assert found.tolist() == pytest.approx(slow_weights(masked, valid, p, before or 0), rel=1e-3, abs=1e-4)


def test_nearer_slots_weigh_more():
    masked = torch.tensor([[False, True, True, True, True]])
    weights = context_weights(masked, torch.ones_like(masked), 0.4)[0]
    assert float(weights[0]) == 0
    assert bool((weights[1:].diff() < 0).all())
    assert float(weights.sum()) == pytest.approx(4)
