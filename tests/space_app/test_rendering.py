"""HTML of results: every character of the text is there, and none of it is markup."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from space_app.rendering import (
    Mark,
    entities_view,
    most_agreed,
    notice,
    passage,
    steps_view,
    uncertainty_view,
)
from tests.space_app.pages import Page

TYPES = ("person", "city")
# HTML replaces these by others: line ends are normalised, surrogates and nulls are no text.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=40)
NASTY = TEXT | st.sampled_from(
    ["<script>alert(1)</script>", "</p>", "&lt;", "\"'><img onerror=x>", "{{x}}${y}`"]
)


@st.composite
def marked(draw: st.DrawFn) -> tuple[str, list[Mark]]:
    text = draw(NASTY)
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    return text, [Mark(a, b, draw(st.integers(0, 30)), draw(NASTY)) for a, b in pairs]


@given(marked())
def test_a_passage_is_its_text_and_its_marks(given_: tuple[str, list[Mark]]) -> None:
    text, marks = given_
    page = Page(passage(text, marks))
    assert page.text == text
    assert {tag for tag, _ in page.elements} <= {"p", "mark", "bdi", "span"}
    assert len(page.of("mark")) == len(marks)
    assert not any(name.startswith("on") for _, own in page.elements for name in own)


@given(NASTY)
def test_a_notice_is_text(message: str) -> None:
    page = Page(notice(message), within="notice")
    assert page.text == f"Not run. {message}"
    assert page.elements[0] == ("p", {"class": "notice", "role": "alert"})


def entity(text: str, span: str, label: str, score: float) -> dict[str, Any]:
    start = text.index(span)
    return {"start": start, "end": start + len(span), "text": span, "label": label, "score": score}


SENTENCE = "Ada Lovelace left London & never <b>came</b> back."
FOUND = [entity(SENTENCE, "Ada Lovelace", "person", 0.987), entity(SENTENCE, "London", "city", 0.5)]


def test_entities_have_types_scores_and_a_count() -> None:
    html = entities_view({"text": SENTENCE, "entities": FOUND, "milliseconds": 12.6}, TYPES, 1, "CPU")
    assert Page(html).text == SENTENCE
    assert "2 entities in 1 step, 13 ms on CPU" in html
    assert "person 0.99" in html
    assert "city 0.50" in html
    assert [own["class"] for own in Page(html).of("mark")] == ["mark type-0", "mark type-1"]
    empty = entities_view({"text": "a", "entities": [], "milliseconds": 1.0}, TYPES, 2, "CPU")
    assert "Nothing found. Lower the threshold" in empty
    assert "0 entities in 2 steps" in empty


def test_what_only_one_answer_has_is_marked_in_words() -> None:
    answers = [
        {"steps": 1, "milliseconds": 10.0, "entities": FOUND[:1]},
        {"steps": 8, "milliseconds": 80.0, "entities": FOUND},
    ]
    html = steps_view({"text": SENTENCE, "results": answers}, TYPES, "CPU")
    assert "1 entity differs, 1 the same" in html
    assert html.count("only here") == 1
    assert "city 0.50, only here" in html
    assert Page(html).text == SENTENCE * 2
    same = steps_view({"text": SENTENCE, "results": [answers[0], answers[0]]}, TYPES, "CPU")
    assert "The same entities" in same
    assert "only here" not in same


def candidate(text: str, span: str, label: str, runs: int) -> dict[str, Any]:
    return {**entity(text, span, label, 0.7), "runs": runs, "agreement": runs / 10}


def test_agreement_is_opacity_and_written_too() -> None:
    candidates = [
        candidate(SENTENCE, "Ada", "person", 2),
        candidate(SENTENCE, "Ada Lovelace", "person", 8),
        candidate(SENTENCE, "London", "city", 10),
    ]
    html = uncertainty_view({"text": SENTENCE, "runs": 10, "candidates": candidates}, TYPES)
    page = Page(html)
    assert page.text == SENTENCE
    assert [own.get("style") for own in page.of("mark")] == ["--strength: 0.80", "--strength: 1.00"]
    assert "person 8/10" in html
    assert "3 candidates in 10 random runs, 1 found every time" in html
    assert len(page.of("tr")) == 4  # the head, and all three: the overlapped one is in the table only


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(1, 5), st.sampled_from(TYPES), st.integers(1, 10)),
        max_size=8,
    )
)
def test_the_most_agreed_do_not_overlap_and_leave_out_only_what_does(
    drawn: list[tuple[int, int, str, int]],
) -> None:
    places = {(a, a + n, label): runs for a, n, label, runs in drawn}
    candidates = [
        {"start": a, "end": b, "label": label, "runs": runs, "score": 0.5}
        for (a, b, label), runs in sorted(places.items())
    ]
    kept = most_agreed(candidates)
    assert all(one["end"] <= other["start"] for one, other in pairwise(kept))
    for left_out in candidates:
        if left_out not in kept:
            rivals = [k for k in kept if k["start"] < left_out["end"] and left_out["start"] < k["end"]]
            assert max(k["runs"] for k in rivals) >= left_out["runs"]
