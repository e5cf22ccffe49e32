"""A property that must hold whatever goes in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.draws import Draws


@dataclass(frozen=True)
class Target:
    """One target of the fuzz run.

    Args:
        holds: what must hold, in words.
        check: makes a case and raises if the property does not hold for it.
    """

    holds: str
    check: Callable[[Draws], None]
