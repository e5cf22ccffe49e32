"""What a request may hold, and what is said to one that holds too much."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space_app import limits
from space_app.limits import LimitError, Query, check, split_types

KINDS = ("aligned", "completion")


def ask(**changes: Any) -> Query:
    good = {"text": "Ada met Bob.", "types": ["person"], "threshold": 0.5, "steps": 4, "canvas": None}
    return check(**{**good, **changes}, canvases=KINDS)


def test_what_is_left_out_is_filled_in_and_types_are_tidied() -> None:
    query = ask(types=["  big   city ", "person", "Person"], threshold=1)
    assert query == Query("Ada met Bob.", ("big city", "person"), 1.0, 4, "aligned")
    assert ask(canvas="completion").canvas == "completion"


def test_the_limits_themselves_are_allowed() -> None:
    names = [f"type {i}" for i in range(limits.TYPES - 1)] + ["x" * limits.TYPE_LENGTH]
    query = ask(text="a" * limits.TEXT_LENGTH, types=names, steps=limits.STEPS, threshold=0)
    assert (len(query.text), len(query.types), query.steps) == (2000, 24, 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, "must be a string, got None"),
        ({"text": " \n"}, "no text yet"),
        ({"text": "a" * 2345}, "has 2,345 characters and this demo takes 2,000: take 345 out"),
        ({"types": []}, "no entity type yet. Name at least one"),
        (
            {"types": "person"},
            r"Labels must be a list of strings, got the string 'person'; write \['person'\]",
        ),
        ({"types": None}, "Labels must be a list"),
        ({"types": ["person", 3]}, "Every label must be a string, got 3"),
        ({"types": ["a|b"]}, r"holds the character '\|'"),
        ({"types": [f"type {i}" for i in range(25)]}, "25 entity types and this demo takes 24"),
        ({"types": ["y" * 61]}, "has 61 characters and this demo takes 60"),
        ({"threshold": 1.01}, "number from 0 to 1, got 1.01"),
        ({"threshold": float("nan")}, "got nan"),
        ({"threshold": "0.5"}, "got '0.5'"),
        ({"steps": 0}, "whole number from 1 to 16, got 0"),
        ({"steps": 17}, "got 17"),
        ({"steps": True}, "got True"),
        ({"steps": 2.5}, "got 2.5"),
        ({"canvas": "round"}, "canvases are aligned, completion; got 'round'"),
    ],
)
def test_what_cannot_be_run_says_what_to_change(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LimitError, match=message):
        ask(**changes)


@given(st.lists(st.text(st.characters(exclude_characters=",\n")).map(str.strip).filter(bool)))
def test_types_are_read_as_they_were_listed(types: list[str]) -> None:
    assert split_types(" , ".join(types)) == types
    assert split_types(",\n".join(types) + ",") == types
