"""The figures of UniNER's, GLiNER's and seqeval's own evaluators on the same predictions, to 1e-9."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from metric.entity_f1.scorer import score_entities

SETTINGS = {
    "uniner_script": ("text", "uniner"),
    "text_type_set": ("text", "strict"),
    "text_type_multiset": ("text", "multiset"),
    "span_offsets_set": ("span", "strict"),
    "gliner_micro": ("span", "strict"),
    "seqeval_strict_IOB2": ("span", "strict"),
}
SOURCES = ["crossner/ai/test.txt", "crossner/politics/test.txt", "mit/restaurant_test.bio"]


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Any]:
    with gzip.open(shared / "fixtures" / "metric_reference.json.gz", "rt", encoding="utf-8") as file:
        return {entry["source"]: entry for entry in json.load(file)}


def test_every_figure_of_the_file_is_covered(reference: dict[str, Any]) -> None:
    assert list(reference) == SOURCES
    for entry in reference.values():
        assert set(entry["expected"]) == set(SETTINGS)


@pytest.mark.parametrize("evaluator", SETTINGS)
@pytest.mark.parametrize("source", SOURCES)
def test_figures_are_reproduced(reference: dict[str, Any], source: str, evaluator: str) -> None:
    documents = reference[source]["documents"]
    config_name, matching = SETTINGS[evaluator]
    result = score_entities(
        [document["predictions"] for document in documents],
        [document["references"] for document in documents],
        config_name=config_name,
        matching=matching,
    )
    expected = reference[source]["expected"][evaluator]
    for name in ("precision", "recall", "f1"):
        assert getattr(result, name) == pytest.approx(expected[name], rel=0, abs=1e-9), name


def test_the_evaluators_disagree_where_the_card_says_so(reference: dict[str, Any]) -> None:
    documents = reference["crossner/ai/test.txt"]["documents"]
    predictions = [document["predictions"] for document in documents]
    references = [document["references"] for document in documents]
    figures = {
        matching: round(100 * score_entities(predictions, references, matching=matching).f1, 1)
        for matching in ("strict", "uniner")
    }
    assert figures == {"strict": 70.0, "uniner": 75.9}
