"""How every command ends: its exit status, and one line on standard error in place of a traceback."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from .parser import CommandParser

FAILURE, WRONG_USE, INTERRUPTED, CLOSED = 1, 2, 130, 141
DEBUG = "DIFFUSION_NER_DEBUG"

EXIT_STATUS = """\
exit status:
  0    all done
  1    the work failed, or a part of it
  2    wrong use: a flag, a value, a file or a model that the command line names
  130  interrupted
"""

# What raises an error with a message for the user; everything else is a fault of this program.
_EXPECTED = (ValueError, OSError, ImportError, RuntimeError, ArithmeticError, EOFError)


class UsageError(ValueError):
    """The command line asks for what cannot be; the message says what to change."""


@contextmanager
def wrong_use(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds into a UsageError, where they are about what the command line says."""
    try:
        yield
    except kinds as error:
        raise UsageError(str(error)) from error


def debugging(arguments: argparse.Namespace | None = None) -> bool:
    """Return whether a traceback is asked for, by ``--debug`` or the environment variable."""
    return bool(getattr(arguments, "debug", False)) or os.environ.get(DEBUG, "0") not in ("", "0")


def execute(
    parser: CommandParser,
    run: Callable[[argparse.Namespace], int],
    argv: Sequence[str] | None,
    *,
    check: Callable[[argparse.Namespace], None] = lambda arguments: None,
    explain: Callable[[argparse.Namespace, Exception], str | None] = lambda arguments, error: None,
    again: Callable[[argparse.Namespace], str] = lambda arguments: "",
) -> int:
    """Parse a command line, run it, and return the exit status.

    Args:
        parser: of the command.
        run: does the work and returns 0, or 1 where a part of the work failed.
        argv: the words behind the command; None is those of this process.
        check: raises a ValueError for flags that do not go together. It needs no model.
        explain: returns a better message for an error of ``run``, or None.
        again: returns what to do after an interruption, perhaps nothing.

    Raises:
        SystemExit: with status 2, what the parser or ``check`` refuses; with status 0, help.
    """
    arguments = parser.parse_args(argv)
    try:
        check(arguments)
    except ValueError as error:
        parser.error(str(error))
    return guard(
        lambda: run(arguments),
        debug=debugging(arguments),
        explain=lambda error: explain(arguments, error),
        again=lambda: again(arguments),
    )


def guard(
    work: Callable[[], int],
    *,
    debug: bool,
    explain: Callable[[Exception], str | None] = lambda error: None,
    again: Callable[[], str] = lambda: "",
) -> int:
    """Return what ``work`` returns, or the exit status of what stops it, told in one line."""
    try:
        with readable_warnings(debug):
            status = work()
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        close_output()
        return CLOSED
    except KeyboardInterrupt:
        advice = again()
        print(f"interrupted{f'; {advice}' if advice else ''}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"error: {explain(error) or message_of(error)}", file=sys.stderr)
        return WRONG_USE if isinstance(error, UsageError) else FAILURE


def close_output() -> None:
    """Let standard output go nowhere: its reader left, and the interpreter flushes it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def message_of(error: Exception) -> str:
    """Return what to tell of an error: its message, and the way out where it is known."""
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported for this
        return "out of memory; use smaller batches (--batch-size, --batch-tokens)"
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, _EXPECTED) and str(error).strip():
        return str(error)
    return f"{type(error).__name__}: {error} (unexpected; {DEBUG}=1 shows where)"


@contextmanager
def readable_warnings(debug: bool) -> Iterator[None]:
    """Tell warnings in one line each, and keep quiet about those that libraries have for programmers."""
    with warnings.catch_warnings():
        if not debug:
            for kind in (FutureWarning, DeprecationWarning, PendingDeprecationWarning):
                warnings.simplefilter("ignore", kind)
            warnings.showwarning = _tell
        yield


def _tell(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"warning: {message}", file=file or sys.stderr)
