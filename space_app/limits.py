"""What one visitor may ask for at once, so that the queue moves for everyone."""

from collections.abc import Sequence
from dataclasses import dataclass

from modeling.canvas.template import check_types

TEXT_LENGTH = 2000  # characters
TYPES = 24
TYPE_LENGTH = 60  # characters
STEPS = 16
RUNS = 10  # of the uncertainty view
CONCURRENCY = 2  # requests that run at once
QUEUE = 64  # requests that may wait

DEFAULT_STEPS = 8
DEFAULT_THRESHOLD = 0.3


class LimitError(ValueError):
    """A request that this demo does not run; the message says what to change."""


@dataclass(frozen=True)
class Query:
    """One checked request: types as the prompt names them, threshold in [0, 1], canvas a known one."""

    text: str
    types: tuple[str, ...]
    threshold: float
    steps: int
    canvas: str


def split_types(field: str) -> list[str]:
    """Return the types that a field names, separated by commas or line ends; empty places are skipped."""
    return [name.strip() for name in field.replace("\n", ",").split(",") if name.strip()]


def check(
    text: object,
    types: Sequence[str],
    threshold: object,
    steps: object,
    canvas: str | None,
    canvases: Sequence[str],
) -> Query:
    """Return the request if it keeps the limits.

    Args:
        canvases: those that the model has, its own default first; it stands for ``canvas=None``.

    Raises:
        LimitError: a value is missing, wrong or above its limit.
    """
    if not isinstance(text, str):
        raise LimitError(f"The text must be a string, got {text!r:.60}.")
    if not text.strip():
        raise LimitError("There is no text yet. Write or paste some, or pick an example.")
    if len(text) > TEXT_LENGTH:
        raise LimitError(
            f"The text has {len(text):,} characters and this demo takes {TEXT_LENGTH:,}: "
            f"take {len(text) - TEXT_LENGTH:,} out. On your own machine there is no such limit."
        )
    if not isinstance(threshold, int | float) or isinstance(threshold, bool) or not 0 <= threshold <= 1:
        raise LimitError(f"The threshold must be a number from 0 to 1, got {threshold!r:.60}.")
    if not isinstance(steps, int) or isinstance(steps, bool) or not 1 <= steps <= STEPS:
        raise LimitError(f"The steps must be a whole number from 1 to {STEPS}, got {steps!r:.60}.")
    chosen = canvases[0] if canvas is None else canvas
    if chosen not in canvases:
        raise LimitError(f"This model's canvases are {', '.join(canvases)}; got {chosen!r:.60}.")
    return Query(text, _checked(types), float(threshold), steps, chosen)


def _checked(types: Sequence[str]) -> tuple[str, ...]:
    if isinstance(types, list | tuple) and not types:
        raise LimitError("There is no entity type yet. Name at least one, for example: person, city.")
    if isinstance(types, list | tuple) and len(types) > TYPES:
        raise LimitError(f"There are {len(types)} entity types and this demo takes {TYPES}: name fewer.")
    try:
        checked = check_types(types)
    except (TypeError, ValueError) as error:
        message = str(error)
        raise LimitError(f"{message[0].upper()}{message[1:]}.") from error
    for name in checked:
        if len(name) > TYPE_LENGTH:
            raise LimitError(
                f"The entity type “{name[:30]}…” has {len(name)} characters and this demo takes "
                f"{TYPE_LENGTH}: use a shorter name. Types are separated by commas."
            )
    return tuple(checked)
