"""Fine-tuning on a few sentences of a domain: what is drawn, kept, measured and shown."""

import json
from pathlib import Path

import pytest

from dataset_builder.benchmarks import load_benchmark
from model_card.experiments import finetune
from model_card.experiments.finetune import DOMAINS, draw, main
from model_card.figures import finetune as tables
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


def test_a_domain_is_measured_once(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / f"{finetune.NAME}.json"
    options = ["--data", str(shared / "data" / "benchmarks"), "--only", "crossner_ai", "--sentences", "4"]
    options += ["--limit", "6", "--flags", "--max_steps 1", "--work", str(tmp_path / "work")]
    assert main([*options, "--output", str(out)]) == 0
    report = json.loads(out.read_text())
    (run,) = report["results"]["crossner_ai"]["runs"].values()
    assert run["seconds"] > 0
    assert run["peak_mib"] > 100
    assert run["train_loss"] > 0
    assert report["results"]["crossner_ai"]["before"]["sentences"] == run["sentences"] == 6
    before = out.read_bytes()
    assert main([*options, "--output", str(out)]) == 0
    assert out.read_bytes() == before  # kept, nothing was trained
    assert "crossner_ai" in capsys.readouterr().out
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    shown = tables.finetune(tmp_path)
    assert f"| **{100 * run['f1']:.1f}** (" in shown
    assert "after 4 sentences" in shown
    monkeypatch.setattr(tables, "RESULTS", tmp_path / "work")
    assert "Not measured yet" in tables.finetune(tmp_path)


def test_only_what_agrees_is_kept(tmp_path: Path) -> None:
    report = dict.fromkeys(finetune.SAME, "same")
    path = tmp_path / "finetune.json"
    assert finetune._kept(path, report) == {}
    path.write_text(json.dumps({**report, "results": {"crossner_ai": {}}}))
    assert finetune._kept(path, report) == {"crossner_ai": {}}
    for key in finetune.SAME:
        assert finetune._kept(path, {**report, key: "other"}) == {}


def test_wrong_usage_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(f"crossner_{d}" for d in ("ai", "literature", "music", "politics", "science")) == DOMAINS
    with pytest.raises(SystemExit):
        main(["--sentences", "0"])
    assert "--sentences must be at least 1, got 0" in capsys.readouterr().err
    assert main(["--data", str(tmp_path)]) == 2
    assert "train.txt does not exist" in capsys.readouterr().err
