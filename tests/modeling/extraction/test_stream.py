"""Streams: the canvas after each step, and in the end the answer."""

from __future__ import annotations

import pytest

from modeling import EntityExtractor
from modeling.canvas.words import split_words
from modeling.extraction.chunking import Limits
from tests.modeling.answers import TOY, alike, check
from tests.modeling.tiny import TYPES


@pytest.mark.parametrize(
    ("canvas", "decoding"), [("aligned", None), ("completion", None), ("completion", "plain")]
)
def test_a_stream_ends_where_the_answer_is(extractor, canvas, decoding):
    for text in TOY[: 6 if canvas == "aligned" else 2]:
        steps = list(extractor.stream(text, TYPES, steps=4, canvas=canvas, decoding=decoding))
        last = steps[-1]
        assert all(slot["revealed"] for slot in last["slots"])
        answer = extractor.predict_entities(text, TYPES, steps=4, canvas=canvas, decoding=decoding)
        assert alike(last["entities"], answer)
        for step in steps:
            check(text, TYPES, step["entities"])
            assert step["steps"] == 4
            assert 1 <= step["step"] <= 4
            assert all(slot["revealed"] or slot["symbol"] == "" for slot in step["slots"])
            assert all((slot["confidence"] > 0) is slot["revealed"] for slot in step["slots"])


def test_a_stream_reveals_step_by_step(extractor):
    text = TOY[0]
    steps = list(extractor.stream(text, TYPES, steps=4))
    assert [step["step"] for step in steps] == [1, 2, 3, 4]
    revealed = [sum(slot["revealed"] for slot in step["slots"]) for step in steps]
    assert revealed == sorted(revealed)
    assert 0 < revealed[0] < revealed[-1] == len(split_words(text))
    assert [slot["text"] for slot in steps[0]["slots"]] == [text[a:b] for a, b in split_words(text)]
    symbols = [slot["symbol"] for slot in steps[-1]["slots"]]
    assert set(symbols) <= {"O", "I", *TYPES}
    assert sum(symbol in TYPES for symbol in symbols) == len(steps[-1]["entities"])


def test_a_stream_of_a_long_text_goes_window_by_window(trained):
    extractor = EntityExtractor.from_pretrained(trained)
    extractor.limits = Limits(prompt_tokens=60)
    text = " ".join(TOY[:8])
    steps = list(extractor.stream(text, TYPES, steps=2))
    assert [step["step"] for step in steps] == [1, 2] * (len(steps) // 2)
    found = [entity for step in steps if step["step"] == 2 for entity in step["entities"]]
    assert alike(found, extractor.predict_entities(text, TYPES, steps=2))
