"""The random numbers of a training batch: one for each row's time, one for each slot's mask."""

import random
from dataclasses import dataclass

import torch


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

        With a place, a slot's number depends on its row and index, not on the padding behind it.
        """
        if self.place is None:
            return torch.rand(shape, device=self.device)
        table = torch.empty(tuple(shape))
        for row, numbers in enumerate(table):
            generator = _generator(self.place.seed, name, "row", self.place.offset + row)
            torch.rand(numbers.shape, generator=generator, out=numbers)
        return table.to(self.device)


def _generator(*parts: int | str) -> torch.Generator:
    """Return a CPU generator (the same numbers on every device) for a seed of several parts."""
    mixed = random.Random("\n".join(map(str, parts))).getrandbits(63)
    return torch.Generator().manual_seed(mixed)
