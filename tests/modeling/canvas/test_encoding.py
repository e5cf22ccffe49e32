"""Prompts in tokens: every word, type and marker is found again, whatever the text says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings

from modeling.backbones.pointer_init import pointer_settings
from modeling.canvas.encoding import CASE_CAPITALISED, CASE_LOWER, CASE_UPPER, EncodedPrompt, PromptEncoder
from modeling.canvas.template import render_prompt
from modeling.canvas.words import split_words
from tests.modeling.canvas.test_words import anything
from tests.modeling.tiny import DREAM_SETTINGS

TYPES = ["person", "City of light", "東京", "x-y"]
TEXTS = [
    "Alice met bob in Paris.",
    "  leading, trailing  ",
    "東京タワーに行く。 สวัสดี हिन्दी",
    "الرياض עברית left to right again",
    "a\x00b\x07c \u200bzero\u200d width\ufeff soft\u00adhyphen \u202edirection\u202c",
    "emoji 👩🏽\u200d🚀 and ❤\ufe0f .",
    "nothing\n\nbut\tspace \r\n end\n",
    "[MASK] [CLS] [PAD] [unused3] <|mask|> <|endoftext|> <|im_start|>",
    "İstanbul Straße ﬁre \ufffd \ud800 x",
    "Entities: none | person: alice\nText: again\nEntities:",
    "",
    " \n\x00",
]


@pytest.fixture(scope="module")
def encoder(tokenizer) -> PromptEncoder:
    return PromptEncoder(tokenizer, pointer_settings(tokenizer))


@pytest.fixture(scope="module")
def dream_encoder(dream_tokenizer) -> PromptEncoder:
    return PromptEncoder(dream_tokenizer, DREAM_SETTINGS)


def offsets_of(encoder: PromptEncoder, encoded: EncodedPrompt) -> dict[int, tuple[int, int]]:
    """Return where each of the tokenizer's own tokens of a prompt stands in it, found independently."""
    prompt = render_prompt(encoded.types, encoded.text)
    batch = encoder.tokenizer(
        prompt.replace("\ud800", "\ufffd"),
        add_special_tokens=False,
        split_special_tokens=True,
        return_offsets_mapping=True,
    )
    added = {*encoded.markers} | ({0} if encoder.tokenizer.cls_token_id is not None else set())
    places = [i for i in range(len(encoded)) if i not in added]
    return dict(zip(places, batch["offset_mapping"], strict=True))


def check(encoder: PromptEncoder, types: list[str], text: str) -> None:
    encoded = encoder.encode(types, text)
    own = offsets_of(encoder, encoded)
    prompt = render_prompt(types, text)
    text_start = prompt.index("\nText: ") + len("\nText: ")
    # Every word's token covers a character of it, and no token before that one does.
    for (start, end), at in zip(encoded.words, encoded.word_positions, strict=True):
        covering = [
            i for i, (a, b) in own.items() if a < end + text_start and b > start + text_start and a < b
        ]
        assert covering
        assert at == covering[0]
    # Words are those of the text; one is left out only if no token covers it.
    left_out = set(split_words(text)) - set(encoded.words)
    assert [w for w in split_words(text) if w not in left_out] == encoded.words
    for start, end in left_out:
        assert not any(a < end + text_start and b > start + text_start and a < b for a, b in own.values())
    # Each type's marker stands right before the first token of its name.
    assert [encoded.input_ids[i] for i in encoded.markers] == encoder.settings.marker_ids(len(types))
    at = len("Extract entities of types: ")
    for name, marker in zip(types, encoded.markers, strict=True):
        assert marker + 1 == min(i for i, (_, b) in own.items() if b > at)
        at += len(name) + 2
    # What may be copied are the names and the text, and the text has its range.
    types_end = text_start - len("\nText: ")
    inside_text = [i for i, (a, b) in own.items() if b > text_start and a < text_start + len(text)]
    names = [i for i, (a, b) in own.items() if b > len("Extract entities of types: ") and a < types_end]
    assert encoded.sources == names + [i for i in inside_text if i not in names]
    assert list(range(*encoded.text_span)) == inside_text
    # The network reads what the tokenizer made of the prompt, and nothing else.
    special = {encoder.tokenizer.mask_token_id, encoder.tokenizer.pad_token_id}
    assert not special & {encoded.input_ids[i] for i in own}
    assert len(encoded.token_types) == len(encoded.input_ids)


@pytest.mark.parametrize("text", TEXTS)
def test_everything_is_found_in_a_wordpiece_prompt(encoder, text):
    check(encoder, TYPES, text)


@pytest.mark.parametrize("text", TEXTS)
def test_everything_is_found_in_a_byte_level_prompt(dream_encoder, text):
    check(dream_encoder, TYPES, text)


@given(anything)
@settings(max_examples=60)
def test_everything_is_found_in_any_wordpiece_prompt(encoder, text):
    check(encoder, TYPES, text)


@given(anything)
@settings(max_examples=60)
def test_everything_is_found_in_any_byte_level_prompt(dream_encoder, text):
    check(dream_encoder, TYPES, text)


def test_a_prompt_in_tokens(encoder):
    encoded = encoder.encode(["person", "city"], "Alice met BOB")
    tokens = encoder.tokenizer.convert_ids_to_tokens(encoded.input_ids)
    assert " ".join(tokens) == (
        "[CLS] extract entities of types : [unused2] person , [unused3] city text : alice met bob entities :"
    )
    assert [tokens[i] for i in encoded.word_positions] == ["alice", "met", "bob"]
    assert [encoded.token_types[i] for i in encoded.word_positions] == [
        CASE_CAPITALISED,
        CASE_LOWER,
        CASE_UPPER,
    ]
    assert [tokens[i] for i in encoded.sources] == ["person", ",", "city", "alice", "met", "bob"]


@pytest.mark.parametrize(
    ("name", "spelled"),
    [("encoder", "[MASK] [unused2] [PAD]"), ("dream_encoder", "<|mask|> <|endoftext|> <|im_end|>")],
)
def test_special_tokens_spelled_in_a_text_are_plain_characters(name, spelled, request):
    encoder = request.getfixturevalue(name)
    special = set(encoder.tokenizer.convert_tokens_to_ids(spelled.split(" ")))
    assert not special & set(encoder.token_ids([spelled])[0])
    assert not special & set(encoder.encode_batch([(["thing"], spelled)])[0].input_ids[8:])
    assert not special & set(encoder.encode(["x"], "plain").input_ids[8:])


def test_an_uncased_tokenizer_spells_without_case_and_a_byte_level_one_exactly(encoder, dream_encoder):
    assert encoder.spell("Alice Met BOB!") == "alice met bob!"
    text = "Éa  B-c\n👩🏽 עברית"
    assert dream_encoder.spell(text) == text


@pytest.mark.parametrize("name", ["encoder", "dream_encoder"])
@pytest.mark.parametrize("text", ["alice met x-y , zz", "Éa  B-c\n👩🏽 עברית 東京", "", "x"])
def test_pieces_are_what_each_token_adds(name, text, request):
    encoder = request.getfixturevalue(name)
    ids = encoder.token_ids([text])[0]
    pieces = encoder.decode_pieces(ids)
    assert len(pieces) == len(ids)
    assert "".join(pieces) == encoder.tokenizer.decode(ids)


def test_a_span_is_found_by_its_tokens_as_whole_words_only(encoder, dream_encoder):
    text = "Alice saw ALICE - alices alice"
    found = encoder.token_occurrences(encoder.encode(["person"], text), "alice")
    assert [text[a:b] for a, b in found] == ["Alice", "ALICE", "alice"]
    assert encoder.token_occurrences(encoder.encode(["person"], text), "nobody") == []
    assert encoder.token_occurrences(encoder.encode(["person"], text), "") == []
    found = encoder.token_occurrences(encoder.encode(["city"], "New-York new - york"), "new - york")
    assert found == [(0, 8), (9, 19)]
    # A tokenizer that keeps case and spacing needs no such help: its spans are found as strings.
    assert dream_encoder.token_occurrences(dream_encoder.encode(["person"], text), "Alice") == []


def test_a_batch_is_the_same_as_one_by_one(encoder):
    requests = [(TYPES[: 1 + i % 4], text) for i, text in enumerate(TEXTS)]
    assert encoder.encode_batch(requests) == [encoder.encode(types, text) for types, text in requests]


def test_the_cost_of_a_type_is_what_it_adds_to_the_prompt(encoder):
    for name in ("city", "City of light", "x-y"):
        longer = len(encoder.encode([name, "person"], "alice"))
        assert encoder.type_cost(name) == longer - len(encoder.encode(["person"], "alice"))


def test_threads_share_an_encoder(encoder):
    requests = [(TYPES[: 1 + i % 4], f"{text} {i}") for i, text in enumerate(TEXTS * 8)]

    def work(request: tuple[list[str], str]) -> tuple:
        types, text = request
        # Calls with and without offsets, of one text and of several: a tokenizer keeps its options in itself.
        return encoder.encode(types, text), encoder.token_ids([text, "x"]), encoder.spell(text)

    alone = [work(request) for request in requests]
    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(work, requests)) == alone


def test_a_tokenizer_without_offsets_is_refused(tokenizer):
    class Slow:
        is_fast = False

    with pytest.raises(ValueError, match="Slow gives no character offsets; use the fast tokenizer"):
        PromptEncoder(Slow(), pointer_settings(tokenizer))
