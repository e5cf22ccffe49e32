"""The timing command: it repeats the records, builds them, and measures the whole process tree."""

import subprocess
import sys

import pytest

from dataset_builder.benchmark import Measured, main, measure, repeat_source
from dataset_builder.source import SourceFile
from tests.dataset_builder.records import small_source


def test_records_are_repeated_under_ids_of_their_own(tmp_path):
    source = SourceFile(small_source(tmp_path / "s.json", 5))
    assert repeat_source(source, 3, tmp_path / "r.jsonl") == 15
    repeated = list(SourceFile(tmp_path / "r.jsonl").records())
    assert len({value["id"] for value in repeated}) == 15
    originals = list(source.records())
    assert [value["conversations"] for value in repeated] == [
        value["conversations"] for value in originals
    ] * 3


def test_time_memory_and_failure_are_those_of_the_command():
    code = "import time; block = bytearray(150_000_000); time.sleep(0.7)"
    measured = measure([sys.executable, "-c", code], 1)
    assert 0.7 < measured.seconds < 30
    assert 150_000_000 < measured.peak_bytes < 400_000_000
    with pytest.raises(subprocess.CalledProcessError):
        measure([sys.executable, "-c", "raise SystemExit(3)"], 1)


@pytest.mark.parametrize(
    ("seconds", "peak", "within"),
    [(59.0, 1_900_000_000, True), (61.0, 1, False), (1.0, 2_100_000_000, False)],
)
def test_targets(seconds, peak, within):
    assert Measured(seconds, 1.0, peak).within_targets() is within


def test_the_command_prints_what_it_measured(tmp_path, tokenizer_folder, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = small_source(tmp_path / "s.json", 5)
    arguments = [
        "--source",
        str(source),
        "--tokenizer",
        str(tokenizer_folder),
        "--copies",
        "2",
        "--cores",
        "1",
    ]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "10 (" in printed
    assert "wall-clock time" in printed
    assert "peak memory" in printed
    assert main(["--source", str(tmp_path / "nothing")]) == 1
    assert "is not a file" in capsys.readouterr().err
