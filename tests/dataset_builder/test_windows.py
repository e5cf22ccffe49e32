"""Windows: all of the text, no mention cut, within the budget as far as the estimates go."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.windows import Budget, PassageCosts, cut_windows
from modeling.canvas.template import Mention

_TYPES = {"person": 1, "place": 2, "long type name": 3}


def token_starts(text):
    return [match.start() for match in re.finditer(r"\s?\w{1,4}|\s?\S|\s", text)]


@st.composite
def passages(draw):
    text = draw(
        st.text(st.sampled_from("abc. !?\nX\u3002\u4e2d"), min_size=1, max_size=120).filter(str.strip)
    )
    solid = [at for at, char in enumerate(text) if not char.isspace()]
    mentions = set()
    for _ in range(draw(st.integers(0, 8))):
        start, last = sorted((draw(st.sampled_from(solid)), draw(st.sampled_from(solid))))
        mentions.add(Mention(start, last + 1, draw(st.sampled_from(sorted(_TYPES))), text[start : last + 1]))
    return text, sorted(mentions, key=lambda m: (m.start, -m.end, m.type))


@given(passages(), st.integers(0, 8) | st.integers(8, 40), st.integers(0, 30))
def test_windows_cover_the_text_and_cut_no_mention(passage, total, completion):
    text, mentions = passage
    costs, budget = PassageCosts(token_starts(text), _TYPES), Budget(total, completion)
    windows = cut_windows(text, mentions, costs, budget)
    covered = [at for w in windows for at in range(w.start, w.end)]
    assert covered == sorted(set(covered))
    assert {at for at, char in enumerate(text) if not char.isspace()} <= set(covered)
    for window in windows:
        inside = text[window.start : window.end]
        assert inside == inside.strip() != ""
        assert all(window.start <= m.start < m.end <= window.end for m in window.mentions)
        assert not {m.type for m in window.mentions} & window.withheld
        # What is asked for is complete: a mention that the window touches and does not list is withheld.
        for mention in mentions:
            if mention.start < window.end and mention.end > window.start:
                assert (mention in window.mentions) != (mention.type in window.withheld)
    held = [m for window in windows for m in window.mentions]
    assert len(held) == len(set(held))
    # Nothing is given up where everything fits, and no window with mentions is over the budget.
    if costs.fit(0, len(text), mentions, budget):
        assert held == mentions
        assert len(windows) == 1
    for window in windows:
        if window.mentions:
            assert sum(map(costs.completion, window.mentions)) <= completion


def cut(text, mentions, total, completion=1000):
    return cut_windows(text, mentions, PassageCosts(token_starts(text), _TYPES), Budget(total, completion))


def test_cuts_are_at_sentence_ends():
    text = "One two three. Four five six! (Seven eight.) Nine e.g. ten.\nEleven"
    windows = cut(text, [], 8)
    assert [text[w.start : w.end] for w in windows] == [
        "One two three.",
        "Four five six!",
        "(Seven eight.)",
        "Nine e.g. ten.",
        "Eleven",
    ]


def test_a_sentence_end_within_a_mention_is_no_cut():
    text = "He saw Dr. Who."
    mention = Mention(7, 14, "person", "Dr. Who")
    windows = cut(text, [mention], 13)  # enough for "He saw Dr." with the mention's completion
    assert [text[w.start : w.end] for w in windows] == ["He saw", "Dr. Who."]
    assert windows[1].mentions == (mention,)


def test_long_sentences_are_cut_at_words_and_long_words_at_tokens():
    text = "aaa bbb ccc " + "d" * 20
    assert [text[w.start : w.end] for w in cut(text, [], 3)] == ["aaa bbb ccc", "d" * 12, "d" * 8]


@pytest.mark.parametrize("stop", ["\u3002", "\uff01"])
def test_ideographic_stops_need_no_blank(stop):
    text = f"\u4e2d\u6587{stop}\u6587\u672c{stop}"
    windows = cut(text, [], 3)
    assert [text[w.start : w.end] for w in windows] == [f"\u4e2d\u6587{stop}", f"\u6587\u672c{stop}"]


def test_a_mention_too_long_is_given_up_with_its_type_only_where_it_stands():
    text = "Bob saw " + "very " * 30 + "far. Ann saw Eve."
    giant = Mention(8, 161, "person", text[8:161])
    others = [
        Mention(0, 3, "person", "Bob"),
        Mention(8, 12, "place", "very"),
        Mention(163, 166, "person", "Ann"),
        Mention(171, 174, "place", "Eve"),
    ]
    mentions = sorted([giant, *others], key=lambda m: (m.start, -m.end))
    windows = cut(text, mentions, 30)
    held = [m for w in windows for m in w.mentions]
    assert giant not in held
    assert others[1] in held
    assert others[2] in held
    assert others[3] in held
    assert others[0] not in held  # the giant begins in the window of "Bob", which cannot ask for persons
    assert "person" in windows[0].withheld
    assert not windows[-1].withheld


def test_a_passage_of_100_kilobytes_is_cut_quickly():
    words = [f"word{number}" for number in range(14_000)]
    text = " ".join(words)
    mentions, at = [], 0
    for word in words:
        mentions.append(Mention(at, at + len(word), "person", word))
        at += len(word) + 1
    assert len(text) > 100_000
    windows = cut(text, mentions, 400, 120)
    assert sum(len(w.mentions) for w in windows) == len(words)


@pytest.mark.parametrize("unit", [".", ". ", "\n", " ", "\u3002", ")", ".)", "a"])
def test_monotonous_text_takes_no_quadratic_time(unit):
    text = "x" + unit * 60_000 + "y"
    windows = cut(text, [], 400)
    assert (windows[0].start, windows[-1].end) == (0, len(text))
