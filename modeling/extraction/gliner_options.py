"""GLiNER's names of options, turned into those that do the same here."""

from collections.abc import Mapping
from typing import Any

GLINER_OPTIONS = ("flat_ner", "multi_label")


def own_options(canvas: str | None, options: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return the canvas and the options of a call without GLiNER's names.

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
