"""Masks on a canvas: one for each row, or a pair that errs in opposite directions."""

from dataclasses import dataclass

import torch

from .schedule import MIN_RATE

MASKS = ("single", "complementary", "mirror")


@dataclass(frozen=True)
class NoisedCanvas:
    """A canvas with masks.

    ``ids`` are its symbols and ``masked`` which slots are masked, both ``[batch, slots]``; ``rate`` is the
    probability with which each row was masked and ``measure`` what the row's loss counts for, both
    ``[batch]``.
    """

    ids: torch.Tensor
    masked: torch.Tensor
    rate: torch.Tensor
    measure: torch.Tensor


def noised_canvases(
    ids: torch.Tensor,
    valid: torch.Tensor,
    uniforms: torch.Tensor,
    rate: torch.Tensor,
    measure: torch.Tensor,
    mask_token_id: int,
    masks: str = "single",
) -> list[NoisedCanvas]:
    """Return the canvas under one mask or two, whose losses add up to an unbiased estimate.

    With U the uniform number of a slot and r the rate of its row:

    - ``"single"``: the slots with U < r.
    - ``"complementary"``: those, and all the others, which are masked at the rate 1 - r. Every slot is
      predicted once. Where 1 - r is below ``MIN_RATE``, which training does not draw, the first mask counts
      alone. (As in LaViDa, Li et al. 2025, arXiv 2505.16839; here each mask has the weight of its own rate,
      without which the pair estimates something else.)
    - ``"mirror"``: U < r and U > 1 - r, two masks of one rate that overlap as little as they can (MIRROR,
      Jia et al. 2025, arXiv 2511.18159).

    Args:
        ids: clean symbols ``[batch, slots]``.
        valid: which slots exist, bool ``[batch, slots]``.
        uniforms: in [0, 1), ``[batch, slots]``.
        rate: probability of a mask, in [0, 1], ``[batch]``.
        measure: what a row's loss counts for, ``[batch]``.
        mask_token_id: the symbol of a masked slot.
        masks: one of ``MASKS``.

    Raises:
        ValueError: there are no such masks.
    """

    def noised(masked: torch.Tensor, own_rate: torch.Tensor, own_measure: torch.Tensor) -> NoisedCanvas:
        masked = masked & valid
        return NoisedCanvas(ids.masked_fill(masked, mask_token_id), masked, own_rate, own_measure)

    first = uniforms < rate[:, None]
    if masks == "single":
        return [noised(first, rate, measure)]
    if masks == "complementary":
        alone = 1 - rate < MIN_RATE
        share = torch.where(alone, torch.ones_like(measure), 0.5)
        return [noised(first, rate, measure * share), noised(~first, 1 - rate, measure * (1 - share))]
    if masks == "mirror":
        # 1 - U is in (0, 1], so that "at most r" masks as often as U < r does, and all of a row at r = 1.
        return [noised(first, rate, measure / 2), noised(1 - uniforms <= rate[:, None], rate, measure / 2)]
    raise ValueError(f"masks must be one of {MASKS}, got {masks!r}")


def context_weights(
    masked: torch.Tensor, valid: torch.Tensor, p: float, before: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the CART weight of each masked slot, 0 elsewhere: the nearer its known context, the more.

    Slot n weighs sum over known slots m of p (1 - p)^(|n - m| - 1) / 2 (Ye et al. 2025, "Dream 7B", arXiv
    2508.15487, the mixture of geometric distributions of context-adaptive noise rescheduling), then the
    masked slots of a row are scaled to a mean of 1, so that the row's share of the loss stays. A row
    without any known slot weighs each by 1.

    Args:
        masked: bool ``[batch, slots]``.
        valid: which slots exist, bool ``[batch, slots]``.
        p: of the geometric distribution, in (0, 1]; 1 counts direct neighbours alone.
        before: how many known tokens stand right before the first slot, ``[batch]``; default none.
    """
    slots = torch.arange(masked.shape[1], device=masked.device, dtype=torch.float32)
    distance = (slots[:, None] - slots).abs()
    near = 0.5 * p * (1 - p) ** (distance - 1).clamp(min=0)
    near = near.masked_fill(distance == 0, 0.0)
    weights = (valid & ~masked).float() @ near
    if before is not None:
        # The geometric series over distances slot + 1 ... slot + before.
        weights = weights + 0.5 * (1 - p) ** slots * (1 - (1 - p) ** before[:, None].float())
    weights = weights.masked_fill(~masked, 0.0)
    total = weights.sum(1, keepdim=True)
    count = masked.sum(1, keepdim=True)
    scaled = weights * count / total.clamp(min=torch.finfo(torch.float32).tiny)
    return torch.where(total > 0, scaled, masked.float())
