"""Masks on canvases: the random numbers of a batch, how much of a canvas is masked, and which slots."""

import random
from dataclasses import dataclass

import torch

# The least share of a canvas that training masks. Below it nearly every canvas has no mask at all.
MIN_RATE = 1e-3
MASKS = ("single", "complementary")


def mask_rates(quantiles: torch.Tensor) -> torch.Tensor:
    """Return the mask rates in [MIN_RATE, 1] at quantiles in [0, 1], the same shape.

    The noise schedule is alpha(t) = 1 - t: a token is masked with probability t, its time. The weight of the
    cross-entropy in the continuous-time bound, -alpha'(t) / (1 - alpha(t)), is then 1 / t (Sahoo et al. 2024,
    "Simple and Effective Masked Diffusion Language Models", arXiv 2406.07524, eq. 10, where this schedule is
    called log-linear).
    """
    return MIN_RATE + (1 - MIN_RATE) * quantiles


@dataclass(frozen=True)
class NoisedCanvas:
    """A canvas with masks.

    ``ids`` are its symbols and ``masked`` which slots are masked, both ``[batch, slots]``; ``rate`` is the
    probability with which each row was masked and ``share`` the weight of its loss in the row's loss, both
    ``[batch]``. The shares of a row's canvases add up to 1.
    """

    ids: torch.Tensor
    masked: torch.Tensor
    rate: torch.Tensor
    share: torch.Tensor


def noised_canvases(
    ids: torch.Tensor,
    valid: torch.Tensor,
    uniforms: torch.Tensor,
    rate: torch.Tensor,
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

    Args:
        ids: clean symbols ``[batch, slots]``.
        valid: which slots exist, bool ``[batch, slots]``.
        uniforms: in [0, 1), ``[batch, slots]``.
        rate: probability of a mask, in [0, 1], ``[batch]``.
        mask_token_id: the symbol of a masked slot.
        masks: one of ``MASKS``.

    Raises:
        ValueError: there are no such masks.
    """

    def noised(masked: torch.Tensor, own_rate: torch.Tensor, share: torch.Tensor) -> NoisedCanvas:
        masked = masked & valid
        return NoisedCanvas(ids.masked_fill(masked, mask_token_id), masked, own_rate, share)

    first, whole = uniforms < rate[:, None], torch.ones_like(rate)
    if masks == "single":
        return [noised(first, rate, whole)]
    if masks == "complementary":
        share = torch.where(1 - rate < MIN_RATE, whole, 0.5)
        return [noised(first, rate, share), noised(~first, 1 - rate, 1 - share)]
    raise ValueError(f"masks must be one of {MASKS}, got {masks!r}")


@dataclass(frozen=True)
class BatchPlace:
    """Where a batch stands in the global batch of one optimiser step (all processes, all accumulated).

    With a place, times and masks follow from the seed and each row's number alone: one batch of 8, two of 4
    and eight processes of 1 draw the same, and so does a run that was stopped and goes on.

    Args:
        seed: of this optimiser step, the same in every process.
        offset: the number of the batch's first row in the global batch.
        total: rows of the global batch, over which times are spaced evenly; None: over this batch alone.
    """

    seed: int | str
    offset: int = 0
    total: int | None = None


class Noise:
    """Uniform numbers in [0, 1) for one batch.

    Without a place they come from torch's global random state. A ``name`` keeps draws for different purposes
    apart.
    """

    def __init__(self, device: torch.device | str, place: BatchPlace | None = None) -> None:
        self.device = device
        self.place = place

    def even(self, count: int, name: str) -> torch.Tensor:
        """Return a number for each row, low-discrepancy: one uniform draw, evenly spaced offsets.

        Each number alone is uniform; together they cover the interval evenly, which lowers the variance of
        the batch loss (Kingma et al. 2021, "Variational Diffusion Models", arXiv 2107.00630, appendix I.1).

        Raises:
            ValueError: the rows do not lie within the global batch.
        """
        if self.place is None:
            start = torch.rand((), device=self.device)
            return (start + torch.randperm(count, device=self.device) / max(count, 1)) % 1
        place, total, offset = self.place, count, 0
        if place.total is None:
            generator = _generator(place.seed, name, "batch", place.offset)
        else:
            generator, total, offset = _generator(place.seed, name), place.total, place.offset
            if not 0 <= offset <= offset + count <= total:
                raise ValueError(
                    f"rows {offset} to {offset + count} do not lie in a global batch of {total} rows; "
                    "give the batch's own offset, and the rows of all processes and accumulated batches"
                )
        start = torch.rand((), generator=generator)
        order = torch.randperm(total, generator=generator)[offset : offset + count]
        return ((start + order / max(total, 1)) % 1).to(self.device)

    def rows(self, count: int, name: str) -> torch.Tensor:
        """Return an independent number for each row."""
        if self.place is None:
            return torch.rand(count, device=self.device)
        return self.slots((count, 1), name)[:, 0]

    def slots(self, shape: torch.Size | tuple[int, int], name: str) -> torch.Tensor:
        """Return an independent number for each slot, ``[rows, slots]``.

        With a place, a slot's number depends on its row and index, not on the padding behind it: it is a hash
        of seed, name, row and index, made on the device, the same on every one.
        """
        if self.place is None:
            return torch.rand(shape, device=self.device)
        rows, slots = shape
        row = torch.arange(self.place.offset, self.place.offset + rows, device=self.device)
        stream = _mixed(row * _ROW + _seed(self.place.seed, name, "row"))
        slot = torch.arange(slots, device=self.device)
        bits = _mixed(stream[:, None] + slot * _SLOT)
        # 24 bits are what a float in [0, 1) holds exactly.
        return ((bits >> 40) & (2**24 - 1)).float() / 2**24


# The constants of SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom number generators"), signed.
_ROW, _SLOT = -0x61C8864680B583EB, -0x4498517A7B3558C5
_FIRST, _SECOND = -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15


def _mixed(numbers: torch.Tensor) -> torch.Tensor:
    """Return a hash of each 64-bit integer: SplitMix64's finaliser (products wrap around)."""
    numbers = (numbers ^ ((numbers >> 30) & (2**34 - 1))) * _FIRST
    numbers = (numbers ^ ((numbers >> 27) & (2**37 - 1))) * _SECOND
    return numbers ^ ((numbers >> 31) & (2**33 - 1))


def _seed(*parts: int | str) -> int:
    return random.Random("\n".join(map(str, parts))).getrandbits(63)


def _generator(*parts: int | str) -> torch.Generator:
    """Return a CPU generator (the same numbers on every device) for a seed of several parts."""
    return torch.Generator().manual_seed(_seed(*parts))
