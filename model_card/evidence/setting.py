"""How a canvas is decoded for one row of a table, and the rows that the experiments are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modeling.custom_generate.config import ADAPTIVE_STEPS, DEFAULT_STEPS
from modeling.custom_generate.unmasking import RULES

ANSWERS = ("final", "steps", "samples")
BOUNDS = {"threshold": "confidence_threshold", "entropy": "entropy_bound"}  # adaptive rule -> its bound
STEPS = (1, 2, 4, 8, 16, 32)
SAMPLES = 10
SAMPLING_TEMPERATURE = 1.0


@dataclass(frozen=True)
class Setting:
    """One way to decode.

    Args:
        canvas: ``"aligned"`` or ``"completion"``.
        decoding: of the completion canvas, ``"grounded"`` or ``"plain"``; aligned canvases are grounded.
        steps: denoising steps; with ``adaptive``, the most there may be.
        adaptive: the rule by which each sentence takes as many steps as it needs, ``"threshold"`` or
            ``"entropy"``; None: as many as there are.
        bound: of the adaptive rule, a probability or nats; None: the extractor's default.
        remasking: whether unsure slots are masked again.
        algorithm: what makes a slot sure, ``custom_generate.unmasking.ALGORITHMS``.
        temperature: of the sampling; 0 takes the best.
        pad_penalty, outside_bias, fit_canvas: see ``custom_generate.generate``; None: the default.
        answers: what is kept: ``"final"`` the last answer, ``"steps"`` the answer after every step,
            ``"samples"`` the answers of ``SAMPLES`` seeded runs.
        misc: whether CrossNER's ``misc`` is asked for too.

    Raises:
        ValueError: ``answers`` is unknown, samples are asked for at temperature 0, or there is a bound and no
            adaptive rule.
    """

    canvas: str
    decoding: str = "grounded"
    steps: int = 1
    adaptive: str | None = None
    bound: float | None = None
    remasking: bool = False
    algorithm: str = "maskgit_plus"
    temperature: float = 0.0
    pad_penalty: float = 0.0
    outside_bias: float | None = None
    fit_canvas: bool | None = None
    answers: str = "final"
    misc: bool = False

    def __post_init__(self) -> None:
        if self.answers not in ANSWERS:
            raise ValueError(f"answers must be one of {ANSWERS}, got {self.answers!r}")
        if self.answers == "samples" and self.temperature <= 0:
            raise ValueError("samples need a temperature above 0, or all of them are alike")
        if self.bound is not None and self.adaptive is None:
            raise ValueError(f"a bound of {self.bound:g} needs an adaptive rule, {' or '.join(BOUNDS)}")

    @property
    def name(self) -> str:
        """Such as ``aligned, T=4`` or ``completion, grounded, T=8, remasking``."""
        parts = [self.canvas] if self.canvas == "aligned" else [self.canvas, self.decoding]
        if self.adaptive is None:
            parts.append(f"T={self.steps}")
        else:
            bound = "" if self.bound is None else f" {self.bound:g}"
            parts.append(f"{'' if bound else 'adaptive '}{self.adaptive}{bound}, T<={self.steps}")
        told = {
            "remasking": self.remasking,
            self.algorithm: self.algorithm != "maskgit_plus",
            f"temperature {self.temperature:g}": self.temperature > 0,
            f"pad penalty {self.pad_penalty:g}": self.pad_penalty != 0,
            f"outside bias {self.outside_bias}": self.outside_bias is not None,
            f"canvas {'fitted' if self.fit_canvas else 'not fitted'}": self.fit_canvas is not None,
            "each step": self.answers == "steps",
            f"{SAMPLES} samples": self.answers == "samples",
            "misc asked": self.misc,
        }
        return ", ".join([*parts, *(name for name, holds in told.items() if holds)])

    @property
    def slug(self) -> str:
        """The name as a folder is called: ``aligned-t4``."""
        kept = (
            c if c.isalnum() or c == "." else "-"
            for c in self.name.lower().replace("t<=", "t").replace("t=", "t").replace(" -", " minus ")
        )
        return "-".join(part for part in "".join(kept).split("-") if part)

    def options(self) -> dict[str, Any]:
        """Return what differs from the extractor's defaults, as options of its calls.

        An extractor that does not know one of them refuses the call: nothing is left out silently.
        """
        plain = Setting(self.canvas)
        names = ["adaptive", "remasking", "algorithm", "temperature"]
        names += ["pad_penalty", "outside_bias", "fit_canvas"]
        chosen = {name: getattr(self, name) for name in names if getattr(self, name) != getattr(plain, name)}
        return chosen if self.bound is None else {**chosen, BOUNDS[str(self.adaptive)]: self.bound}


def default_setting(canvas: str) -> Setting:
    """Return the extractor's default setting on one canvas."""
    return Setting(canvas, steps=DEFAULT_STEPS[canvas])


def fixed(canvas: str, decoding: str = "grounded", steps: tuple[int, ...] = STEPS) -> list[Setting]:
    """Return one setting for each number of steps."""
    return [Setting(canvas, decoding, count) for count in steps]


def adaptive(canvas: str) -> list[Setting]:
    """Return the settings in which each sentence takes as many steps as it needs, one a rule."""
    return [Setting(canvas, steps=ADAPTIVE_STEPS[canvas], adaptive=rule) for rule in RULES["adaptive"]]
