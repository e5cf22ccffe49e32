"""Fine-tuning on a few sentences of a domain: what is drawn, kept, measured and shown."""

import json
from pathlib import Path

import pytest

from dataset_builder.benchmarks import load_benchmark
from model_card.__main__ import main
from model_card.experiments.finetune import DOMAINS, draw
from modeling.training.labelled import read_labelled


def test_drawn_sentences_are_labelled_texts_of_the_train_split(shared: Path) -> None:
    benchmark = load_benchmark("crossner_politics", "train", shared / "data" / "benchmarks")
    rows = draw(benchmark, 50, seed=1)
    assert draw(benchmark, 50, seed=1) == rows != draw(benchmark, 50, seed=2)
    assert len({row["text"] for row in rows} & {s.text for s in benchmark.sentences}) == 50
    read, types = read_labelled([json.dumps(row).encode() + b"\n" for row in rows])
    assert [len(row["entities"]) for row in read] == [len(row["entities"]) for row in rows]
    assert set(types) <= set(benchmark.types)
    with pytest.raises(ValueError, match="has 200 sentences, not 201; take fewer by --sentences"):
        draw(benchmark, 201, seed=0)


def test_a_domain_is_measured_once(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data", str(shared / "data" / "benchmarks"), "--only", "crossner_ai", "--sentences", "4"]
    options += ["--limit", "6", "--flags", "--max_steps 1", "--runs", str(tmp_path / "runs" / "evidence")]
    command = ["experiment", "finetune", *options, "--device", "cpu", "--results", str(tmp_path)]
    assert main(command) == 0
    report = json.loads((tmp_path / "finetune.json").read_text())
    (run,) = report["results"]["crossner_ai"]["runs"].values()
    assert run["seconds"] > 0
    assert run["peak_mib"] > 100
    assert run["train_loss"] > 0
    assert report["results"]["crossner_ai"]["before"]["sentences"] == run["sentences"] == 6
    shown = capsys.readouterr().out
    assert f"| **{100 * run['f1']:.1f}** (" in shown
    assert "after 4 sentences" in shown
    # The results file is lost, the training is not: nothing is trained again.
    (kept,) = (tmp_path / "runs" / "finetune").rglob("training_log.json")
    before = kept.stat().st_mtime_ns
    (tmp_path / "finetune.json").unlink()
    assert main(command) == 0
    assert kept.stat().st_mtime_ns == before
    assert json.loads((tmp_path / "finetune.json").read_text())["results"] == report["results"]


def test_wrong_usage_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(f"crossner_{d}" for d in ("ai", "literature", "music", "politics", "science")) == DOMAINS
    with pytest.raises(SystemExit) as ended:
        main(["experiment", "finetune", "--sentences", "0"])
    assert ended.value.code == 2
    assert main(["experiment", "finetune", "--data", str(tmp_path), "--results", str(tmp_path)]) == 1
    assert "train.txt does not exist" in capsys.readouterr().err
