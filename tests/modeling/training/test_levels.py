"""Rows whose mentions have type names at several levels: what is asked, and what answers."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.training.queries import LevelSampler, Query, QuerySampler, plural
from modeling.training.sampler import derived_seed

CHAINS = [
    ["lead singer", "musician", "person"],
    ["drummer", "Musician", "person"],
    ["capital city", "city", "place"],
    ["river"],
    ["rock band", "organization"],
]
ABSENT = [f"absent {number}" for number in range(23)] + ["person", "guitar", "opera"]
TEXT = "Ada met Bob in Rome\non the Po with Queen ."
SPANS = [(0, 3), (8, 11), (15, 19), (27, 29), (35, 40)]


@st.composite
def rows(draw) -> dict[str, Any]:
    """A row of disjoint entities with levels."""
    spans = draw(st.lists(st.sampled_from(SPANS), unique=True, min_size=1))
    entities = []
    for start, end in spans:
        levels = draw(st.sampled_from(CHAINS))
        entities.append(
            {"start": start, "end": end, "type": levels[0], "levels": levels, "text": TEXT[start:end]}
        )
    return {"source": "open", "text": TEXT, "entities": entities, "negatives": "listed", "types": ABSENT}


def ask(row: dict[str, Any], seed: int, **settings: Any) -> Query:
    queries = QuerySampler(**settings)
    return queries(row, random.Random(seed), queries.extent(derived_seed(seed)))


def singular(name: str, row: dict[str, Any]) -> str:
    """Return the name that was asked for, casefolded, if it was written in the plural."""
    known = [n for e in row["entities"] for n in e["levels"]] + ABSENT
    return next(n.casefold() for n in known if name in (n, plural(n)))


@given(rows(), st.integers(0, 2**32))
def test_a_mention_is_labelled_by_its_finest_asked_level(row, seed):
    query = ask(row, seed)
    asked = {singular(name, row): name for name in query.types}
    assert len(asked) == len(query.types)
    found = {(m.start, m.end): m.type for m in query.mentions}
    for entity in row["entities"]:
        names = [name.casefold() for name in entity["levels"]]
        # Brute force: the first of its names, from the finest on, that the query has.
        expected = [asked[name] for name in names if name in asked]
        assert found.get((entity["start"], entity["end"])) == (expected[0] if expected else None)
    assert all(query.text[m.start : m.end] == m.text for m in query.mentions)


@given(rows(), st.integers(0, 2**32))
def test_nothing_present_is_among_the_absent_types(row, seed):
    query = ask(row, seed)
    asked = {singular(name, row) for name in query.types}
    answered = {singular(m.type, row) for m in query.mentions}
    for name in asked - answered:
        # A type without an answer is present nowhere, or all that it names answer by a finer asked name.
        for entity in row["entities"]:
            names = [level.casefold() for level in entity["levels"]]
            assert name not in names or set(names[: names.index(name)]) & asked


@given(rows(), st.integers(0, 2**32))
def test_a_query_follows_from_its_seed(row, seed):
    assert ask(row, seed) == ask(row, seed)


def row_of(*chains: list[str]) -> dict[str, Any]:
    entities = [
        {"start": s, "end": e, "type": c[0], "levels": c, "text": TEXT[s:e]}
        for (s, e), c in zip(SPANS, chains, strict=False)
    ]
    return {"source": "open", "text": TEXT, "entities": entities, "types": ABSENT}


def test_modes_and_counts_are_drawn_as_often_as_said():
    row = row_of(["a", "b", "c"], ["d", "e", "f"])
    queries, modes, counts, alone = (
        QuerySampler(levels=LevelSampler(plural_rate=0.0)),
        Counter(),
        Counter(),
        0,
    )
    for number in range(4000):
        extent = queries.extent(derived_seed(number))
        query = queries(row, random.Random(number), extent)
        present = [name for name in query.types if name in set("abcdef")]
        absent = len(query.types) - len(present)
        alone += extent.alone
        if extent.alone:
            assert len(query.types) == 1
            modes["alone, present"] += bool(present)
            continue
        counts["many" if extent.full_list else "few"] += 1
        assert absent == (min(extent.many, 26) if extent.full_list else max(extent.negatives, not present))
    assert alone / 4000 == pytest.approx(0.1, abs=0.02)
    assert counts["many"] / 4000 == pytest.approx(0.33, abs=0.03)
    assert modes["alone, present"] / alone == pytest.approx(0.6, abs=0.1)


def test_levels_are_drawn_in_modes_that_hold_for_all_mentions():
    sampler = LevelSampler(other_rate=0.0, drop_rate=0.0)
    entities = row_of(["a", "b", "c"], ["d", "e", "f"])["entities"]
    drawn = Counter(tuple(sorted(sampler.present(entities, random.Random(n)))) for n in range(4000))
    # All finest: their own mode and a ninth of the rest; all general likewise.
    assert drawn["a", "d"] / 4000 == pytest.approx(0.30 + 0.45 / 9, abs=0.03)
    assert drawn["c", "f"] / 4000 == pytest.approx(0.25 + 0.45 / 9, abs=0.03)
    assert drawn["b", "d"] / 4000 == pytest.approx(0.45 / 9, abs=0.02)


def test_the_chance_of_each_name_is_how_often_it_is_drawn():
    entities = row_of(*CHAINS[:4])["entities"]
    sampler = LevelSampler()
    rng = random.Random(0)
    drawn = Counter(name.casefold() for _ in range(6000) for name in sampler.present(entities, rng))
    told: Counter[str] = Counter()
    for name, chance in sampler.chances(entities).items():
        told[name.casefold()] += chance
    assert drawn.keys() == told.keys()
    for name in told:
        if name != "musician":  # written in two ways: once asked for, the two are one name
            assert drawn[name] / 6000 == pytest.approx(told[name], abs=0.03)


@pytest.mark.parametrize(
    ("name", "several"),
    [
        ("city", "cities"),
        ("disease", "diseases"),
        ("tax", "taxes"),
        ("dish", "dishes"),
        ("day", "days"),
        ("lead singer", "lead singers"),
        ("news", "news"),
        ("year 2000", "year 2000"),
        ("", ""),
    ],
)
def test_plurals_are_those_of_users(name, several):
    assert plural(name) == several


def test_a_plural_is_never_another_name_that_is_asked_for_or_present():
    sampler = LevelSampler(plural_rate=1.0)
    written = sampler.written(["city", "cities", "dog", "cat"], ["dogs"], random.Random(0))
    assert written == {"city": "city", "cities": "cities", "dog": "dog", "cat": "cats"}


def test_line_breaks_stay_in_the_text():
    assert all("\n" in ask(row_of(*CHAINS), seed).text for seed in range(20))


@pytest.mark.parametrize("rates", [{"drop_rate": 1.5}, {"general_rate": 0.8, "finest_rate": 0.4}])
def test_rates_that_cannot_be_are_refused(rates):
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]|must add up to 1 at most"):
        LevelSampler(**rates)
