"""Labels that one string names."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.extraction.labels import parse_labels

names = st.lists(st.text("abc ë'-", min_size=1).map(str.strip).filter(bool), min_size=1, max_size=5)


@given(names, st.sampled_from([", ", ",", "; ", ";", "\n", "\r\n"]))
def test_separators_are_read_alike(labels, separator):
    assert parse_labels(separator.join(labels)) == labels


@given(st.lists(st.text(min_size=1).map(str.strip).filter(bool), max_size=5))
def test_a_json_list_holds_any_label(labels):
    assert parse_labels(f" {json.dumps(labels)} ") == labels


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("person", ["person"]),
        (" , person,, city ,", ["person", "city"]),
        ("a, b\nc; d\n", ["a, b", "c; d"]),  # of lines, each is one label
        ("a|b: c", ["a|b: c"]),  # what a label may hold is for check_types to say
        ("", []),
    ],
)
def test_what_separates(value, labels):
    assert parse_labels(value) == labels


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("person, city; town", r"both ',' and ';'.*write a JSON list"),
        ("['person', 'city']", r"begins as a JSON list and is none .*double quotes"),
        ("[person, city]", r"begins as a JSON list"),
        ('["person", 3]', r"is no list of strings; write"),
        ('[["person"]]', r"is no list of strings"),
    ],
)
def test_what_is_not_clear_is_refused_with_the_fix(value, message):
    with pytest.raises(ValueError, match=message):
        parse_labels(value)
