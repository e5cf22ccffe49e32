"""The rows of the data recipe: what each trains on, and the table."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dataset_builder.mix.sources import PILE, SOURCES
from model_card.experiments.recipe import variant
from model_card.experiments.rows import training_rows
from model_card.figures.recipe import recipe
from modeling.training.rows import load_rows

ROWS = {row.name: row for row in training_rows()}
NAMES = [source.name for source in (PILE, *SOURCES)]


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    """A mix with one row of each real source."""
    folder = tmp_path / "mix"
    folder.mkdir()
    entity = {"type": "city", "text": "Rome", "start": 0, "end": 4}
    with gzip.open(folder / "train.jsonl.gz", "wt", encoding="utf-8") as lines:
        for name in NAMES:
            row = {"id": name, "source": name, "text": "Rome burns .", "entities": [entity]}
            lines.write(json.dumps({**row, "negatives": "closed", "exhaustive": True}) + "\n")
    sources = {n: {"weight": 1.0, "types": ["city", "person"], "coarse": {"city": "location"}} for n in NAMES}
    (folder / "sources.json").write_text(json.dumps(sources), encoding="utf-8")
    return folder


def loaded(mix: Path, name: str, folder: Path) -> tuple[dict[str, float], dict[str, Any], list[str]]:
    """Return what training reads of a row's mix: the weight of each source, inventories, further flags."""
    _, data, *flags = variant(mix, ROWS[name], folder)
    only = flags[1:] if flags[:1] == ["--sources"] else None
    rows = load_rows(data, only=only)
    names = rows.splits["train"]["source"]
    assert rows.weights is not None
    return dict(zip(names, rows.weights, strict=True)), rows.inventories, flags


def test_a_row_changes_what_it_says_and_nothing_else(mix: Path, tmp_path: Path) -> None:
    plain, inventories, flags = loaded(mix, "the mix as it is", tmp_path / "new")
    assert plain == dict.fromkeys(NAMES, 1.0)
    assert flags == []
    heavier, _, _ = loaded(mix, "Few-NERD and MultiCoNER twice as often", tmp_path / "heavier")
    assert {n for n in NAMES if heavier[n] == 2.0} == {
        "fewnerd_inter_dev",
        "fewnerd_inter_test",
        "multiconer2_en",
    }
    _, coarse, _ = loaded(mix, "no coarse names for Pile-NER's and WebNLG's types", tmp_path / "coarse")
    assert {n for n in NAMES if coarse[n] != inventories[n]} == {"pile_ner", "webnlg_distant"}
    assert not coarse["pile_ner"].coarse
    assert set(loaded(mix, "Pile-NER alone", tmp_path / "pile")[0]) == {"pile_ner"}
    assert loaded(mix, "coarse asked beside fine a quarter as often", tmp_path / "both")[2] == [
        "--both_rate",
        "0.1",
    ]


@pytest.mark.parametrize("name", ["without dialogues", "without biomedical and technical sets"])
def test_sets_are_left_out_by_name(mix: Path, tmp_path: Path, name: str) -> None:
    left_out = set(ROWS[name].without)
    assert left_out < set(NAMES)
    assert set(loaded(mix, name, tmp_path / "own")[0]) == set(NAMES) - left_out


def test_the_table_has_each_row_with_its_difference(tmp_path: Path) -> None:
    def row(f1: float) -> dict[str, Any]:
        return {"sets": {"crossner_ai": f1, "crossner_music": f1 + 0.1}, "mean": f1 + 0.05}

    found = {"before": row(0.45), "the mix as it is": row(0.5), "Pile-NER alone": row(0.4)}
    versions = {"torch": "1", "transformers": "2"}
    scored = {"date": "2026-01-01", "hardware": "a machine", "command": "a command", "versions": versions}
    report = {"identity": {"steps": 120}, "scored": scored, "results": found}
    (tmp_path / "recipe.json").write_text(json.dumps(report), encoding="utf-8")
    markdown = recipe(tmp_path)
    assert "| the mix as it is | 50.0 | 60.0 | **55.0** |  |" in markdown
    assert "| Pile-NER alone | 40.0 | 50.0 | **45.0** | -10.0 |" in markdown
