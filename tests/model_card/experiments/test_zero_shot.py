"""What training had seen: counted on the real test sets, scored apart, and shown as it was counted."""

import gzip
import json
from pathlib import Path

import pytest

from dataset_builder.benchmarks import load_benchmark
from metric.entity_f1.scorer import score_entities
from model_card.__main__ import main
from model_card.evidence.predictor import Predictor
from model_card.evidence.results import read
from model_card.evidence.setting import Setting
from model_card.experiments import zero_shot
from model_card.experiments.zero_shot import overlaps_of, scores_of

SET = "mit_restaurant"


@pytest.fixture
def mix(shared: Path, tmp_path: Path) -> Path:
    """A mix of two rows: a test sentence whose dish is marked, and one of its cuisines under another type."""
    benchmark = load_benchmark(SET, "test", shared / "data" / "benchmarks")
    sentence = next(
        s for s in benchmark.sentences if "dish" in {e.type for e in s.entities} and len(s.text) > 60
    )
    other = next(e for s in benchmark.sentences for e in s.entities if e.type == "cuisine")
    rows = [
        {
            "text": f"so {sentence.text} then",
            "entities": [{"type": e.type, "text": e.text} for e in sentence.entities],
        },
        {"text": other.text, "entities": [{"type": "country", "text": other.text.upper()}]},
    ]
    folder = tmp_path / "mix"
    folder.mkdir()
    names = sorted({e.type for e in sentence.entities} | {"country"})
    (folder / "sources.json").write_text(json.dumps({"a": {"types": names}}))
    with gzip.open(folder / "train.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"source": "a", **row}) + "\n" for row in rows)
    return folder


def test_what_is_seen_is_scored_apart(mix: Path, shared: Path, tmp_path: Path) -> None:
    benchmark = load_benchmark(SET, "test", shared / "data" / "benchmarks")
    (overlap,) = overlaps_of(mix, [benchmark])
    assert "dish" in overlap.seen
    assert "cuisine" in overlap.seen + overlap.unseen
    figures = overlap.figures()
    assert figures["exact"] >= 1
    assert 1 <= figures["mentions_seen"] < figures["mentions_seen_any_type"] < figures["mentions"]
    predictor = Predictor("mini", device="cpu", limit=25, runs=tmp_path / "runs", progress=False)
    scores = scores_of(predictor(Setting("aligned"), benchmark), benchmark, overlap)
    gold = [[{"type": e.type, "text": e.text} for e in s.entities] for s in benchmark.sentences[:25]]
    pairs = {(i, e["type"], e["text"]) for i, own in enumerate(gold) for e in own}
    assert scores["mentions_seen"] + scores["mentions_new"] == len(pairs)
    assert scores["mentions_seen"] == sum(overlap.knows(text, kind) for _, kind, text in pairs)
    hits = sum(
        scores[f"recall_{part}"] * scores[f"mentions_{part}"]
        for part in ("seen", "new")
        if scores[f"mentions_{part}"]
    )
    assert round(hits) == scores["seen"]["tp"] + scores["unseen"]["tp"]
    assert scores["seen"]["support"] + scores["unseen"]["support"] == len(pairs)
    assert score_entities(gold, gold, seen_types=overlap.seen).to_dict()["seen"]["f1"] == 1.0


def test_the_command_writes_what_the_table_shows(
    mix: Path, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(shared / "data" / "benchmarks"), "--only", SET, "--limit", "5"]
    folder = tmp_path / "results"
    command = [
        "experiment",
        zero_shot.NAME,
        *data,
        "--runs",
        str(tmp_path / "runs"),
        "--results",
        str(folder),
    ]
    assert main([*command, "--mix", str(mix)]) == 0
    shown = capsys.readouterr().out
    report = read(folder, zero_shot.NAME)
    assert report is not None
    assert set(report["results"]["sets"]) == set(report["results"]["scores"]) == {SET}
    own = report["results"]["sets"][SET]
    assert f"| Restaurant | {own['sentences']:,} | {own['exact']:,} (and" in shown
    assert f"{len(own['types_unseen'])} of {own['types']}: {own['types_unseen'][0]}" in shown
    assert "F1, types never seen" in shown
    assert report["scored"]["command"] in shown
    assert main([*command, "--mix", str(tmp_path)]) == 1
    assert "give the folder that dataset_builder.mix wrote" in capsys.readouterr().err
