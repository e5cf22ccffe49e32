"""From a finished canvas to entities with offsets."""

from __future__ import annotations

import math

import pytest
import torch

from modeling.custom_generate.loop import DenoisingStep
from modeling.custom_generate.tagging import Span, SpanProbabilities
from modeling.encoding import PromptEncoder
from modeling.planning import Entity
from modeling.pointer_init import pointer_settings
from modeling.reading import Reading, occurrences, read_aligned, read_free
from tests.modeling.tiny import DREAM_SETTINGS, TYPES


@pytest.fixture(scope="module")
def uncased(tokenizer) -> PromptEncoder:
    return PromptEncoder(tokenizer, pointer_settings(tokenizer))


@pytest.fixture(scope="module")
def byte_level(dream_tokenizer) -> PromptEncoder:
    return PromptEncoder(dream_tokenizer, DREAM_SETTINGS)


def read(encoder: PromptEncoder, text: str, completion: str, sure: float = 0.5) -> Reading:
    """Read a completion that the network is this sure of, token by token."""
    ids = encoder.token_ids([completion])[0]
    canvas = torch.tensor([[*ids, *[encoder.settings.pad_token_id] * 4]])
    step = DenoisingStep(0, canvas, torch.full(canvas.shape, sure), canvas, None, None, 1)
    (reading,) = read_free(encoder, [encoder.encode(TYPES, text)], step)
    return reading


def places(reading: Reading) -> list[tuple[int, int, str]]:
    return [(e.start, e.end, e.label) for e in reading.entities]


@pytest.mark.parametrize("name", ["uncased", "byte_level"])
def test_mentions_are_placed_in_order_of_their_occurrences(name, request):
    encoder = request.getfixturevalue(name)
    text = "Bob met Ann , then Bob left Oslo ."
    reading = read(encoder, text, " person: Bob | person: Ann | person: Bob | city: Oslo")
    assert places(reading) == [(0, 3, "person"), (8, 11, "person"), (19, 22, "person"), (28, 32, "city")]
    assert all(text[e.start : e.end] == e.text for e in reading.entities)
    assert (reading.segments, reading.violations, reading.hallucinations) == (4, [], [])


@pytest.mark.parametrize("name", ["uncased", "byte_level"])
def test_what_is_not_in_the_text_or_cannot_be_read_is_counted(name, request):
    encoder = request.getfixturevalue(name)
    reading = read(encoder, "Bob left Oslo .", " nonsense | person: Ann | city: Oslo | animal:")
    assert places(reading) == [(9, 13, "city")]
    assert [(label, span.lower()) for label, span in reading.hallucinations] == [("person", "ann")]
    assert [reason for reason, _ in reading.violations] == ["no type", "empty span"]
    assert reading.segments == 4


@pytest.mark.parametrize("name", ["uncased", "byte_level"])
@pytest.mark.parametrize("completion", [" none", ""])
def test_nothing_is_found_in_nothing(name, completion, request):
    reading = read(request.getfixturevalue(name), "Bob left .", completion)
    assert reading.entities == reading.violations == reading.hallucinations == []


def test_a_score_is_the_geometric_mean_of_its_own_tokens(byte_level):
    completion = " person: Bob | city: Oslo"
    ids = byte_level.token_ids([completion])[0]
    pieces = byte_level.decode_pieces(ids)
    sure = [0.9 if i < pieces.index(" |") else 0.5 for i in range(len(ids))]
    canvas = torch.tensor([ids])
    step = DenoisingStep(0, canvas, torch.tensor([sure]), canvas, None, None, 1)
    (reading,) = read_free(byte_level, [byte_level.encode(TYPES, "Bob left Oslo .")], step)
    assert [e.score for e in reading.entities] == pytest.approx([0.9, 0.5], abs=1e-6)


def test_an_uncased_tokenizer_finds_what_it_spells_otherwise(uncased):
    text = "ALICE-Mae met Élan ."
    reading = read(uncased, text, " person: alice - mae | city: elan")
    assert [(e.text, e.label) for e in reading.entities] == [("ALICE-Mae", "person"), ("Élan", "city")]


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
    step = DenoisingStep(0, choice, torch.ones(2, 8), choice, None, log_probs, 1)
    first, second = read_aligned(prompts, step)
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
