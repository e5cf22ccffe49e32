"""The code panel: it parses, it holds the request to the letter, and it gives what the page shows."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space_app import inference
from space_app.limits import RUNS, Query
from space_app.snippet import code_of

VIEWS = ("entities", "canvas", "steps", "uncertainty")
TYPE = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)


@given(
    st.sampled_from(VIEWS),
    st.text(st.characters(codec="utf-8"), max_size=80),
    st.lists(TYPE, min_size=1, max_size=24),
    st.floats(0, 1),
    st.integers(1, 16),
    st.none() | st.sampled_from(["org/model", 'it\'s/"odd"']),
)
def test_every_request_becomes_code_that_holds_it(
    view: str, text: str, types: list[str], threshold: float, steps: int, model: str | None
) -> None:
    tree = ast.parse(code_of(view, Query(text, tuple(types), threshold, steps, "aligned"), model))
    assigned = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert ast.literal_eval(assigned["text"]) == text
    assert ast.literal_eval(assigned["labels"]) == types
    loader = assigned["extractor"]
    assert isinstance(loader, ast.Call)
    assert [ast.literal_eval(argument) for argument in loader.args] == ([] if model is None else [model])
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    given_ = {k.arg: k.value for call in calls for k in call.keywords}
    assert ast.literal_eval(given_["threshold"]) == threshold
    if view != "steps":
        assert ast.literal_eval(given_["steps"]) == steps


@pytest.fixture(scope="module")
def query() -> Query:
    text = "Nina Simone opened the evening at Carnegie Hall with a prelude by Bach."
    return Query(text, ("musician", "composer", "concert hall"), 0.3, 3, "aligned")


def run(view: str, query: Query) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code_of(view, query, None), view, "exec"), names)
    return names


def test_the_code_gives_what_the_page_shows(query: Query, capsys: pytest.CaptureFixture[str]) -> None:
    entities = inference.extract(query)["entities"]
    assert entities
    assert run("entities", query)["entities"] == entities
    assert run("canvas", query)["step"]["slots"] == inference.denoise(query)["passes"][-1][-1]["slots"]
    capsys.readouterr()
    run("steps", query)
    compared = inference.compare(query)["results"]
    assert [answer["steps"] for answer in compared] == [1, 8]
    assert capsys.readouterr().out.splitlines() == [f"{a['steps']} {a['entities']}" for a in compared]


def test_the_code_draws_the_runs_whose_agreement_the_page_shows(
    query: Query,
) -> None:
    runs = run("uncertainty", query)["runs"]
    assert len(runs) == RUNS
    result = inference.sample(query)
    assert result["candidates"]
    for candidate in result["candidates"]:
        place = {key: candidate[key] for key in ("start", "end", "text", "label")}
        scores = [e["score"] for own in runs for e in own if place.items() <= e.items()]
        assert candidate["runs"] == len(scores)
        assert candidate["agreement"] == len(scores) / RUNS
        assert candidate["score"] == pytest.approx(sum(scores) / len(scores))
    assert sum(c["runs"] for c in result["candidates"]) == sum(len(own) for own in runs)
