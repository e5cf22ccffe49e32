"""From a finished canvas to entities with offsets."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling.backbones.pointer_init import pointer_settings
from modeling.canvas.encoding import PromptEncoder
from modeling.custom_generate.settings import DiffusionSettings
from modeling.custom_generate.state import DenoisingStep
from modeling.custom_generate.tagging import Span, SpanProbabilities
from modeling.extraction.chunking import Entity
from modeling.extraction.prediction import Prediction, occurrences, predict_aligned, predict_free
from tests.modeling.tiny import DREAM_SETTINGS, TYPES

ONE = torch.tensor([1])


@pytest.fixture(scope="module")
def uncased(tokenizer) -> PromptEncoder:
    return PromptEncoder(tokenizer, pointer_settings(tokenizer))


@pytest.fixture(scope="module")
def byte_level(dream_tokenizer) -> PromptEncoder:
    return PromptEncoder(dream_tokenizer, DREAM_SETTINGS)


def read(encoder: PromptEncoder, text: str, completion: str, sure: float = 0.5) -> Prediction:
    """Read a completion that the network is this sure of, token by token."""
    ids = encoder.token_ids([completion])[0]
    canvas = torch.tensor([[*ids, *[encoder.settings.pad_token_id] * 4]])
    step = DenoisingStep(0, canvas, torch.full(canvas.shape, sure), canvas, None, None, ONE, ONE)
    (prediction,) = predict_free(encoder, [encoder.encode(TYPES, text)], step)
    return prediction


def places(prediction: Prediction) -> list[tuple[int, int, str]]:
    return [(e.start, e.end, e.label) for e in prediction.entities]


@pytest.mark.parametrize("name", ["uncased", "byte_level"])
def test_mentions_are_placed_in_order_of_their_occurrences(name, request):
    encoder = request.getfixturevalue(name)
    text = "Bob met Ann , then Bob left Oslo ."
    prediction = read(encoder, text, " person: Bob | person: Ann | person: Bob | city: Oslo")
    assert places(prediction) == [(0, 3, "person"), (8, 11, "person"), (19, 22, "person"), (28, 32, "city")]
    assert all(text[e.start : e.end] == e.text for e in prediction.entities)
    assert (prediction.segments, prediction.violations, prediction.hallucinations) == (4, [], [])


@pytest.mark.parametrize("name", ["uncased", "byte_level"])
def test_what_is_not_in_the_text_or_cannot_be_read_is_counted(name, request):
    encoder = request.getfixturevalue(name)
    prediction = read(encoder, "Bob left Oslo .", " nonsense | person: Ann | city: Oslo | animal:")
    assert places(prediction) == [(9, 13, "city")]
    assert [(label, span.lower()) for label, span in prediction.hallucinations] == [("person", "ann")]
    assert [reason for reason, _ in prediction.violations] == ["no type", "empty span"]
    assert prediction.segments == 4


@pytest.mark.parametrize("name", ["uncased", "byte_level"])
@pytest.mark.parametrize("completion", [" none", ""])
def test_nothing_is_found_in_nothing(name, completion, request):
    prediction = read(request.getfixturevalue(name), "Bob left .", completion)
    assert prediction.entities == prediction.violations == prediction.hallucinations == []


def test_a_score_is_the_geometric_mean_of_its_own_tokens(byte_level):
    completion = " person: Bob | city: Oslo"
    ids = byte_level.token_ids([completion])[0]
    pieces = byte_level.decode_pieces(ids)
    sure = [0.9 if i < pieces.index(" |") else 0.5 for i in range(len(ids))]
    canvas = torch.tensor([ids])
    step = DenoisingStep(0, canvas, torch.tensor([sure]), canvas, None, None, ONE, ONE)
    (prediction,) = predict_free(byte_level, [byte_level.encode(TYPES, "Bob left Oslo .")], step)
    assert [e.score for e in prediction.entities] == pytest.approx([0.9, 0.5], abs=1e-6)


def test_an_uncased_tokenizer_finds_what_it_spells_otherwise(uncased):
    text = "ALICE-Mae met Élan ."
    prediction = read(uncased, text, " person: alice - mae | city: elan")
    assert [(e.text, e.label) for e in prediction.entities] == [("ALICE-Mae", "person"), ("Élan", "city")]


def test_whole_words_count_before_parts_of_words(uncased):
    prompt = uncased.encode(TYPES, "catalog cat concat cat")
    assert occurrences(prompt, "cat") == [(8, 11), (19, 22)]
    assert occurrences(prompt, "alog") == [(3, 7)]
    assert occurrences(prompt, "dog") == []
    assert occurrences(prompt, "") == []


def test_aligned_scores_are_the_exact_probabilities_of_spans(uncased):
    prompts = uncased.encode_batch([(TYPES, "alice smith met bob"), (["city"], "paris")])
    log_probs = torch.randn(2, 8, 5).log_softmax(-1)
    choice = torch.tensor([[2, 1, 0, 2, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0]])
    both = torch.tensor([1, 1])
    step = DenoisingStep(0, choice, torch.ones(2, 8), choice, None, log_probs, both, both)
    first, second = predict_aligned(uncased, prompts, step)
    alone = SpanProbabilities(log_probs[:1, :4])
    assert first.entities == [
        Entity(0, 11, "alice smith", "person", pytest.approx(alone(0, Span(0, 1, 0)))),
        Entity(16, 19, "bob", "person", pytest.approx(alone(0, Span(3, 3, 0)))),
    ]
    # One word: it is the marker, or one of the others that may stand first.
    weights = log_probs[1, 0].exp()
    expected = float(weights[2] / (1 - weights[1]))
    assert second.entities == [Entity(0, 5, "paris", "city", pytest.approx(expected, rel=1e-5))]
    assert math.isfinite(expected)


@pytest.mark.parametrize("name", ["uncased", "byte_level"])
def test_a_mention_takes_the_place_that_its_order_leaves(name, request):
    encoder = request.getfixturevalue(name)
    text = "Bob Oslo left Oslo , Oslo"
    # "Oslo" alone is the second one: the first belongs to the mention before it.
    prediction = read(encoder, text, " person: Bob Oslo | city: Oslo")
    assert places(prediction) == [(0, 8, "person"), (14, 18, "city")]
    # Written out of order, it takes what is free; nested, what is there.
    assert places(read(encoder, text, " city: Oslo | person: Bob")) == [(4, 8, "city"), (0, 3, "person")]
    nested = read(encoder, "Bob Oslo left", " person: Bob Oslo | city: Oslo")
    assert places(nested) == [(0, 8, "person"), (4, 8, "city")]


@pytest.mark.parametrize("name", ["uncased", "byte_level"])
def test_what_is_named_more_often_than_it_occurs_is_counted(name, request):
    encoder = request.getfixturevalue(name)
    prediction = read(encoder, "Bob met Bob", " person: Bob | person: Bob | person: Bob | city: Bob")
    assert places(prediction) == [(0, 3, "person"), (8, 11, "person"), (0, 3, "city")]
    assert [(label, span.lower()) for label, span in prediction.repetitions] == [("person", "bob")]
    assert prediction.hallucinations == []


def test_scores_are_calibrated_as_the_checkpoint_says(uncased):
    warm = PromptEncoder(
        uncased.tokenizer,
        replace(uncased.settings, aligned_score_temperature=2.0, completion_score_temperature=0.5),
    )
    plain, calibrated = (read(e, "bob left", " person: bob", sure=0.8).entities[0] for e in (uncased, warm))
    assert plain.score == pytest.approx(0.8)
    assert calibrated.score == pytest.approx(16 / 17)  # odds of 4, squared
    prompt = uncased.encode(["person"], "bob")
    log_probs = torch.tensor([[[0.1, 0.0, 0.9]]]).log()
    step = DenoisingStep(0, ONE[None], torch.ones(1, 1), torch.tensor([[2]]), None, log_probs, ONE, ONE)
    (plain,), (calibrated,) = (predict_aligned(e, [prompt], step)[0].entities for e in (uncased, warm))
    assert plain.score == pytest.approx(0.9)
    assert calibrated.score == pytest.approx(0.75)  # odds of 9, their root


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.05, 20), st.sampled_from(["aligned", "completion"]))
def test_calibration_keeps_the_order_and_the_range(low, high, temperature, canvas):
    settings = DiffusionSettings(1, 0, **{f"{canvas}_score_temperature": temperature})
    first, second = (settings.calibrated(canvas, score) for score in sorted((low, high)))
    assert 0 <= first <= second <= 1
    other = "completion" if canvas == "aligned" else "aligned"
    assert settings.calibrated(other, low) == low


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "1", True])
def test_a_temperature_of_scores_that_cannot_be_is_refused(value):
    with pytest.raises(ValueError, match="aligned_score_temperature must be a finite number above 0"):
        DiffusionSettings(1, 0, aligned_score_temperature=value)
