"""The rows of a run, and which sources they come from."""

from __future__ import annotations

import pytest
import yaml

from dataset_builder.mix.further import FURTHER
from dataset_builder.mix.sources import PILE, SOURCES, allows_commercial_use
from modeling.training.rows import load_rows
from tests.modeling.smoke import CONFIG
from tests.modeling.tiny import SOURCES as TOY
from tests.modeling.tiny import write_mix

OPEN = CONFIG.with_name("train_mini_open.yaml")
# Held out of the mix for the figures on far domains.
HELD_OUT = {"legal_india_dev", "fire_finance", "agriner", "sofc_fuel_cells", "somesci_software"}


def test_only_some_sources_are_kept(tmp_path):
    folder = write_mix(tmp_path, train=70, validation=14)
    every, some = load_rows(str(folder)), load_rows(str(folder), only=["person", "city"])
    assert set(every.splits["train"]["source"]) == set(TOY)
    for split in ("train", "validation"):
        kept = [row for row in every.splits[split] if row["source"] in {"person", "city"}]
        assert list(some.splits[split]) == kept
    assert set(some.inventories) == {"person", "city"}
    assert some.weights == [1.0] * len(some.splits["train"])


@pytest.mark.parametrize("only", [["person", "nowhere"], []])
def test_sources_that_are_not_there_are_refused(tmp_path, only):
    folder = write_mix(tmp_path, train=70, validation=14)
    with pytest.raises(ValueError, match="it has person, city"):
        load_rows(str(folder), only=only)


def test_prompt_rows_have_no_sources(tmp_path):
    with pytest.raises(ValueError, match="no folder of entity rows"):
        load_rows(str(tmp_path), only=["person"])


def test_the_open_recipe_takes_every_source_whose_licence_is_free_and_no_other():
    chosen = yaml.safe_load(OPEN.read_text())
    sources = chosen.pop("sources")
    sets = [s for s in (PILE, *SOURCES, *FURTHER) if s.name not in HELD_OUT]
    free = [source.name for source in sets if allows_commercial_use(source.licence)]
    assert [name for name in sources if not name.startswith("open_")] == free
    assert not any(name.endswith("_restricted") for name in sources)
    recipe = yaml.safe_load(CONFIG.read_text())
    assert {**chosen, "output_dir": recipe["output_dir"]} == recipe


def test_factors_change_how_often_a_source_is_drawn(tmp_path):
    folder = write_mix(tmp_path, train=70, validation=14)
    rows = load_rows(str(folder), factors={"person": 2.5})
    sources = rows.splits["train"]["source"]
    assert rows.weights == [2.5 if source == "person" else 1.0 for source in sources]
    with pytest.raises(ValueError, match="has no source 'nowhere' to weigh"):
        load_rows(str(folder), factors={"nowhere": 2.0})
    with pytest.raises(ValueError, match="must be above 0, got 0"):
        load_rows(str(folder), factors={"person": 0.0})
