"""The measurement of annotation at scale: its corpus, its rates, its memory."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from model_card.__main__ import main
from model_card.speed.scale_run import Job, Sample, growth, rate, steady_rate, thinned, write_corpus


def samples(*parts: int) -> list[Sample]:
    """One sample every two seconds; memory grows by 1 MiB each."""
    return [
        Sample(2.0 * i, own, 100.0 + i, 2 if i else 0, 50.0 + i, 300.0 + i) for i, own in enumerate(parts)
    ]


def test_the_corpus_repeats_the_test_sentences_with_ids_of_their_own(shared: Path, tmp_path: Path) -> None:
    path = tmp_path / "corpus" / "c.jsonl"
    checksums = write_corpus(path, 7000, shared / "data" / "benchmarks")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len({row["id"] for row in rows}) == 7000
    texts = [row["text"] for row in rows]
    assert texts[6470:] == texts[: 7000 - 6470]  # all test sentences of the seven sets
    assert len(set(texts)) > 6000
    assert len(checksums) == 7


def test_rates_count_from_the_first_part_to_the_last() -> None:
    # Parts that an earlier run left do not count, nor does the wait for the first or after the last.
    assert rate(samples(4, 4, 4, 5, 7, 9, 9), 10) == (9 - 5) * 10 / (10 - 6)
    assert rate(samples(0, 0, 0), 10) is None
    assert rate(samples(0, 3, 3), 10) is None


def test_the_steady_rate_leaves_the_first_part_of_each_worker_out(tmp_path: Path) -> None:
    for number in range(10):
        path = tmp_path / f"part-000000-{number:06d}.parquet"
        path.touch()
        os.utime(path, (0, 100 + 3 * number))
    assert steady_rate(tmp_path, 50, 2) == pytest.approx(8 * 50 / 24)
    with pytest.raises(ValueError, match="10 parts are too few to time 5 workers"):
        steady_rate(tmp_path, 50, 5)


def test_memory_is_compared_between_the_halves_of_the_work() -> None:
    found = growth(samples(0, 0, 1, 2, 3, 4))
    assert found["driver_mib"] == {"first_half": 103.0, "second_half": 105.0}
    assert found["all_mib"]["second_half"] == 305.0
    assert growth(samples(0, 0)) == {}
    assert [sample["seconds"] for sample in thinned(samples(*range(10)), 4)] == [0.0, 6.0, 12.0, 18.0]


def test_the_command_is_one_that_the_annotation_takes(tmp_path: Path) -> None:
    from modeling.cli.annotate import build_parser

    job = Job(tmp_path / "in.jsonl", tmp_path / "out", "mini", "cuda", 3, 500, "aligned")
    arguments = build_parser().parse_args(job.command[3:])
    assert (arguments.workers, arguments.device, arguments.canvas) == (3, "cuda", "aligned")
    assert arguments.documents_per_part == 500


def test_wrong_usage_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    for own, message in (
        (["--workers", "1", "2"], "several numbers of --workers need --overhead"),
        (["--sentences", "10"], "at least eight times --documents-per-part"),
    ):
        assert main(["speed", "scale", *own]) == 2
        assert message in capsys.readouterr().err
