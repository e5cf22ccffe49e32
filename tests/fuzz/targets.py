"""All targets by name."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from tests.fuzz import formats
from tests.fuzz.draws import Draws
from tests.fuzz.target import Target

AROUND_THE_NETWORK = ["alignment", "aligned", "grounded", "free", "resolution", "extraction"]
NAMES = [*formats.TARGETS, *AROUND_THE_NETWORK]
ROOT = Path(__file__).resolve().parents[2]


def target_of(name: str) -> Target:
    """Return a target by its name; those of formats alone come without waiting for torch."""
    if name not in NAMES:
        raise KeyError(f"no target is called {name!r}; known are {', '.join(NAMES)}")
    if name in formats.TARGETS:
        return formats.TARGETS[name]
    from tests.fuzz.grounding import TARGETS

    assert list(TARGETS) == AROUND_THE_NETWORK
    return TARGETS[name]


def attempt(target: Target, draws: Draws) -> dict[str, Any] | None:
    """Try one case, and return what went wrong, or None.

    ``numbers`` is the case, for ``KeptDraws``; ``where`` the deepest line of this repository.
    """
    try:
        target.check(draws)
    except Exception as error:  # whatever it is, it is a finding
        frames = [f for f in traceback.extract_tb(error.__traceback__) if _own(f.filename)]
        where = [f"{Path(f.filename).relative_to(ROOT)}:{f.lineno}" for f in frames]
        return {
            "error": f"{type(error).__name__}: {error}"[:500],
            "where": where[-1] if where else "",
            "numbers": list(draws.drawn),
        }
    return None


def _own(name: str) -> bool:
    path = Path(name)
    return path.is_relative_to(ROOT) and ".venv" not in path.parts
