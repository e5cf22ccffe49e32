"""How the canvas is denoised: the checked settings of the loop."""

import math
from dataclasses import dataclass

from .unmasking import ADAPTIVE, ALGORITHMS, SCHEDULES


@dataclass(frozen=True)
class LoopSettings:
    """How the canvas is denoised.

    Args:
        steps: network forwards over the canvas, at least 1; with an adaptive rule, the most of them. A canvas
            with fewer slots takes no more than it has.
        algorithm: what makes a slot sure, see ``unmasking.confidence``.
        schedule: how many slots a step reveals, see ``unmasking.reveal_budget``.
        adaptive: None, or what lets a step reveal more than that: ``"threshold"`` every slot whose symbol is
            probable enough, ``"entropy"`` as many as an entropy bound allows. On the aligned canvas a row is
            also done when a step leaves its best tagging as it was.
        confidence_threshold: for ``"threshold"``, in (0, 1].
        entropy_bound: for ``"entropy"``, in nats, at least 0.
        fit_canvas: whether the first step cuts a completion canvas to its answer (see ``fitting``).
        compact: whether rows that are done leave the batch; it changes no answer.
        pad_penalty: taken off the logit of padding at the first step, falling to 0 at the last
            (completion canvas only): without it an early step declares the answer finished.
        remasking: whether revealed slots of low confidence are masked again (ReMDM).
        temperature: of the sampling; 0 takes the best.
        outside_bias: added to the logit of O (aligned canvas only).

    Raises:
        ValueError: one is out of its range.
    """

    steps: int = 8
    algorithm: str = "maskgit_plus"
    schedule: str = "uniform"
    adaptive: str | None = None
    confidence_threshold: float = 0.9
    entropy_bound: float = 0.1
    fit_canvas: bool = False
    compact: bool = True
    pad_penalty: float = 0.0
    remasking: bool = False
    temperature: float = 0.0
    outside_bias: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(f"steps must be a whole number of at least 1, got {self.steps!r}")
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm must be one of {ALGORITHMS}, got {self.algorithm!r}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {SCHEDULES}, got {self.schedule!r}")
        if self.adaptive is not None and self.adaptive not in ADAPTIVE:
            raise ValueError(f"adaptive must be None or one of {ADAPTIVE}, got {self.adaptive!r}")
        for name in ("confidence_threshold", "entropy_bound", "temperature", "pad_penalty", "outside_bias"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, got {value!r}")
            if value < 0 and name != "outside_bias":
                raise ValueError(f"{name} must not be negative, got {value!r}")
        if not 0 < self.confidence_threshold <= 1:
            raise ValueError(f"confidence_threshold must be in (0, 1], got {self.confidence_threshold!r}")
