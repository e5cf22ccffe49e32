"""The metric card: its metadata, its examples, and that it tells of every option."""

from __future__ import annotations

import doctest
import inspect
import re
from pathlib import Path
from typing import Any

import evaluate
import pytest
import yaml

from metric.entity_f1.entity_f1 import EntityF1
from metric.entity_f1.scorer import score_entities

FOLDER = Path(__file__).resolve().parents[2] / "metric" / "entity_f1"
CARD = (FOLDER / "README.md").read_text(encoding="utf-8")


def run_examples(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """Runs the doctests in `text`, the published name meaning this folder; returns how many there were."""

    def load(name: str, config_name: str | None = None) -> EntityF1:
        assert name == "diffusion-ner/entity_f1"
        return EntityF1(config_name, cache_dir=str(tmp_path))

    monkeypatch.setattr(evaluate, "load", load)
    test = doctest.DocTestParser().get_doctest(text, {"evaluate": evaluate}, "card", None, 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    failed, attempted = runner.run(test, out=report.append)
    assert failed == 0, "".join(report)
    return attempted


def test_examples_of_the_card_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", CARD, flags=re.DOTALL | re.MULTILINE)
    assert run_examples("\n".join(blocks), monkeypatch, tmp_path) > 15


def test_examples_of_the_docstring_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run_examples(EntityF1("text").inputs_description, monkeypatch, tmp_path) == 4


def test_metadata_is_a_metric_space() -> None:
    metadata: dict[str, Any] = yaml.safe_load(CARD.split("---\n", 2)[1])
    assert metadata["sdk"] == "gradio"
    assert {"evaluate", "metric"} <= set(metadata["tags"])
    assert (FOLDER / metadata["app_file"]).is_file()
    assert len(metadata["short_description"]) <= 60  # the Hub refuses longer ones
    assert {metadata["colorFrom"], metadata["colorTo"]} <= {
        *("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
    }
    assert metadata["license"] == "apache-2.0"


def test_card_and_docstring_name_every_option() -> None:
    options = set(inspect.signature(score_entities).parameters) - {"config_name"}
    assert {name for name in options if f"`{name}`" in CARD} == options
    described = EntityF1("text").inputs_description
    assert {name for name in options if re.search(rf"\b{name}\b", described)} == options


def test_requirements_are_those_of_the_imports() -> None:
    lines = (FOLDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [re.split(r"[<>=]", line)[0] for line in lines] == ["datasets", "evaluate", "gradio"]
