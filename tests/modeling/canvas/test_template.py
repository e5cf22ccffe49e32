"""The text format: what is rendered can be read again, and reading never fails."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.canvas.template import (
    MAX_TYPE_LENGTH,
    Mention,
    check_types,
    parse_completion,
    render_completion,
    render_mentions,
    render_prompt,
)

TYPES = ["person", "organization", "a", "a b", "b", "none", "film", "Straße", "İl"]
# What the format itself is made of, so that spans often look like it.
PIECES = [
    "|",
    ":",
    "\\",
    " ",
    "\n",
    "\t",
    "none",
    "a",
    "b",
    " | a:",
    "| person: ",
    "ı",
    "ß",
    "\u2003",
    "x y",
    *TYPES,
]

types = st.lists(st.sampled_from(TYPES), min_size=1, max_size=5, unique=True)
noise = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=8).map("".join)
spans = noise.map(str.strip).filter(bool)


@st.composite
def answers(draw) -> tuple[list[str], list[tuple[str, str]]]:
    queried = draw(types)
    return queried, draw(st.lists(st.tuples(st.sampled_from(queried), spans), max_size=5))


@given(answers())
def test_what_is_rendered_is_read_again(answer):
    queried, entities = answer
    parsed = parse_completion(render_completion(entities, queried), queried)
    assert parsed.entities == entities
    assert parsed.violations == []
    assert parsed.segments == max(1, len(entities))


@given(answers())
def test_ranges_cover_each_entity_from_type_to_span(answer):
    queried, entities = answer
    completion = render_completion(entities, queried)
    ranges = parse_completion(completion, queried).ranges
    assert [completion[a:b] for a, b in ranges] == [
        render_completion([entity], queried)[1:] for entity in entities
    ]
    # Without its range, nothing but the bars is left.
    gaps = [completion[b:a] for (_, b), (a, _) in pairwise(ranges)]
    assert set(gaps) <= {" | "}


@given(noise, st.lists(st.sampled_from(TYPES), max_size=5))
def test_reading_never_raises_and_counts_every_segment(completion, queried):
    parsed = parse_completion(completion, queried)
    nothing = completion.strip().casefold() == "none"
    assert len(parsed.entities) + len(parsed.violations) + nothing == parsed.segments
    assert len(parsed.ranges) == len(parsed.entities)
    assert all(name in queried and span for name, span in parsed.entities)


@pytest.mark.parametrize(
    ("completion", "entities", "violations", "segments"),
    [
        (" none", [], [], 1),
        ("NONE\n", [], [], 1),
        ("", [], [], 0),
        ("  \n", [], [], 0),
        (" person: Ann | city: Rome", [("person", "Ann"), ("city", "Rome")], [], 2),
        (" Person: Ann", [("person", "Ann")], [], 1),
        (" gibberish", [], [("no type", "gibberish")], 1),
        (" gibberish | city: Rome", [("city", "Rome")], [("no type", "gibberish")], 2),
        (" person: | city: Rome", [("city", "Rome")], [("empty span", "person")], 2),
        (" person:", [], [("empty span", "person")], 1),
        # A type that nobody asked for is no boundary: it belongs to the span in front of it.
        (" person: Ann | colour: red", [("person", "Ann | colour: red")], [], 1),
        (" colour: red", [], [("no type", "colour: red")], 1),
        # Python's IGNORECASE takes the dotless i for an i; casefolding does not.
        (" cıty: Rome", [("city", "Rome")], [], 1),
    ],
)
def test_readings(completion, entities, violations, segments):
    parsed = parse_completion(completion, ["person", "city"])
    assert (parsed.entities, parsed.violations, parsed.segments) == (entities, violations, segments)


def test_the_prompt_names_types_and_text_as_the_data_set_does():
    assert render_prompt(["person", "city"], "Ann in Rome") == (
        "Extract entities of types: person, city\nText: Ann in Rome\nEntities:"
    )


def test_mentions_are_written_in_order_of_occurrence_the_longer_first():
    mentions = [
        Mention(9, 13, "city", "Rome"),
        Mention(0, 3, "b", "Ann"),
        Mention(0, 3, "a", "Ann"),
        Mention(0, 13, "title", "Ann went Rome"),
    ]
    assert render_mentions(mentions) == " title: Ann went Rome | a: Ann | b: Ann | city: Rome"
    assert render_mentions([]) == " none"


@pytest.mark.parametrize("span", ["", " x", "x ", "\nx", "\u2003x"])
def test_a_span_that_reading_would_change_is_refused(span):
    with pytest.raises(ValueError, match=r"is empty or has white space at an end; trim it"):
        render_completion([("person", span)])


def test_types_are_cleaned_and_merged_in_order():
    assert check_types(["  human   being ", "City", "city", "Human Being", "é"]) == [
        "human being",
        "City",
        "é",
    ]
    assert check_types(("a",)) == ["a"]


@pytest.mark.parametrize(
    ("given_types", "error", "message"),
    [
        ("person", TypeError, "must be a list of strings, got the string 'person'; write ['person']"),
        (None, TypeError, "must be a list of strings, got None"),
        (["person", 3], TypeError, "every label must be a string, got 3 of type int"),
        ([], ValueError, 'no labels given; name at least one entity type, for example ["person"]'),
        (["person", " \t"], ValueError, "label ' \\t' is empty; remove it or give it a name"),
        (["x" * (MAX_TYPE_LENGTH + 1)], ValueError, "has 201 characters; use a short name of at most 200"),
        (["a:b"], ValueError, "label 'a:b' holds the character ':'"),
        (["a|b"], ValueError, "label 'a|b' holds the character '|'"),
        (["a\x00b"], ValueError, "holds the character '\\x00'"),
        (["a\u200bb"], ValueError, "replace it by a space or a hyphen"),
        (["a\ud800"], ValueError, "holds the character '\\ud800'"),
    ],
)
def test_unusable_types_are_refused_with_the_fix(given_types, error, message):
    with pytest.raises(error) as caught:
        check_types(given_types)
    assert message in str(caught.value)
