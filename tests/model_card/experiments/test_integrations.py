"""The comparison of pipeline and spaCy component with the extractor, on samples of the benchmarks."""

from __future__ import annotations

import json

from dataset_builder.benchmarks import BENCHMARKS
from model_card.__main__ import main
from model_card.experiments.integrations import differing


def test_samples_of_all_test_sets_agree(shared, tmp_path, capsys):
    arguments = ["--data", str(shared / "data" / "benchmarks"), "--limit", "6", "--results", str(tmp_path)]
    assert main(["experiment", "integrations", *arguments]) == 0, capsys.readouterr().out
    results = json.loads((tmp_path / "integrations.json").read_text())["results"]
    assert list(results) == list(BENCHMARKS)
    assert sum(entry["entities"] for entry in results.values()) > 20
    for entry in results.values():
        assert set(entry["different"].values()) == {0}
        assert "pipeline" in entry["different"]


def test_every_kind_of_difference_counts():
    entity = {"start": 0, "end": 3, "text": "Bob", "label": "person", "score": 0.5}
    assert differing([[entity], []], [[entity], []]) == []
    assert differing([[{**entity, "score": 0.500001}]], [[entity]]) == []
    changes = [{"score": 0.6}, {"label": "place"}, {"start": 1, "text": "ob"}]
    others = [[{**entity, **change}] for change in changes] + [[], [entity, entity]]
    assert differing(others, [[entity]] * 5) == [0, 1, 2, 3, 4]
