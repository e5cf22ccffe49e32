"""Words: one slot of the aligned canvas each."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.canvas.words import split_words, windows

# A little of everything: scripts with and without spaces, marks, emoji, controls, lone surrogates.
CHARACTERS = (
    "ab-_.,'|:\\ \n\t\x00\x1b\u200b\u200d\u200f\ufeff\u00ad\ufffd\ud800éß東京あแก็हिन्דाעבر👩🏽❤\ufe0f\u0301"
)
anything = st.one_of(st.text(), st.text(alphabet=CHARACTERS, max_size=40))


@given(anything)
def test_words_are_ordered_apart_and_hold_everything_visible(text):
    words = split_words(text)
    assert all(start < end for start, end in words)
    assert all(a[1] <= b[0] for a, b in pairwise(words))
    inside = {i for start, end in words for i in range(start, end)}
    for i, character in enumerate(text):
        if character.isspace():
            assert i not in inside
        elif unicodedata.category(character)[0] in "LNPS":
            assert i in inside


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ann lives in Rome.", ["Ann", "lives", "in", "Rome", "."]),
        ("state-of-the-art snake_case x--y", ["state-of-the-art", "snake_case", "x", "-", "-", "y"]),
        ("東京タワーに行く", list("東京タワーに行く")),
        ("日本のSony製", ["日", "本", "の", "Sony", "製"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("cafe\u0301 bar", ["cafe\u0301", "bar"]),
        ("الرياض، عاصمة", ["الرياض", "،", "عاصمة"]),
        ("שָׁלוֹם", ["שָׁלוֹם"]),
        ("I ❤\ufe0f NY", ["I", "❤\ufe0f", "NY"]),
        ("👩\u200d👧 👍🏽", ["👩", "👧", "👍🏽"]),
        ("a\u200bb\x00c\ufeff", ["a", "b", "c"]),
        ("C++ #1 $5", ["C", "+", "+", "#", "1", "$", "5"]),
        (" \n\t\x00\u200b ", []),
        ("", []),
    ],
)
def test_words_of(text, words):
    assert [text[a:b] for a, b in split_words(text)] == words


def test_a_run_without_end_is_cut():
    words = split_words("x" * 1_000_000)
    assert max(end - start for start, end in words) == 64
    assert sum(end - start for start, end in words) == 1_000_000


texts = st.lists(st.sampled_from(["a", "b", ".", "\n"]), min_size=1, max_size=60).map(" ".join)


@given(texts, st.integers(1, 12), st.integers(0, 6), st.randoms(use_true_random=False))
def test_windows_cover_all_words_within_the_budget(text, budget, overlap, random):
    words = split_words(text)
    costs = [random.randint(1, 4) for _ in words]
    ranges = windows(text, words, costs, budget, overlap)
    assert {i for a, b in ranges for i in range(a, b)} == set(range(len(words)))
    for a, b in ranges:
        assert sum(costs[a:b]) <= budget or b == a + 1
    for (a, b), (following, end) in pairwise(ranges):
        assert a < following <= b < end  # each window has a word that none before it has
        assert b - following <= min(overlap, (b - a) // 2)


def test_a_window_ends_at_a_sentence_end_of_its_last_half():
    text = "a b c d e f. g h i j k"
    words = split_words(text)
    ranges = windows(text, words, [1] * len(words), budget=9, overlap=0)
    assert [text[words[a][0] : words[b - 1][1]] for a, b in ranges] == ["a b c d e f.", "g h i j k"]


def test_overlap_repeats_words():
    words = split_words("a b c d e f g h")
    assert windows("a b c d e f g h", words, [1] * 8, 4, 2) == [(0, 4), (2, 6), (4, 8)]
