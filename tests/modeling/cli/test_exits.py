"""How a command ends: one message, one exit status, a traceback only on request."""

from __future__ import annotations

import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from modeling.cli.exits import CLOSED, DEBUG, FAILURE, INTERRUPTED, WRONG_USE, UsageError, guard
from tests.conftest import REPOSITORY
from tests.modeling.cli.test_commands import run


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (UsageError("give x"), WRONG_USE, "error: give x\n"),
        (ValueError("bad value"), FAILURE, "error: bad value\n"),
        (FileNotFoundError(2, "No such file or directory", "a.txt"), FAILURE, "'a.txt'"),
        (FloatingPointError("the loss is nan"), FAILURE, "error: the loss is nan\n"),
        (RuntimeError("two\nlines"), FAILURE, "error: two\nlines\n"),
        (KeyError("x"), FAILURE, f"error: KeyError: 'x' (unexpected; {DEBUG}=1 shows where)\n"),
        (AssertionError(), FAILURE, "error: AssertionError:"),
        (ValueError(), FAILURE, "error: ValueError:"),
        (RecursionError("maximum"), FAILURE, "error: maximum\n"),
        (MemoryError(), FAILURE, "error: out of memory\n"),
        (ModuleNotFoundError("No module named 'zzz'", name="zzz"), FAILURE, "error: No module named 'zzz'\n"),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted; do it again\n"),
    ],
)
def test_every_error_is_one_message_and_a_status(error, status, told, capsys):
    def work() -> int:
        raise error

    assert guard(work, debug=False, again=lambda: "do it again") == status
    printed = capsys.readouterr().err
    assert told in printed
    assert "Traceback" not in printed


def test_a_traceback_comes_when_it_is_asked_for(capsys):
    def work() -> int:
        raise KeyError("x")

    assert guard(work, debug=True) == FAILURE
    assert "Traceback" in capsys.readouterr().err
    for words, environment in ((["--debug"], {}), ([], {DEBUG: "1"})):
        result = run("extract", "--labels", "a", "--model", "./none", "text", *words, **environment)
        assert result.returncode == WRONG_USE
        assert "Traceback" in result.stderr
        assert result.stderr.splitlines()[-1].startswith("error: there is no model folder './none'")


def test_warnings_are_a_line_each_and_those_for_programmers_none(capsys):
    def work() -> int:
        warnings.warn("an answer was cut", stacklevel=2)
        warnings.warn("old", FutureWarning, stacklevel=2)
        warnings.warn("older", DeprecationWarning, stacklevel=2)
        return 0

    before = warnings.showwarning
    assert guard(work, debug=False) == 0
    assert capsys.readouterr().err == "warning: an answer was cut\n"
    assert warnings.showwarning is before


def test_a_reader_that_leaves_is_no_error(capsys, tmp_path, monkeypatch):
    def work() -> int:
        raise BrokenPipeError

    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert guard(work, debug=False) == CLOSED
        monkeypatch.undo()
    assert capsys.readouterr().err == ""


def test_help_into_a_closed_pipe_is_quiet():
    with subprocess.Popen(
        [sys.executable, "-m", "modeling", "extract", "--help-all"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_an_unwritable_standard_output_is_told():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "modeling", "extract", "--json", "--labels", "a", "text"],
            cwd=REPOSITORY,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert result.returncode == FAILURE
    assert result.stderr.startswith("error: cannot write standard output: No space left on device")
    assert "Traceback" not in result.stderr
