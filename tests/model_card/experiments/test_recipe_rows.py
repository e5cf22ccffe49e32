"""The rows of the data recipe: what each trains on, and the table."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dataset_builder.mix.sources import PILE, SOURCES
from model_card.experiments.recipe_rows import ROWS, merged, variant
from model_card.experiments.training_rows import DIALOGUES, TECHNICAL
from model_card.figures.recipe import recipe_table
from modeling.training.rows import load_rows

BY_SLUG = {row.slug: row for row in ROWS}
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


def loaded(mix: Path, slug: str, folder: Path) -> tuple[dict[str, float], dict[str, Any], list[str]]:
    """Return what training reads of a row's mix: the weight of each source, inventories, further flags."""
    _, data, *flags = variant(mix, BY_SLUG[slug], folder)
    only = flags[1:] if flags[:1] == ["--sources"] else None
    rows = load_rows(data, only=only)
    names = rows.splits["train"]["source"]
    assert rows.weights is not None
    return dict(zip(names, rows.weights, strict=True)), rows.inventories, flags


def test_a_row_changes_what_it_says_and_nothing_else(mix: Path, tmp_path: Path) -> None:
    plain, inventories, flags = loaded(mix, "new", tmp_path / "new")
    assert plain == dict.fromkeys(NAMES, 1.0)
    assert flags == []
    heavier, _, _ = loaded(mix, "heavier", tmp_path / "heavier")
    assert {n for n in NAMES if heavier[n] == 2.0} == {
        "fewnerd_inter_dev",
        "fewnerd_inter_test",
        "multiconer2_en",
    }
    _, coarse, _ = loaded(mix, "coarse", tmp_path / "coarse")
    assert {n for n in NAMES if coarse[n] != inventories[n]} == {"pile_ner", "webnlg_distant"}
    assert not coarse["pile_ner"].coarse
    assert set(loaded(mix, "pile", tmp_path / "pile")[0]) == {"pile_ner"}
    assert loaded(mix, "both01", tmp_path / "both")[2] == ["--both_rate", "0.1"]


@pytest.mark.parametrize(("slug", "left_out"), [("nodial", DIALOGUES), ("notech", TECHNICAL)])
def test_sets_are_left_out_by_name(mix: Path, tmp_path: Path, slug: str, left_out: frozenset[str]) -> None:
    assert left_out < set(NAMES)
    assert set(loaded(mix, slug, tmp_path / slug)[0]) == set(NAMES) - left_out


def report(f1: float, data: str = "a") -> dict[str, Any]:
    scores = {"crossner_ai": {"f1": f1}, "crossner_music": {"f1": f1 + 0.1}}
    return {"results": {"aligned, T=1": scores}, "weights_sha256": "w", "data_sha256": {"crossner_ai": data}}


def test_the_table_has_each_row_with_its_difference() -> None:
    found = merged({"the mix as it is": report(0.5), "Pile-NER alone": report(0.4)}, report(0.45))
    assert found["the mix as it is"]["mean"] == pytest.approx(0.55)
    markdown = recipe_table({"steps": 120, "results": found})
    assert "| the mix as it is | 50.0 | 60.0 | **55.0** |  |" in markdown
    assert "| Pile-NER alone | 40.0 | 50.0 | **45.0** | -10.0 |" in markdown
    with pytest.raises(ValueError, match="other data"):
        merged({"the mix as it is": report(0.5, "b")}, report(0.45))
