"""P-POTS: times drawn where the loss is large or varies, and weighed so that its mean stays."""

from typing import Any

import torch
import torch.distributed as dist

BUCKETS = 20
FLOOR = 0.2  # share of uniform times: no importance weight exceeds its inverse
DECAY = 0.99  # of the statistics, an optimiser step: the loss falls while the network learns
LEAST = 16.0  # losses a bucket must have seen before the density leaves uniform


class TimeDensity:
    """The density of times that makes the variance of the loss least, from the losses seen so far.

    Among all densities pi with weights 1 / pi, the variance of the estimate is least for
    pi(t) ~ sqrt(g(t)^2 + v(t)), where g and v are mean and variance of the loss of a row at time t (Jia et
    al. 2025, "Bringing Stability to Diffusion", arXiv 2511.18159). Here g and v are running statistics in
    buckets of equal width, the density is constant within a bucket, and a share of uniform times bounds
    the weights. It changes in ``step`` alone, so the batches of one optimiser step share one density.

    Args:
        buckets: how many there are.
    """

    def __init__(self, buckets: int = BUCKETS) -> None:
        if buckets < 1:
            raise ValueError(f"a density needs at least one bucket, got {buckets}")
        # Per bucket, in fp64: how many losses, their sum, the sum of their squares.
        self._statistics = torch.zeros(3, buckets, dtype=torch.float64)
        self._pending: torch.Tensor | None = None
        self._fit()

    @property
    def buckets(self) -> int:
        """How many buckets there are."""
        return self._statistics.shape[1]

    @property
    def mean(self) -> torch.Tensor:
        """g of each bucket, fp64 ``[buckets]``; 0 where nothing was seen."""
        return self._statistics[1] / self._statistics[0].clamp(min=1e-9)

    @property
    def variance(self) -> torch.Tensor:
        """v of each bucket, fp64 ``[buckets]``; 0 where nothing was seen."""
        second = self._statistics[2] / self._statistics[0].clamp(min=1e-9)
        return (second - self.mean**2).clamp(min=0)

    def draw(self, quantiles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return times in [0, 1] with this distribution, and the density at each.

        Args:
            quantiles: uniform numbers ``[batch]``; evenly spaced ones stay so under the distribution.
        """
        edges, density = self._edges.to(quantiles), self._density.to(quantiles)
        bucket = (torch.bucketize(quantiles, edges, right=True) - 1).clamp(0, self.buckets - 1)
        within = (quantiles - edges[bucket]) / (edges[bucket + 1] - edges[bucket])
        return ((bucket + within.clamp(0, 1)) / self.buckets).clamp(0, 1), density[bucket]

    @torch.no_grad()
    def record(self, times: torch.Tensor, losses: torch.Tensor) -> None:
        """Take note of rows' losses at times in [0, 1], both ``[batch]``; not divided by the density."""
        bucket = (times.double() * self.buckets).long().clamp(0, self.buckets - 1)
        seen = losses.double()
        table = torch.zeros(3, self.buckets, dtype=torch.float64, device=losses.device)
        table.index_add_(1, bucket, torch.stack([torch.ones_like(seen), seen, seen**2]))
        self._pending = table if self._pending is None else self._pending.to(table.device) + table

    def step(self) -> None:
        """Fit the density anew, after an optimiser step; under several processes all of them call it."""
        pending = self._pending
        self._pending = None
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            if pending is None:
                device = "cuda" if dist.get_backend() == "nccl" else "cpu"
                pending = torch.zeros(3, self.buckets, dtype=torch.float64, device=device)
            dist.all_reduce(pending)
        if pending is not None:
            self._statistics = self._statistics * DECAY + pending.cpu()
            self._fit()

    def state_dict(self) -> dict[str, Any]:
        """Return the statistics as plain lists, for a checkpoint (JSON holds them exactly)."""
        return {"statistics": self._statistics.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            ValueError: it has another number of buckets.
        """
        statistics = torch.tensor(state["statistics"], dtype=torch.float64)
        if statistics.shape != self._statistics.shape:
            raise ValueError(
                f"the saved density has statistics of shape {tuple(statistics.shape)}, this one of "
                f"{tuple(self._statistics.shape)}; it was saved with another number of buckets"
            )
        self._statistics, self._pending = statistics, None
        self._fit()

    def _fit(self) -> None:
        root = (self.mean**2 + self.variance).sqrt()
        known = bool((self._statistics[0] >= LEAST).all()) and bool(root.sum() > 0)
        shape = root / root.mean() if known else torch.ones_like(root)
        self._density = (1 - FLOOR) * shape + FLOOR
        cumulated = self._density.cumsum(0) / self._density.sum()
        self._edges = torch.cat([torch.zeros(1, dtype=torch.float64), cumulated])
