"""How a canvas is decoded for one row of a table, and the rows that the experiments are made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from modeling.custom_generate.unmasking import ADAPTIVE
from modeling.extraction.options import ADAPTIVE_STEPS

ANSWERS = ("final", "steps", "samples")
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
        remasking: whether unsure slots are masked again.
        algorithm: what makes a slot sure, ``custom_generate.unmasking.ALGORITHMS``.
        temperature: of the sampling; 0 takes the best.
        answers: what is kept: ``"final"`` the last answer, ``"steps"`` the answer after every step,
            ``"samples"`` the answers of ``SAMPLES`` seeded runs.
        misc: whether CrossNER's ``misc`` is asked for too.

    Raises:
        ValueError: ``answers`` is unknown, or samples are asked for at temperature 0.
    """

    canvas: str
    decoding: str = "grounded"
    steps: int = 1
    adaptive: str | None = None
    remasking: bool = False
    algorithm: str = "maskgit_plus"
    temperature: float = 0.0
    answers: str = "final"
    misc: bool = False

    def __post_init__(self) -> None:
        if self.answers not in ANSWERS:
            raise ValueError(f"answers must be one of {ANSWERS}, got {self.answers!r}")
        if self.answers == "samples" and self.temperature <= 0:
            raise ValueError("samples need a temperature above 0, or all of them are alike")

    @property
    def name(self) -> str:
        """Such as ``aligned, T=4`` or ``completion, grounded, T=8, remasking``."""
        parts = [self.canvas] if self.canvas == "aligned" else [self.canvas, self.decoding]
        parts.append(f"adaptive {self.adaptive}, T<={self.steps}" if self.adaptive else f"T={self.steps}")
        if self.remasking:
            parts.append("remasking")
        if self.algorithm != "maskgit_plus":
            parts.append(self.algorithm)
        if self.temperature > 0:
            parts.append(f"temperature {self.temperature:g}")
        if self.answers != "final":
            parts.append("each step" if self.answers == "steps" else f"{SAMPLES} samples")
        if self.misc:
            parts.append("misc asked")
        return ", ".join(parts)

    @property
    def slug(self) -> str:
        """The name as a folder is called: ``aligned-t4``."""
        kept = (
            c if c.isalnum() or c == "." else "-"
            for c in self.name.lower().replace("t<=", "t").replace("t=", "t")
        )
        return "-".join(part for part in "".join(kept).split("-") if part)

    def options(self) -> dict[str, Any]:
        """Return what differs from the extractor's defaults, as options of its calls.

        An extractor that does not know one of them refuses the call: nothing is left out silently.
        """
        chosen = asdict(self)
        defaults = asdict(Setting(self.canvas))
        return {
            name: chosen[name]
            for name in ("adaptive", "remasking", "algorithm", "temperature")
            if chosen[name] != defaults[name]
        }


def fixed(canvas: str, decoding: str = "grounded", steps: tuple[int, ...] = STEPS) -> list[Setting]:
    """Return one setting for each number of steps."""
    return [Setting(canvas, decoding, count) for count in steps]


def adaptive(canvas: str) -> list[Setting]:
    """Return the settings in which each sentence takes as many steps as it needs, one a rule."""
    return [Setting(canvas, steps=ADAPTIVE_STEPS[canvas], adaptive=rule) for rule in ADAPTIVE]
