"""A deprecated call of ours fails the test that makes it; deprecated calls among libraries do not.

Libraries announce in a warning what a later release takes away. `raise_for_our_calls` puts itself in front of
``warnings.warn`` and looks who called the library that warns. It passes over frames of that library, of torch
(which passes calls on to modules) and of the standard library; the first frame beyond them is the caller.
What a library warns of while it is imported is nobody's call.
"""

from __future__ import annotations

import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
OURS = tuple(
    str(REPOSITORY / name) for name in ("modeling", "dataset_builder", "metric", "model_card", "space_app")
)
PASSED_OVER = ("torch",)
NOISY = ("ray",)  # warns of its own internal calls, whoever started them
ANNOUNCEMENTS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
_SITE = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_STANDARD = sysconfig.get_path("stdlib")


class DeprecatedCall(Exception):
    """A call of ours uses what a library is about to remove."""


def package_of(file: str) -> str:
    """Return the installed package that a file is of, ``"ours"``, or ``""`` for the standard library."""
    if file.startswith((*OURS, str(REPOSITORY / "tests"), str(REPOSITORY / "train_sft.py"))):
        return "ours"
    for site in _SITE:
        if file.startswith(site):
            return Path(file).relative_to(site).parts[0].removesuffix(".py")
    return "" if file.startswith((_STANDARD, "<")) else file


def caller(frame: FrameType | None) -> str:
    """Return which package called the one whose code warns in this frame."""
    warner = None
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return ""
        package = package_of(frame.f_code.co_filename)
        if package and package not in PASSED_OVER:
            if warner is None:
                warner = package
                if warner in NOISY:
                    return warner
            elif package != warner:
                return package
        frame = frame.f_back
    return warner or ""


def raise_for_our_calls() -> Iterator[None]:
    """Raise DeprecatedCall where a call of ours is announced to end, until the generator is closed."""
    plain = warnings.warn

    def warn(message: Any, category: Any = None, stacklevel: int = 1, *args: Any, **options: Any) -> None:
        kind = type(message) if isinstance(message, Warning) else category or UserWarning
        if issubclass(kind, ANNOUNCEMENTS) and caller(sys._getframe(1)) == "ours":
            raise DeprecatedCall(str(message))
        plain(message, category, stacklevel + 1, *args, **options)

    warnings.warn = warn  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.warn = plain
