"""Offsets: compared with a slow search that tries every position."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.locate import _TOKEN, is_simple, locate, tokenize
from modeling.canvas.template import Mention

_UNSPACED = ("CJK UNIFIED", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR")


def in_word(char):
    return unicodedata.category(char)[0] in "LNM" and not unicodedata.name(char, "").startswith(_UNSPACED)


def slow_tokens(text):
    """Tokens by going through the characters: words, unspaced characters with their marks, single others."""
    tokens, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        end = at + 1
        if in_word(text[at]):
            while True:
                while end < len(text) and in_word(text[end]):
                    end += 1
                behind = end
                while behind < len(text) and text[behind] == "_":
                    behind += 1
                if behind > end and behind < len(text) and in_word(text[behind]):
                    end = behind
                else:
                    break
        elif unicodedata.name(text[at], "").startswith(_UNSPACED):
            while end < len(text) and unicodedata.category(text[end])[0] == "M":
                end += 1
        tokens.append((at, end))
        at = end
    return tokens


def slow_exact(text, wanted):
    """Every place where ``wanted`` stands between token edges, left to right, without overlap."""
    starts = {start for start, _ in slow_tokens(text)}
    ends = {end for _, end in slow_tokens(text)}
    found, free = [], 0
    for at in range(len(text)):
        end = at + len(wanted)
        if at >= free and text[at:end] == wanted and at in starts and end in ends:
            found.append((at, end))
            free = end
    return found


texts = st.text(
    st.sampled_from("abA \u0130\u0131\u00df_.-|:(\u00e9e\u0301\u4e2d\u306e\u05d0\n7"), max_size=24
)


@given(texts)
def test_tokens_are_those_of_the_slow_definition(text):
    tokens = tokenize(text)
    assert list(zip(tokens.starts, tokens.ends, strict=True)) == slow_tokens(text)
    assert tokens.words == [text[start:end] for start, end in slow_tokens(text)]


@given(texts, st.data())
def test_exact_occurrences_are_those_of_the_slow_search(text, data):
    tokens = slow_tokens(text)
    if not tokens:
        return
    first = data.draw(st.integers(0, len(tokens) - 1))
    last = data.draw(st.integers(first, min(first + 3, len(tokens) - 1)))
    wanted = text[tokens[first][0] : tokens[last][1]]
    if [wanted[a:b] for a, b in slow_tokens(wanted)] != [text[a:b] for a, b in tokens[first : last + 1]]:
        return  # a mark that begins a mention belongs to another token on its own
    located = locate(text, {"t": [wanted]})
    assert [(m.start, m.end) for m in located.mentions] == slow_exact(text, wanted)
    assert located.levels == {"exact": 1}


@given(
    texts,
    st.dictionaries(st.sampled_from(["p", "q"]), st.lists(texts.map(str.strip).filter(bool), max_size=4)),
)
def test_whatever_is_found_stands_there_and_whatever_is_not_is_listed(text, mentions):
    located = locate(text, mentions)
    assert all(text[m.start : m.end] == m.text for m in located.mentions)
    assert all(m.text == m.text.strip() != "" for m in located.mentions)
    assert len(set(located.mentions)) == len(located.mentions)
    assert located.mentions == sorted(located.mentions, key=lambda m: (m.start, -m.end, m.type))
    listed = sum(len(strings) for strings in mentions.values())
    assert sum(located.levels.values()) + len(located.missing) == listed


@pytest.mark.parametrize(
    ("text", "mention", "expected"),
    [
        ("A cat, a cat; concatenate cats.", "cat", ["cat", "cat"]),
        ("C++ and C++11, (C++)", "C++", ["C++", "C++", "C++"]),
        ("pay $5, not US$5 or $50", "$5", ["$5", "$5"]),
        ("the U.S. and the U.S.A.", "U.S.", ["U.S.", "U.S."]),
        ("(EOLC - S ) and EOLC-S", "EOLC-S", ["EOLC-S"]),
        ("New\n York, new york", "New York", ["New\n York"]),
        ("the WHO and who", "who", ["who"]),
        ("The WHO said", "who", ["WHO"]),
        ("a a a a", "a a", ["a a", "a a"]),
        ("_emphasis_ and snake_emphasis", "emphasis", ["emphasis"]),
        ("caf\u00e9 cafe cafe\u0301", "cafe", ["cafe"]),
        ("x <b>bold</b>", "<b>", ["<b>"]),
        ('he said "no"', '"no"', ['"no"']),
        ("\u6211\u5728\u5317\u4eac\u5927\u5b66", "\u5317\u4eac", ["\u5317\u4eac"]),
        (
            "\u0633\u0627\u0641\u0631 \u0625\u0644\u0649 \u0628\u063a\u062f\u0627\u062f.",
            "\u0628\u063a\u062f\u0627\u062f",
            ["\u0628\u063a\u062f\u0627\u062f"],
        ),
        ("go \U0001f469\u200d\U0001f680 go", "\U0001f469\u200d\U0001f680", ["\U0001f469\u200d\U0001f680"]),
        ("a | person: b | c", "person: b | c", ["person: b | c"]),
        ("nothing here", "absent", []),
    ],
)
def test_cases(text, mention, expected):
    assert [m.text for m in locate(text, {"t": [mention]}).mentions] == expected


def test_offsets_survive_letters_whose_lower_case_is_longer():
    text = "\u0130\u0130\u0130 \u0130STANBUL and ANKARA, \u0130zmir"
    located = locate(text, {"city": ["ankara", "\u0130zmir", "i\u0307stanbul"]})
    assert len(text.lower()) > len(text)
    assert [(m.text, text[m.start : m.end]) for m in located.mentions] == [
        (found, found) for found in ("\u0130STANBUL", "ANKARA", "\u0130zmir")
    ]
    assert located.levels == {"exact": 1, "letter_case": 2}


def test_nested_mentions_are_all_kept_the_longer_one_first():
    located = locate(
        "Nature of symptoms, symptoms", {"s": ["symptoms", "Nature of symptoms"], "t": ["symptoms"]}
    )
    assert located.mentions == [
        Mention(0, 18, "s", "Nature of symptoms"),
        Mention(10, 18, "s", "symptoms"),
        Mention(10, 18, "t", "symptoms"),
        Mention(20, 28, "s", "symptoms"),
        Mention(20, 28, "t", "symptoms"),
    ]


def test_the_fast_pattern_agrees_with_the_full_one_on_every_character_it_is_used_for():
    simple = [chr(code) for code in range(0x110000) if is_simple(chr(code))]
    assert len(simple) > 3000
    for char in simple:
        for text in (f"a{char}a", f"_{char}_a"):
            assert tokenize(text).words == _TOKEN.split(text)[1::2], hex(ord(char))


def test_a_long_passage_with_many_mentions_takes_no_quadratic_time():
    words = [f"w{number}" for number in range(20_000)]
    located = locate(" ".join(words), {"t": words})
    assert len(located.mentions) == len(words)
