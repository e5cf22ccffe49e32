"""Sets that training left out: what is read and drawn of them, what is refused, and the table."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import yaml

from model_card.__main__ import main
from model_card.experiments.far import load_far, read_tokenized

ROME = {"type": "city", "text": "Rome", "start": 0, "end": 4}
SOURCES = ("cities", "some")


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    """A mix of two sources, one of which does not mark everything."""
    folder = tmp_path / "mix"
    folder.mkdir()
    entry = {"origin": "Cities", "types": ["river", "city"], "exhaustive": True}
    sources = {"cities": entry, "some": {**entry, "exhaustive": False}}
    (folder / "sources.json").write_text(json.dumps(sources), encoding="utf-8")
    for split, count in (("train", 30), ("validation", 10)):
        with gzip.open(folder / f"{split}.jsonl.gz", "wt", encoding="utf-8") as lines:
            for number in range(count):
                row = {"id": f"{split}-{number}", "text": "Rome burns .", "entities": [ROME]}
                lines.write(json.dumps({**row, "source": SOURCES[number % 2 == 0]}) + "\n")
    return folder


def test_tokenised_rows_are_read_with_offsets(tmp_path: Path) -> None:
    row = {"tokenized_text": ["In", "New", "York", "."], "ner": [[1, 2, "city"]]}
    path = tmp_path / "rows.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.write(json.dumps(row) + "\n")
    (sentence,) = read_tokenized(path)
    assert sentence.text == "In New York ."
    assert [(e.start, e.end, e.text, e.type) for e in sentence.entities] == [(3, 11, "New York", "city")]
    (benchmark,) = load_far([str(path)], None, 10)
    assert (benchmark.name, benchmark.types) == ("rows", ("city",))
    for wrong, why in (
        ({**row, "ner": [[1, 4, "city"]]}, "words 1 to 4 of 4"),
        ({"text": ""}, "tokenized_text"),
    ):
        (tmp_path / "wrong.jsonl").write_text(json.dumps(wrong), encoding="utf-8")
        with pytest.raises(ValueError, match=why):
            read_tokenized(tmp_path / "wrong.jsonl")


def test_sentences_are_drawn_by_seed_from_both_splits(mix: Path) -> None:
    (every,) = load_far(["cities"], mix, 1000)
    (drawn,) = load_far(["cities"], mix, 7)
    assert every.types == ("city", "river")
    assert {s.id.split("-")[0] for s in every.sentences} == {"train", "validation"}
    assert len({s.id for s in drawn.sentences}) == 7
    assert load_far(["cities"], mix, 7) == [drawn]
    assert drawn.sha256 != every.sha256


def test_what_training_saw_is_no_far_set(
    mix: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    command = [
        "experiment",
        "far",
        "--mix",
        str(mix),
        "--results",
        str(tmp_path),
        "--trained-by",
        str(config),
    ]
    for sources, only, status, why in (
        (None, "cities", 2, "trains on all sources"),
        (["cities", "towns"], "cities", 2, "trains on cities"),
        (["towns"], "some", 1, "does not mark all its mentions"),
        (["towns"], "nowhere", 1, "holds no source 'nowhere'; it has cities, some"),
    ):
        config.write_text(yaml.safe_dump({"data": "mix"} | ({} if sources is None else {"sources": sources})))
        assert main([*command, "--sets", only]) == status
        assert why in capsys.readouterr().err


def test_a_model_is_scored_and_shown(mix: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["experiment", "far", "--mix", str(mix), "--results", str(tmp_path), "--device", "cpu"]
    assert main([*command, "--sets", "cities", "--steps", "1", "--sentences", "5"]) == 0
    report = json.loads((tmp_path / "far.json").read_text(encoding="utf-8"))
    score = report["results"]["settings"]["aligned, T=1"]["cities"]
    assert (score["sentences"], score["support"]) == (5, 5)
    shown = capsys.readouterr().out
    assert "| decoding | Cities (2 types) | mean |" in shown
    assert f"**{100 * score['f1']:.1f}**" in shown
