"""What holds for every answer of an extractor."""

from __future__ import annotations

from tests.modeling.tiny import toy_rows

TOY = [row["text"] for row in toy_rows(24, seed=7)]


def check(text: str, labels: list[str], entities: list[dict]) -> None:
    """Check what holds for every answer."""
    end = 0
    for entity in entities:
        assert set(entity) == {"start", "end", "text", "label", "score"}
        assert text[entity["start"] : entity["end"]] == entity["text"] != ""
        assert entity["start"] >= end  # in order, not overlapping
        end = entity["end"]
        assert entity["label"] in labels
        assert 0 <= entity["score"] <= 1


def alike(left: list[dict], right: list[dict]) -> bool:
    """Whether two answers are equal but for rounding in their scores."""
    return [{**e, "score": 0} for e in left] == [{**e, "score": 0} for e in right] and all(
        abs(a["score"] - b["score"]) < 1e-4 for a, b in zip(left, right, strict=True)
    )
