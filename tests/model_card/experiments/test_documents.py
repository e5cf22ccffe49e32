"""Ordinary documents: what is read and refused, how they are scored, what the other labels change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model_card.__main__ import main
from model_card.evidence.documents import Counts, counted, read_documents
from model_card.experiments.label_order import ORDERS, absent, orders

ROWS = [
    {
        "id": "a",
        "kind": "email",
        "text": "Ada Lovelace lives in London.",
        "entities": [{"start": 0, "end": 12, "label": "person"}, {"start": 22, "end": 28, "label": "city"}],
        "labels": ["person", "city", "disease"],
    },
    {
        "id": "b",
        "kind": "note",
        "text": "Marie Curie was born in Warsaw.",
        "entities": [{"start": 0, "end": 11, "label": "person"}],
        "labels": ["person", "software"],
    },
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two documents."""
    path = tmp_path / "documents.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"labels": ["person", "disease"]}, "'city' of an entity is not among the labels"),
        ({"labels": ["person", "city", "city"]}, "a label stands twice"),
        ({"text": "Ada"}, "characters 0 to 12 are not within 3"),
    ],
)
def test_a_malformed_document_is_named(file: Path, change: dict, why: str) -> None:
    file.write_text(json.dumps({**ROWS[0], **change}), encoding="utf-8")
    with pytest.raises(ValueError, match=f"line 1: .*{why}"):
        read_documents(file)


def test_a_missing_field_and_a_missing_file_are_named(file: Path, tmp_path: Path) -> None:
    file.write_text('{"id": 1}', encoding="utf-8")
    with pytest.raises(ValueError, match="has no entities, kind, labels, text"):
        read_documents(file)
    with pytest.raises(FileNotFoundError, match="name a JSON Lines file with --documents"):
        read_documents(tmp_path / "none.jsonl")


def test_counts_are_of_offsets_and_label(file: Path) -> None:
    first, _ = read_documents(file)
    found = {(0, 12, "person"), (22, 28, "country")}
    assert counted(found, first) == Counts(1, 2, 2)
    assert (counted(found, first) + Counts(1, 1, 1)).scores()["f1"] == pytest.approx(4 / 6)
    assert Counts().scores()["f1"] == 0.0


def test_orders_are_permutations_and_absent_labels_are_absent(file: Path) -> None:
    first, second = read_documents(file)
    found = orders(first.labels, "seed")
    assert len(found) == ORDERS
    assert {tuple(sorted(order)) for order in found} == {tuple(sorted(first.labels))}
    assert found[1] == tuple(reversed(first.labels))
    assert absent(first, [*first.labels, *second.labels]) == "software"
    assert absent(first, first.labels) is None


def test_documents_are_scored_by_kind(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--documents", str(file), "--device", "cpu", "--results", str(tmp_path)]
    assert main(["experiment", "documents", *command]) == 0
    shown = capsys.readouterr().out
    results = json.loads((tmp_path / "documents.json").read_text(encoding="utf-8"))["results"]
    assert set(results["kinds"]) == {"email", "note"}
    assert results["all"]["gold"] == 3
    assert results["all"]["right"] == sum(own["right"] for own in results["kinds"].values()) >= 2
    assert "| email | 1 | 2 |" in shown
    assert main(["experiment", "label_order", *command]) == 0
    assert "documents whose entities change over 5 orders" in capsys.readouterr().out
    results = json.loads((tmp_path / "label_order.json").read_text(encoding="utf-8"))["results"]
    assert results["one_more"]["answers"] == 5  # three labels and two
    assert results["alone"]["asked_absent"] == 2  # disease and software
    assert results["alone"]["asked_present"] == 3
