"""Noise schedules: how much of a canvas is masked at time t in (0, 1]."""

from dataclasses import dataclass

import torch

MIN_TIME = 1e-3


@dataclass(frozen=True)
class LogLinearSchedule:
    """alpha(t) = 1 - t, the share of tokens still unmasked at time t.

    The weight of the cross-entropy in the continuous-time bound is -alpha'(t) / (1 - alpha(t)) = 1 / t
    (Sahoo et al. 2024, "Simple and Effective Masked Diffusion Language Models", eq. 10; Shi et al. 2024).
    """

    def alpha(self, t: torch.Tensor) -> torch.Tensor:
        """Return the probability that a token is not masked at time t."""
        return 1 - t

    def weight(self, t: torch.Tensor) -> torch.Tensor:
        """Return the weight of the cross-entropy at time t."""
        return 1 / t


def sample_times(count: int, device: torch.device | str, minimum: float = MIN_TIME) -> torch.Tensor:
    """Return ``count`` times in [minimum, 1], low-discrepancy: one uniform draw, evenly spaced offsets.

    Each time alone is uniform; together they cover the interval evenly, which lowers the variance of the
    batch loss (Kingma et al. 2021, "Variational Diffusion Models", appendix I.1). Uses torch's global
    random state, which the Trainer saves and restores.
    """
    start = torch.rand((), device=device)
    spaced = (start + torch.randperm(count, device=device) / max(count, 1)) % 1
    return minimum + (1 - minimum) * spaced
