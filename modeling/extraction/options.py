"""The options of one extraction: how its canvases are denoised, which entities stay, GLiNER's names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..custom_generate.config import COMPLETION, DecodingConfig, number, option, switch
from ..custom_generate.settings import CANVASES, DiffusionSettings
from ..custom_generate.unmasking import MODES
from .chunking import OVERLAPS
from .columns import scalar

GLINER_OPTIONS = ("flat_ner", "multi_label")


def _probability(name: str, value: Any) -> None:
    try:
        number(name, value)
        inside = 0 <= value <= 1
    except ValueError:
        inside = False
    if not inside:
        raise ValueError(f"{name} must be a number in [0, 1], got {value!r}")


def _overlaps(name: str, value: Any) -> None:
    if value not in OVERLAPS:
        raise ValueError(f"{name} must be one of {OVERLAPS}, got {value!r}")


@dataclass(frozen=True)
class Options(DecodingConfig):
    """How one call decodes (see DecodingConfig), and which entities it returns.

    Args:
        threshold: the least score of an entity, in [0, 1]; default 0.
        nested: whether an entity may lie inside another one (completion canvas only); default: False.
        overlaps: which of two entities that overlap stays, ``"surest"``, the default, or ``"longest"``.
    """

    threshold: float = option(0.0, _probability, modes=MODES)
    nested: bool = option(
        False,
        switch,
        modes=COMPLETION,
        why="on the aligned canvas each word belongs to one entity",
        off=False,
    )
    overlaps: str = option("surest", _overlaps, modes=MODES)


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
        others: fields of Options; None is the default.

    Raises:
        TypeError: an option is unknown.
        ValueError: one is out of range, or two do not go together; the message names it and the fix.
    """
    unknown = sorted(set(others) - set(Options.__dataclass_fields__))
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r}; known are {', '.join(Options.__dataclass_fields__)}")
    given = {name: scalar(value) for name, value in {"decoding": decoding, "steps": steps, **others}.items()}
    return Options(checked_canvas(settings, canvas), **given)


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


def own_options(canvas: str | None, options: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return the canvas and the options of a call, with GLiNER's names turned into those used here.

    ``flat_ner=True`` is what happens by default. ``flat_ner=False`` is ``nested=True``, on the completion
    canvas unless another one is chosen. ``multi_label=False`` is what happens by default.

    Raises:
        ValueError: a value is no truth value, contradicts ``nested``, or has no counterpart; the message
            names what replaces it.
    """
    own = {name: value for name, value in options.items() if name not in GLINER_OPTIONS}
    for name in GLINER_OPTIONS:
        if options.get(name) is not None and not isinstance(options[name], bool):
            raise ValueError(f"{name} must be True or False, got {options[name]!r}")
    flat, several = options.get("flat_ner"), options.get("multi_label")
    if flat is not None:
        if own.setdefault("nested", not flat) == flat:
            raise ValueError(
                f"flat_ner={flat} and nested={own['nested']} contradict each other; leave flat_ner out"
            )
        canvas = canvas or (None if flat else "completion")
    if several and not own.get("nested"):
        raise ValueError(
            "multi_label=True has no counterpart without nested entities; use nested=True with "
            "canvas='completion': there one place may have several labels"
        )
    if several is False and own.get("nested"):
        raise ValueError(
            "multi_label=False has no counterpart with nested entities: one place may have several labels; "
            "leave multi_label out and keep the entity of the highest score"
        )
    return canvas, own
