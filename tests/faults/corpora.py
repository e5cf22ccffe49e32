"""A corpus on Ray whose workers and driver die, and that holds what cannot be annotated."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from modeling.cli.annotate import main
from modeling.corpus.parts import finished_parts
from modeling.corpus.storage import Folder
from tests.conftest import REPOSITORY
from tests.faults.case import Fault, Place, Seen

DOCUMENTS, PART = 300, 10


def _input(folder: Path, *more: str) -> Path:
    source = folder / "texts.jsonl"
    rows = [{"id": n, "text": f"Ada Lovelace met Charles Babbage {n} times."} for n in range(DOCUMENTS)]
    source.write_text("".join([*(json.dumps(row) + "\n" for row in rows), *more]), encoding="utf-8")
    return source


def _command(source: Path, output: Path) -> list[str]:
    options = ["--labels", "person", "--workers", "1", "--documents-per-part", str(PART)]
    return ["--input", str(source), "--output", str(output), *options]


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "modeling.cli.annotate", *command],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _after_parts(driver: subprocess.Popen[str], output: Path, count: int) -> None:
    """Wait until so many parts are written, which must be before the run is done."""
    end = time.monotonic() + 180
    while not output.is_dir() or finished_parts(Folder(str(output))).count < count:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def _checked(output: Path) -> str:
    """Return what the checker says of a whole output: every id is there once."""
    done = subprocess.run(
        [sys.executable, "-m", "modeling.cli.annotate", "--check", str(output)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every id is there once" in done.stdout
    return done.stdout


def _worker_dies(place: Place) -> Seen:
    output = place.folder / "annotated"
    driver = _start(_command(_input(place.folder), output))
    with driver:
        _after_parts(driver, output, 2)
        family = psutil.Process(driver.pid).children(recursive=True)
        worker = next(child for child in family if "MapWorker" in child.name())
        worker.send_signal(signal.SIGKILL)
        said, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, said
    assert not worker.is_running()
    printed = _checked(output)
    return Seen(f"Ray's warning, and exit status 0; --check: {printed}", "yes: every id is there once")


def _driver_dies(place: Place) -> Seen:
    output = place.folder / "annotated"
    command = _command(_input(place.folder), output)
    driver = _start(command)
    with driver:
        _after_parts(driver, output, 2)
        driver.send_signal(signal.SIGKILL)
    there = finished_parts(Folder(str(output))).count
    assert 2 <= there < DOCUMENTS // PART
    with _start(command) as again:
        said, _ = again.communicate(timeout=300)
    assert again.returncode == 0, said
    (line,) = [line for line in said.splitlines() if "are there already" in line]
    _checked(output)
    told = re.sub(r"[\d,]+ (?=parts)", "N ", line)
    return Seen(f"the same command goes on: {told}", "yes: every id is there once")


def _whole(place: Place) -> tuple[list[str], str]:
    """Return the command of a finished run with one broken line, and what it said; made once for all."""
    folder = place.shared / "corpus"
    command = _command(folder / "texts.jsonl", folder / "annotated")
    log = folder / "said.txt"
    if not log.is_file():
        folder.mkdir(parents=True)
        _input(folder, '{"id": "n", "text": null}\n')
        with _start(command) as run:
            said, _ = run.communicate(timeout=300)
        assert run.returncode == 1, said
        log.write_text(said, encoding="utf-8")
    return command, log.read_text(encoding="utf-8").replace(str(folder), "FOLDER")


def _dead_letter(place: Place) -> Seen:
    _, said = _whole(place)
    (line,) = [line for line in said.splitlines() if "dead letters are in" in line]
    folder = place.shared / "corpus" / "annotated"
    (letters,) = (folder / "_dead_letter").iterdir()
    assert json.loads(letters.read_text(encoding="utf-8"))["error"] == "'text' must be a string, got None"
    assert f"{DOCUMENTS:,} annotated, 1 dead letters" in _checked(folder)
    return Seen(
        f"exit status 1; {line}", "yes: all others are annotated, the dead letter has text and reason"
    )


def _other_arguments(place: Place) -> Seen:
    command, _ = _whole(place)
    output = place.shared / "corpus" / "annotated"
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    with _start([*command, "--threshold", "0.9"]) as other:
        said, _ = other.communicate(timeout=300)
    assert other.returncode == 2
    assert before == {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    assert main(["--check", str(output)]) == 0
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    return Seen(f"exit status 2; {line.replace(str(output.parent), 'FOLDER')}", "yes: no file is changed")


FAULTS = [
    Fault("a worker is killed (SIGKILL)", "another one is started, its part is done again", _worker_dies),
    Fault("the driver is killed (SIGKILL)", "the same command does what is missing", _driver_dies),
    Fault("a document without a text", "goes to the dead letters", _dead_letter),
    Fault("other arguments for the output of another run", "refused", _other_arguments),
]
