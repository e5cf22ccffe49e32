"""The command as a process: pipes, signals, encodings, memory."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys

import psutil

from modeling.cli.extract import main
from tests.conftest import REPOSITORY
from tests.modeling.cli.test_extract_cli import COMMAND, TEXT, write_lines


def test_json_lines_are_utf8_in_any_locale_and_nothing_else_is_printed(tmp_path):
    """No progress bar where nobody looks, no notes of the libraries."""
    value = {"text": "Zoë Müller lives in 東京.", "id": 1}
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    result = subprocess.run(
        [*COMMAND, "--labels", "person, location", "--input", str(source)],
        cwd=REPOSITORY,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.startswith('{"text": "Zoë Müller lives in 東京.", "id": 1, "entities": ['.encode())
    assert result.stdout.count(b"\n") == 1


def test_a_table_goes_through_a_narrow_encoding(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    assert main(["--labels", "person", "Zoë lives in 東京."]) == 0
    assert narrow.buffer.getvalue().splitlines()[0] == rb"Zo\xeb lives in \u6771\u4eac."


def test_a_reader_that_leaves_ends_it_quietly(tmp_path):
    source = write_lines(tmp_path / "in.jsonl", *[{"text": TEXT, "pad": "x" * 1000}] * 500)
    with subprocess.Popen(
        [*COMMAND, "--labels", "person", "--input", str(source), "--batch-size", "4"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["text"] == TEXT
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 141


def test_ctrl_c_ends_it_with_130_and_no_traceback():
    with subprocess.Popen(
        [*COMMAND, "--labels", "person", "--batch-size", "1", "-"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell's background job ignores SIGINT and hands that on; a user's terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(json.dumps({"text": TEXT}).encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline()  # the answer came before the end of the input
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == b"interrupted\n"


def test_memory_stays_flat_on_a_long_stream():
    """Ten times more lines, of 20 kB each beside a short text, must not take more memory."""
    line = json.dumps({"text": "", "pad": "x" * 20_000}).encode() + b"\n"
    with subprocess.Popen(
        [*COMMAND, "--labels", "person", "--batch-size", "8", "-"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        memory = psutil.Process(process.pid).memory_info

        def answer(lines: int) -> int:
            for _ in range(lines // 8):
                process.stdin.write(line * 8)
                process.stdin.flush()
                for _ in range(8):
                    assert json.loads(process.stdout.readline())["entities"] == []
            return memory().rss

        early = answer(200)
        late = answer(2000)
        process.stdin.close()
        assert process.wait(timeout=60) == 0
    assert late - early < 10e6  # keeping the 2000 lines would take 40 MB
