"""The tokens of single words, and of what stands between them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings

from modeling.backbones.pointer_init import pointer_settings
from modeling.canvas.encoding import PromptEncoder
from modeling.canvas.words import WordTokens, breaks_between, split_words
from tests.modeling.canvas.test_words import anything

NEWLINE, TAB = 7, 8


@pytest.fixture(scope="module")
def encoder(tokenizer) -> PromptEncoder:
    return PromptEncoder(tokenizer, pointer_settings(tokenizer, "text"))


def tokens_of(encoder: PromptEncoder, text: str) -> list[str]:
    return encoder.tokenizer.convert_ids_to_tokens(encoder.token_ids([text])[0])


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("alice's", ["alice", "'", "s"]),
        ("ａｌｉｃｅ", ["alice"]),  # fullwidth letters
        ("𝐚𝐥𝐢𝐜𝐞", ["alice"]),  # mathematical letters
        ("alice→bob🙂", ["alice", "[UNK]", "bob", "[UNK]"]),
        ("citý", ["city"]),
        ("al\u00adice", ["alice"]),
        ("aliceЖ", ["alice", "[UNK]"]),  # one letter that the vocabulary lacks
        ("ЖЖalice", ["[UNK]", "alice"]),
        ("[MASK]", ["[UNK]", "m", "##a", "##s", "##k", "[UNK]"]),
    ],
)
def test_what_the_vocabulary_lacks_takes_nothing_with_it(encoder, text, tokens):
    assert tokens_of(encoder, text) == tokens


@given(anything)
@settings(max_examples=60)
def test_each_slot_has_the_tokens_of_its_word(encoder, text):
    prompt = encoder.encode(["person"], text)
    assert set(prompt.words) <= set(split_words(text))
    known = WordTokens(encoder.token_ids, encoder.tokenizer.unk_token_id)
    breaks = {encoder.settings.newline_token_id, encoder.settings.tab_token_id}
    following = [*prompt.word_positions, prompt.text_span[1]][1:]
    for (start, end), first, last in zip(prompt.words, prompt.word_positions, following, strict=False):
        own = [token for token in prompt.input_ids[first:last] if token not in breaks]
        word = text[start:end]
        assert own == list(known.of([word])[word]) != []
    assert sum(encoder.text_sizes([text])[0]) == prompt.text_span[1] - prompt.text_span[0] + len(prompt.words)


@pytest.mark.parametrize(
    ("gap", "tokens"),
    [
        (" ", []),
        ("\n", [NEWLINE]),
        ("\r\n", [NEWLINE]),
        ("\n \n", [NEWLINE, NEWLINE]),
        ("\n\n\n\r\n", [NEWLINE, NEWLINE]),
        ("\t", [TAB]),
        ("\n\t\t\t", [NEWLINE, TAB, TAB]),
        ("\u2028\t\x0b", [NEWLINE, TAB, NEWLINE]),
    ],
)
def test_line_breaks_and_tabs_are_tokens_of_their_own(gap, tokens):
    assert breaks_between(gap, NEWLINE, TAB) == tokens
    assert breaks_between(gap, -1, -1) == []


def test_only_what_lies_between_words_is_told(encoder):
    newline = encoder.settings.newline_token_id
    prompt = encoder.encode(["person"], "\n\nalice\nbob\n\n")
    assert [i for i, token in enumerate(prompt.input_ids) if token == newline] == [
        prompt.word_positions[1] - 1
    ]


def test_a_span_over_a_line_break_is_found_by_its_tokens(encoder):
    prompt = encoder.encode(["person"], "alice\nbob met ALICE BOB\n")
    found = encoder.token_occurrences(prompt, "alice bob")
    assert [prompt.text[a:b] for a, b in found] == ["alice\nbob", "ALICE BOB"]


def test_words_are_remembered_and_the_memory_has_an_end(monkeypatch):
    asked: list[str] = []

    def tokenize(texts):
        asked.extend(texts)
        return [[len(text)] for text in texts]

    monkeypatch.setattr("modeling.canvas.words.KNOWN_WORDS", 10)
    words = WordTokens(tokenize, None)
    rng = random.Random(0)
    for _ in range(100):
        batch = [rng.choice("abcdefghijklmnop") * rng.randint(1, 2) for _ in range(4)]
        assert words.of(batch) == {word: (len(word),) for word in batch}
    assert 32 <= len(asked) < 400
    assert len(words._known) <= 10
