"""The rows of the ablations: what the YAML file says is what is decoded and trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dataset_builder.mix.built import type_names
from dataset_builder.mix.sources import PILE, SOURCES
from model_card.evidence.setting import Setting
from model_card.experiments.rows import TrainingRow, decoding_rows, training_rows
from model_card.speed.energy import energy


def test_decoding_rows_are_the_published_ones() -> None:
    """The settings of every row are those of the results file."""
    path = Path(__file__).parents[3] / "model_card" / "results" / "mini" / "ablations.json"
    published = json.loads(path.read_text(encoding="utf-8"))["results"]["decoding"]
    rows = decoding_rows(["aligned", "completion"])
    named = {q: {name: setting.name for name, setting in group.items()} for q, group in rows.items()}
    assert named == {q: {name: row["setting"] for name, row in g.items()} for q, g in published.items()}


def test_a_model_without_an_aligned_canvas_has_rows_of_its_own() -> None:
    rows = decoding_rows(["completion"])
    assert "steps, completion" in rows
    assert "steps, aligned" not in rows
    assert all(setting.canvas == "completion" for group in rows.values() for setting in group.values())


def test_a_row_is_added_by_one_entry(tmp_path: Path) -> None:
    path = tmp_path / "rows.yaml"
    path.write_text("decoding: {bias: {strict: {steps: 2, outside_bias: 1.0}}}\ntraining: {}\n")
    assert decoding_rows(["aligned"], path)["bias"] == {
        "strict": Setting("aligned", steps=2, outside_bias=1.0)
    }


def test_training_rows_name_sources_of_the_mix() -> None:
    names = [source.name for source in (PILE, *SOURCES)]
    sources = {name: {"weight": 1.0, "coarse": {"a": "b"}} for name in names}
    rows = training_rows()
    assert rows[0].change(sources) == sources
    assert all(row.flags or row.change(sources) != sources for row in rows[1:])
    with pytest.raises(ValueError, match="the mix has no source 'nowhere'"):
        TrainingRow("own", without=["nowhere"]).change(sources)


def test_types_of_a_mix_with_their_coarse_names(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"sources\.json does not exist"):
        type_names(tmp_path)
    text = '{"a": {"types": ["poet", "city"], "coarse": {"poet": "person"}}, "b": {"types": ["city"]}}'
    (tmp_path / "sources.json").write_text(text)
    assert type_names(tmp_path) == ["city", "person", "poet"]


def test_energy_is_power_over_time() -> None:
    assert energy([(0, 100.0), (1800, 100.0), (3600, 300.0)]) == pytest.approx(0.05 + 0.1)
    assert energy([(0, 100.0)]) == 0
