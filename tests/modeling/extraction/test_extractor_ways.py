"""Ways to decode that a user may choose: adaptive steps, nested entities, token budgets, 8-bit integers."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from modeling import EntityExtractor
from modeling.backbones.quantize import quantize_encoder
from tests.modeling.answers import TOY, alike, check
from tests.modeling.tiny import TYPES, tiny_bert, tiny_dream


@pytest.mark.parametrize(
    ("canvas", "rule", "steps"),
    [("aligned", True, None), ("aligned", "threshold", None), ("completion", True, 3)],
)
def test_adaptive_answers_are_the_same_in_any_batch_and_take_no_more_steps(extractor, canvas, rule, steps):
    chosen = extractor.options(canvas, None, steps, adaptive=rule)
    assert chosen.adaptive == ("entropy" if rule is True else rule)
    texts = TOY[: 4 if canvas == "aligned" else 2]
    way: dict[str, Any] = {"canvas": canvas, "adaptive": rule, "steps": steps}
    alone = [extractor.predict_entities(text, TYPES, **way) for text in texts]
    together = extractor.batch_predict_entities(texts, TYPES, compact=False, **way)
    assert all(map(alike, together, alone))
    for text, answer in zip(texts, alone, strict=True):
        check(text, TYPES, answer)
    prompts = extractor.encoder.encode_batch([(TYPES, text) for text in texts])
    forwards = [prediction.forwards for prediction in extractor.decoder.predict(prompts, chosen)]
    rounds = 1 if canvas == "aligned" else 6  # a canvas that its answer fills is written again, twice as long
    assert all(1 <= count <= rounds * chosen.steps for count in forwards)
    if canvas == "aligned":  # the toy network is sure of its tags: one forward is enough for some text
        assert min(forwards) == 1


def test_adaptive_may_be_switched_off_by_name(extractor):
    assert extractor.options(None, None, None, adaptive=False).adaptive is None
    assert extractor.options("completion", "plain", None).fit_canvas is False
    assert extractor.options("completion", None, None).fit_canvas is True
    assert extractor.options("completion", None, None, fit_canvas=False).fit_canvas is False


def test_the_readings_after_each_step_end_in_the_answer(extractor):
    prompts = extractor.encoder.encode_batch([(TYPES, text) for text in TOY[:4]])
    for way in ({"canvas": "aligned", "steps": 3}, {"canvas": "completion", "steps": 3}):
        chosen = extractor.options(way["canvas"], None, way["steps"])
        trajectories = extractor.decoder.predict_steps(prompts, chosen)
        final = extractor.decoder.predict(prompts, chosen)
        for own, prediction in zip(trajectories, final, strict=True):
            assert own[-1].entities == prediction.entities
            assert 1 <= len(own) <= 3
            counts = [r.forwards for r in own]
            assert counts == sorted(counts)


def test_a_token_budget_changes_no_answer(extractor):
    texts = [*TOY[:8], " ".join(TOY[8:16])]
    expected = extractor.batch_predict_entities(texts, TYPES)
    for tokens in (1, 100, 1000):
        answers = extractor.batch_predict_entities(texts, TYPES, batch_tokens=tokens)
        assert all(map(alike, answers, expected))


def test_nested_entities_come_with_the_completion_canvas(extractor):
    way: dict[str, Any] = {"canvas": "completion", "steps": 2}
    for text in TOY[:3]:
        nested = extractor.predict_entities(text, TYPES, nested=True, **way)
        flat = extractor.predict_entities(text, TYPES, **way)
        assert {(e["start"], e["end"], e["label"]) for e in flat} <= {
            (e["start"], e["end"], e["label"]) for e in nested
        } or len(flat) <= len(nested)
        for i, one in enumerate(nested):
            assert text[one["start"] : one["end"]] == one["text"]
            assert all(o["start"] >= one["end"] or o["end"] <= one["end"] for o in nested[i + 1 :])
        check(text, TYPES, extractor.predict_entities(text, TYPES, overlaps="longest", **way))


@pytest.fixture
def talkative(tokenizer) -> EntityExtractor:
    """An extractor whose network never writes padding: every answer fills its canvas."""
    model = tiny_bert(tokenizer)
    model.cls.predictions.bias.data[model.generation_config.pad_token_id] = -100.0
    return EntityExtractor(model, tokenizer, canvas="completion")


def test_an_answer_too_long_for_any_canvas_is_asked_for_in_halves_and_then_reported(talkative):
    text = " ".join(["alice met bob in paris ."] * 10)  # 60 words: its halves are too short to be halved
    chosen = talkative.options("completion", "grounded", 1)
    with pytest.warns(UserWarning, match=r"2 answer\(s\) fill the longest canvas of this model"):
        predictions = list(talkative.predict([(TYPES, text)], chosen, 4))
    assert all(prediction.truncated for _, prediction in predictions)
    first, second = sorted((request for request, _ in predictions), key=lambda r: r.offset)
    assert (first.keep_from, second.keep_to) == (0, len(text))
    assert 0 < first.keep_to == second.keep_from < len(text)
    # Canvases of 64, 128, 256 and all positions left, for the whole text and for each half.
    assert sum(prediction.forwards for _, prediction in predictions) == 12
    with pytest.warns(UserWarning, match="answer"):
        check(text, TYPES, talkative.predict_entities(text, TYPES, steps=1))


def test_a_canvas_of_an_answer_that_fits_is_not_reported(extractor):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extractor.predict_entities(TOY[0], TYPES)


def test_8_bit_integers_answer_nearly_alike(trained, extractor):
    quick = EntityExtractor.from_pretrained(trained, quantize="int8", device="cpu")
    layers = [module for module in quick.model.modules() if "quantized" in type(module).__module__]
    assert layers
    texts = TOY
    for way in ({}, {"steps": 3}):
        exact = extractor.batch_predict_entities(texts, TYPES, **way)
        rounded = quick.batch_predict_entities(texts, TYPES, **way)
        spans = [
            {(i, e["start"], e["end"], e["label"]) for i, own in enumerate(answers) for e in own}
            for answers in (exact, rounded)
        ]
        common = len(spans[0] & spans[1])
        assert 2 * common >= 0.9 * (len(spans[0]) + len(spans[1])) > 0
        for text, own in zip(texts, rounded, strict=True):
            check(text, TYPES, own)


@torch.no_grad()
@pytest.mark.parametrize("make", [tiny_bert, tiny_dream])
def test_8_bit_hidden_states_stay_close(tokenizer, make):
    ids = torch.randint(70, 180, (4, 20))
    exact = make(tokenizer)
    quantized = quantize_encoder(make(tokenizer), "int8")
    first = exact.base_model(input_ids=ids, use_cache=False).last_hidden_state
    second = quantized.base_model(input_ids=ids, use_cache=False).last_hidden_state
    assert (first - second).norm() < 0.1 * first.norm()
    assert not torch.equal(first, second)
    assert hasattr(quantized.get_output_embeddings().weight, "shape")  # read directly by the output layer


def test_what_cannot_be_quantised_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"quantize must be None or one of \('int8',\), got 'int3'"):
        quantize_encoder(tiny_bert(tokenizer), "int3")
    with pytest.raises(
        ValueError, match=r"needs the model in float32 on the cpu, but it is in torch.bfloat16"
    ):
        quantize_encoder(tiny_bert(tokenizer).to(torch.bfloat16), "int8")


def test_a_warm_extractor_answers_as_a_cold_one(extractor):
    before = extractor.predict_entities(TOY[0], TYPES)
    extractor.warm_up(TYPES, words=(4, 9))
    assert extractor.predict_entities(TOY[0], TYPES) == before
