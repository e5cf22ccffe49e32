"""Noise schedules: how much of a canvas is masked at time t in (0, 1]."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

# The least share of a canvas that training masks. Below it nearly every canvas has no mask at all.
MIN_RATE = 1e-3


class Schedule(ABC):
    """alpha(t), the probability that a token is not masked at time t, falling from 1 at t = 0 to 0 at t = 1.

    The weight of the cross-entropy in the continuous-time bound is -alpha'(t) / (1 - alpha(t)) (Sahoo et al.
    2024, "Simple and Effective Masked Diffusion Language Models", arXiv 2406.07524, eq. 10; Shi et al. 2024,
    "Simplified and Generalized Masked Diffusion for Discrete Data", arXiv 2406.04329). The bound is
    the same for every schedule: a schedule only says how often each share of masks is drawn.
    """

    @abstractmethod
    def rate(self, t: torch.Tensor) -> torch.Tensor:
        """Return 1 - alpha(t), the probability that a token is masked at time t."""

    @abstractmethod
    def alpha_derivative(self, t: torch.Tensor) -> torch.Tensor:
        """Return alpha'(t), never positive."""

    @abstractmethod
    def time(self, rate: float) -> float:
        """Return the time at which tokens are masked with this probability."""

    def alpha(self, t: torch.Tensor) -> torch.Tensor:
        """Return the probability that a token is not masked at time t."""
        return 1 - self.rate(t)

    def weight(self, t: torch.Tensor) -> torch.Tensor:
        """Return the weight of the cross-entropy in the bound at time t, -alpha'(t) / (1 - alpha(t))."""
        return -self.alpha_derivative(t) / self.rate(t)

    @property
    def start(self) -> float:
        """The least time that training draws: there the share ``MIN_RATE`` is masked."""
        return self.time(MIN_RATE)

    def measure(self, t: torch.Tensor) -> torch.Tensor:
        """Return how much rate a time stands for: -alpha'(t), scaled to a mean of 1 over [start, 1].

        The mean over uniform times of ``measure(t) * f(rate(t))`` is the mean of f over uniform rates in
        [MIN_RATE, 1], whatever the schedule.
        """
        return -self.alpha_derivative(t) * ((1 - self.start) / (1 - MIN_RATE))


@dataclass(frozen=True)
class LogLinearSchedule(Schedule):
    """alpha(t) = 1 - t, so the weight is 1 / t: linear in t, and log-linear in the noise of Sahoo et al."""

    def rate(self, t: torch.Tensor) -> torch.Tensor:
        """Return t."""
        return t

    def alpha_derivative(self, t: torch.Tensor) -> torch.Tensor:
        """Return -1."""
        return torch.full_like(t, -1.0)

    def time(self, rate: float) -> float:
        """Return the rate itself."""
        return rate


@dataclass(frozen=True)
class CosineSchedule(Schedule):
    """alpha(t) = 1 - cos(pi / 2 (1 - t)): mostly high rates (Shi et al. 2024)."""

    def rate(self, t: torch.Tensor) -> torch.Tensor:
        """Return cos(pi / 2 (1 - t))."""
        return (math.pi / 2 * (1 - t)).cos()

    def alpha_derivative(self, t: torch.Tensor) -> torch.Tensor:
        """Return -pi / 2 sin(pi / 2 (1 - t))."""
        return -math.pi / 2 * (math.pi / 2 * (1 - t)).sin()

    def time(self, rate: float) -> float:
        """Return 1 - 2 / pi arccos(rate)."""
        return 1 - 2 / math.pi * math.acos(rate)


@dataclass(frozen=True)
class PolynomialSchedule(Schedule):
    """alpha(t) = 1 - t^exponent (Shi et al. 2024); 1 is log-linear, more draws low rates oftener.

    Raises:
        ValueError: the exponent is not positive.
    """

    exponent: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.exponent < math.inf:
            raise ValueError(f"schedule_exponent must be positive, got {self.exponent}")

    def rate(self, t: torch.Tensor) -> torch.Tensor:
        """Return t^exponent."""
        return t**self.exponent

    def alpha_derivative(self, t: torch.Tensor) -> torch.Tensor:
        """Return -exponent t^(exponent - 1)."""
        return -self.exponent * t ** (self.exponent - 1)

    def time(self, rate: float) -> float:
        """Return rate^(1 / exponent)."""
        return float(rate ** (1 / self.exponent))


SCHEDULES = ("log_linear", "cosine", "polynomial")


def make_schedule(name: str, exponent: float = 2.0) -> Schedule:
    """Return a schedule by its name; ``exponent`` is that of the polynomial one.

    Raises:
        ValueError: there is no such schedule, or the exponent is not positive.
    """
    if name == "log_linear":
        return LogLinearSchedule()
    if name == "cosine":
        return CosineSchedule()
    if name == "polynomial":
        return PolynomialSchedule(exponent)
    raise ValueError(f"schedule must be one of {SCHEDULES}, got {name!r}")
