"""What an extractor refuses: every message names the value and the fix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modeling import EntityExtractor
from tests.modeling.tiny import TYPES, tiny_dream


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"labels": "person"},
            TypeError,
            "labels must be a list of strings, got the string 'person'; write ['person']",
        ),
        ({"labels": None}, TypeError, "labels must be a list of strings, got None"),
        ({"labels": []}, ValueError, "no labels given"),
        ({"labels": ["person", ""]}, ValueError, "label '' is empty"),
        ({"labels": ["person", 3]}, TypeError, "every label must be a string, got 3"),
        ({"labels": ["a:b"]}, ValueError, "label 'a:b' holds the character ':'"),
        ({"text": None}, TypeError, "text 0 must be a string, got None of type NoneType"),
        ({"text": b"alice"}, TypeError, "text 0 must be a string, got b'alice' of type bytes"),
        ({"threshold": -0.1}, ValueError, "threshold must be a number in [0, 1], got -0.1"),
        ({"threshold": 1.5}, ValueError, "threshold must be a number in [0, 1], got 1.5"),
        ({"threshold": float("nan")}, ValueError, "threshold must be a number in [0, 1], got nan"),
        ({"threshold": "0.5"}, ValueError, "threshold must be a number in [0, 1], got '0.5'"),
        ({"steps": 0}, ValueError, "steps must be a whole number of at least 1, got 0"),
        ({"steps": -1}, ValueError, "steps must be a whole number of at least 1, got -1"),
        ({"steps": 1.5}, ValueError, "steps must be a whole number of at least 1, got 1.5"),
        ({"steps": True}, ValueError, "steps must be a whole number of at least 1, got True"),
        ({"steps": "8"}, ValueError, "steps must be a whole number of at least 1, got '8'"),
        ({"canvas": "square"}, ValueError, "canvas must be one of ('completion', 'aligned'), got 'square'"),
        ({"decoding": "greedy"}, ValueError, "decoding must be one of ('plain', 'grounded'), got 'greedy'"),
        ({"algorithm": "best"}, ValueError, "algorithm must be one of ("),
        ({"temperature": -1.0}, ValueError, "temperature must not be negative, got -1.0"),
        ({"temperature": "hot"}, ValueError, "temperature must be a finite number, got 'hot'"),
        ({"pad_penalty": float("nan")}, ValueError, "pad_penalty must be a finite number, got nan"),
        ({"outside_bias": "x"}, ValueError, "outside_bias must be a finite number, got 'x'"),
        ({"seed": 1.5}, ValueError, "seed must be a whole number, got 1.5"),
        ({"seed": 2**80}, ValueError, "seed must fit into 64 bits, got a number of 81 bits"),
        ({"decoding": "plain"}, ValueError, "decoding='plain' is for the completion canvas"),
        ({"nested": True}, ValueError, "nested=True needs canvas='completion'"),
        ({"nested": 1}, ValueError, "nested must be True or False, got 1"),
        ({"remasking": "yes"}, ValueError, "remasking must be True or False, got 'yes'"),
        ({"overlaps": "first"}, ValueError, "overlaps must be one of ('surest', 'longest'), got 'first'"),
        ({"adaptive": "greedy"}, ValueError, "adaptive must be None or one of ('threshold', 'entropy')"),
        ({"confidence_threshold": 0}, ValueError, "confidence_threshold must be in (0, 1], got 0"),
        ({"use_cache": "yes"}, ValueError, "use_cache must be True, False or 'approximate', got 'yes'"),
        ({"step": 3}, TypeError, "unknown option 'step'; known are canvas, decoding, steps"),
    ],
)
def test_wrong_arguments_are_named_with_the_fix(extractor, arguments, error, message):
    given_ = {"text": "alice", "labels": TYPES, **arguments}
    calls: list[Callable[[], Any]] = [
        lambda: extractor.predict_entities(**given_),
        lambda: list(extractor.stream(**given_)),
    ]
    for call in calls:
        with pytest.raises(error) as caught:
            call()
        assert message in str(caught.value)


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "8"])
def test_a_wrong_batch_size_is_named(extractor, size):
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1, got"):
        extractor.batch_predict_entities(["alice"], TYPES, batch_size=size)


@pytest.mark.parametrize("tokens", [0, -5, 2.5, True])
def test_a_wrong_token_budget_is_named(extractor, tokens):
    with pytest.raises(ValueError, match="batch_tokens must be a whole number of at least 1, got"):
        extractor.batch_predict_entities(["alice"], TYPES, batch_tokens=tokens)


def test_a_wrong_number_of_threads_is_named():
    with pytest.raises(ValueError, match="threads must be a whole number of at least 1, got 0"):
        EntityExtractor.from_pretrained(threads=0)


@pytest.mark.parametrize("device", [0, "telepathy", "cuda:99"])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(ValueError, match=r"device .* cannot be used here \(.*\); give \"cpu\""):
        EntityExtractor.from_pretrained(device=device)


def test_one_text_is_no_batch(extractor):
    with pytest.raises(TypeError, match="texts must be a list of strings; for one text use predict_entities"):
        extractor.batch_predict_entities("alice", TYPES)
    for texts in (None, 3, b"alice", {"alice": 1}):
        with pytest.raises(TypeError, match="texts must be a list of strings, got "):
            extractor.batch_predict_entities(texts, TYPES)
    with pytest.raises(ValueError, match="2 texts but 1 lists of labels; give one list for each text"):
        extractor.batch_predict_entities(["alice", "bob"], [TYPES])


def test_a_checkpoint_without_an_aligned_canvas_says_so(tokenizer):
    model = tiny_dream(tokenizer, outside_token_id=-1)
    extractor = EntityExtractor(model, tokenizer)
    assert extractor.canvas == "completion"
    with pytest.raises(ValueError, match="this checkpoint has no aligned canvas; use canvas='completion'"):
        extractor.predict_entities("alice", TYPES, canvas="aligned")


def test_a_model_that_was_not_loaded_for_diffusion_is_refused(tokenizer):
    model = tiny_dream(tokenizer)
    model.generation_config.mask_token_id = None
    with pytest.raises(ValueError, match=r"has no mask_token_id.*load it with modeling.load_model"):
        EntityExtractor(model, tokenizer)
