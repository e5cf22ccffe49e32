"""What is asked of a training row, and which mentions answer."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.canvas.template import Mention
from modeling.training.queries import Inventory, Query, QuerySampler
from modeling.training.sampler import derived_seed

INVENTORY = Inventory(
    types=("politician", "scientist", "city", "country", "river", "song"),
    coarse={
        "politician": "person",
        "scientist": "person",
        "city": "place",
        "country": "place",
        "river": "place",
    },
    related={"country": ["nationality", "city"]},
)
NAMES = ["politician", "scientist", "city", "country", "song"]
TEXT = "Ada met Bob in Rome . Italy won ."


@st.composite
def rows(draw) -> dict[str, Any]:
    """A row of disjoint entities, some of which go by several names."""
    spans = [(0, 3), (8, 11), (15, 19), (22, 27)]
    entities = []
    for start, end in draw(st.lists(st.sampled_from(spans), unique=True)):
        kind, *also = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True))
        entities.append(
            {"start": start, "end": end, "type": kind, "text": TEXT[start:end], "also": also or None}
        )
    return {
        "source": draw(st.sampled_from(["closed", "unknown"])),
        "text": TEXT,
        "entities": entities,
        "negatives": "closed",
        "exhaustive": draw(st.booleans()),
    }


def names_of(entity: Mapping[str, Any]) -> list[str]:
    return [entity["type"], *(entity["also"] or [])]


def ask(row: dict[str, Any], seed: int = 0, full_list: bool = False, **settings: Any) -> Query:
    queries = QuerySampler({"closed": INVENTORY}, **settings)
    extent = replace(queries.extent(derived_seed(seed)), full_list=full_list)
    return queries(row, random.Random(seed), extent)


@given(rows(), st.integers(0, 2**32), st.booleans(), st.integers(1, 8))
def test_queries_are_answered_rightly(row, seed, full_list, max_types):
    if row["source"] == "unknown" and not row["entities"]:
        with pytest.raises(ValueError, match="no entity and no type known to be absent"):
            ask(row, seed, full_list)
        return
    query = ask(row, seed, full_list, max_types=max_types)
    assert 1 <= len(query.types) == len(set(query.types)) <= max_types
    assert query.exhaustive is row["exhaustive"]
    assert all(query.text[m.start : m.end] == m.text and m.type in query.types for m in query.mentions)
    coarse = INVENTORY.coarse if row["source"] == "closed" else {}
    for entity in row["entities"]:
        fitting = {*names_of(entity), *(coarse[n] for n in names_of(entity) if n in coarse)} & set(
            query.types
        )
        answers = {m.type for m in query.mentions if (m.start, m.end) == (entity["start"], entity["end"])}
        # An entity is answered once if any of its names is asked for, by a fine name rather than a coarse.
        assert len(answers) == bool(fitting)
        assert answers <= (fitting & set(names_of(entity)) or fitting)
    assert len(query.mentions) <= len(row["entities"])


@given(rows(), st.integers(0, 2**32), st.booleans())
def test_absent_types_are_reliably_absent(row, seed, full_list):
    if not row["entities"]:
        row["source"] = "closed"
    query = ask(row, seed, full_list)
    known = {name for entity in row["entities"] for name in names_of(entity)}
    coarse = {INVENTORY.coarse[name] for name in known if name in INVENTORY.coarse}
    absent = set(query.types) - known - coarse
    if row["source"] == "unknown":
        assert not absent
    else:
        assert absent <= {*INVENTORY.types, *INVENTORY.coarse.values()}
        # What may hold the same mentions as a known type is no reliable negative beside it.
        assert not absent & {other for name in known for other in INVENTORY.related.get(name, ())}


def test_the_full_list_asks_for_every_type_at_once():
    row = {"source": "closed", "text": TEXT, "entities": [], "negatives": "closed"}
    query = ask(row, full_list=True)
    assert set(query.types) == {*INVENTORY.types, "person", "place"}
    assert query.mentions == ()


def test_a_row_brings_its_own_absent_types():
    row = {"source": "x", "text": TEXT, "entities": [], "negatives": "listed", "types": ["a", "b"]}
    assert set(ask(row, full_list=True).types) == {"a", "b"}


def test_a_mention_of_two_names_is_asked_for_by_either():
    entity = {"start": 0, "end": 3, "type": "politician", "text": "Ada", "also": ["scientist"]}
    row = {"source": "x", "text": TEXT, "entities": [entity], "negatives": "none"}
    queries = [ask(row, seed, drop_rate=0.5, lower_rate=0.0) for seed in range(50)]
    assert {query.types for query in queries} == {("politician",), ("scientist",)}
    for query in queries:
        assert query.mentions == (Mention(0, 3, query.types[0], "Ada"),)


def test_lower_case_keeps_the_offsets():
    row = {
        "source": "closed",
        "text": "ADA",
        "entities": [{"start": 0, "end": 3, "type": "city", "text": "ADA"}],
        "negatives": "closed",
    }
    query = ask(row, lower_rate=1.0, drop_rate=0.0, coarse_rate=0.0)
    assert (query.text, query.mentions[0].text) == ("ada", "ada")
    # Lower-casing this capital gives two characters: offsets would shift, so the text stays as it is.
    assert ask({**row, "text": "İda"}, lower_rate=1.0).text == "İda"


def test_draws_differ_and_repeat_with_the_seed():
    row = {
        "source": "closed",
        "text": TEXT,
        "entities": [{"start": 0, "end": 3, "type": "scientist", "text": "Ada"}],
        "negatives": "closed",
    }
    assert ask(row, 5) == ask(row, 5)
    drawn = {ask(row, seed).types for seed in range(60)}
    assert len(drawn) > 20
    assert {"scientist" in types for types in drawn} == {True, False}
    assert {"person" in types for types in drawn} == {True, False}


def test_a_row_of_which_nothing_can_be_asked_is_named():
    with pytest.raises(ValueError, match=r"row 'r7' of source 's' .*give it negative types or leave it out"):
        ask({"id": "r7", "source": "s", "text": TEXT, "entities": [], "negatives": "none"})
