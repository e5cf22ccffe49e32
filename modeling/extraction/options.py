"""The options of a call, checked, with defaults filled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..custom_generate.loop_settings import LoopSettings
from ..custom_generate.settings import CANVASES, DiffusionSettings
from ..custom_generate.task import DECODINGS
from .chunking import OVERLAPS

DEFAULT_STEPS = {"aligned": 1, "completion": 8}  # chosen on CrossNER dev
ADAPTIVE_STEPS = {"aligned": 4, "completion": 8}  # the most that an adaptive rule may take by default
DEFAULT_ADAPTIVE = "entropy"  # what adaptive=True means
ENTROPY_BOUND = {"aligned": 8.0, "completion": 2.0}  # chosen on CrossNER dev, as is the threshold below
GROUNDED = "grounded"
_SWITCHES = ("nested", "fit_canvas", "compact", "remasking")


@dataclass(frozen=True)
class Options:
    """How one call decodes.

    Args:
        canvas: ``"aligned"`` or ``"completion"``.
        decoding: of the completion canvas, ``"grounded"`` or ``"plain"``.
        steps: denoising steps; with ``adaptive``, the most of them.
        threshold: the least score of an entity, in [0, 1].
        nested: whether an entity may lie inside another one (completion canvas only).
        overlaps: which of two entities that overlap stays, ``"surest"`` or ``"longest"``.
        adaptive, confidence_threshold, entropy_bound, fit_canvas, compact, remasking, temperature, seed,
            pad_penalty, outside_bias, algorithm, use_cache: see ``custom_generate.generate``;
            ``outside_bias`` None is the checkpoint's own.
    """

    canvas: str
    decoding: str
    steps: int
    threshold: float = 0.0
    nested: bool = False
    overlaps: str = "surest"
    adaptive: str | None = None
    confidence_threshold: float = 0.7  # chosen on CrossNER dev
    entropy_bound: float = ENTROPY_BOUND["completion"]
    fit_canvas: bool = True
    compact: bool = True
    remasking: bool = False
    temperature: float = 0.0
    seed: int | None = None
    pad_penalty: float = 0.0
    outside_bias: float | None = None
    algorithm: str = "maskgit_plus"
    use_cache: bool | str = True

    def loop(self, checkpoint: DiffusionSettings) -> LoopSettings:
        """Return the settings of the denoising loop.

        Raises:
            ValueError: one is out of its range.
        """
        return LoopSettings(
            steps=self.steps,
            algorithm=self.algorithm,
            adaptive=self.adaptive,
            confidence_threshold=self.confidence_threshold,
            entropy_bound=self.entropy_bound,
            fit_canvas=self.fit_canvas and self.canvas == "completion",
            compact=self.compact,
            pad_penalty=self.pad_penalty,
            remasking=self.remasking,
            temperature=self.temperature,
            outside_bias=checkpoint.outside_bias if self.outside_bias is None else self.outside_bias,
        )


def checked_options(
    settings: DiffusionSettings,
    canvas: str,
    decoding: str | None,
    steps: int | None,
    others: Mapping[str, Any],
) -> Options:
    """Return the options of a call, defaults filled in.

    Args:
        settings: the checkpoint's.
        canvas: ``"aligned"`` or ``"completion"``.
        decoding, steps: None is the default of the canvas.
        others: fields of Options; ``adaptive`` may be True, ``fit_canvas`` None.

    Raises:
        TypeError: an option is unknown.
        ValueError: one is out of range, or two do not go together; the message names it and the fix.
    """
    kind = checked_canvas(settings, canvas)
    if decoding is not None and decoding not in DECODINGS:
        raise ValueError(f"decoding must be one of {DECODINGS}, got {decoding!r}")
    if kind == "aligned" and decoding == "plain":
        raise ValueError(
            "decoding='plain' is for the completion canvas; the aligned canvas can only name spans of the "
            "text: leave decoding out, or choose canvas='completion'"
        )
    if steps is not None:
        positive("steps", steps)
    threshold = others.get("threshold", 0.0)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be a number in [0, 1], got {threshold!r}")
    seed = others.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise ValueError(f"seed must be a whole number, got {seed!r}")
    if seed is not None and not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed must fit into 64 bits, got a number of {seed.bit_length()} bits")
    unknown = sorted(set(others) - set(Options.__dataclass_fields__))
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r}; known are {', '.join(Options.__dataclass_fields__)}")
    others = dict(others)
    adaptive = others.pop("adaptive", None)
    if isinstance(adaptive, bool):
        adaptive = DEFAULT_ADAPTIVE if adaptive else None
    others.setdefault("entropy_bound", ENTROPY_BOUND[kind])
    if others.get("fit_canvas") is None:
        others["fit_canvas"] = kind == "completion" and (decoding or GROUNDED) == GROUNDED
    defaults = DEFAULT_STEPS if adaptive is None else ADAPTIVE_STEPS
    chosen = Options(kind, decoding or GROUNDED, steps or defaults[kind], adaptive=adaptive, **others)
    for name in _SWITCHES:
        if not isinstance(getattr(chosen, name), bool):
            raise ValueError(f"{name} must be True or False, got {getattr(chosen, name)!r}")
    if chosen.overlaps not in OVERLAPS:
        raise ValueError(f"overlaps must be one of {OVERLAPS}, got {chosen.overlaps!r}")
    if chosen.nested and kind == "aligned":
        raise ValueError(
            "nested=True needs canvas='completion': on the aligned canvas each word belongs to one entity"
        )
    chosen.loop(settings)  # checks the rest
    return chosen


def checked_canvas(settings: DiffusionSettings, canvas: str) -> str:
    """Return the canvas if the checkpoint has it.

    Raises:
        ValueError: it does not.
    """
    if canvas not in CANVASES:
        raise ValueError(f"canvas must be one of {CANVASES}, got {canvas!r}")
    if canvas == "aligned" and not settings.has_aligned:
        raise ValueError("this checkpoint has no aligned canvas; use canvas='completion'")
    return canvas


def positive(name: str, value: Any) -> int:
    """Return a whole number of at least 1.

    Raises:
        ValueError: it is not one.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return value
