"""The output layer over the symbols that a canvas can hold, against the layer written out in full."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from modeling.backbones.pointer_bert import PointerBert
from modeling.canvas.encoding import PromptEncoder
from modeling.custom_generate.heads import candidate_logits, source_candidates, tag_candidates
from modeling.custom_generate.network import Canvas, Prompt
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.collator import prompt_tensors
from tests.modeling.tiny import TYPES, tiny_bert, tiny_dream, tiny_pointer

TEXTS = ["alice met bob and bob met alice", "paris"]
COMPLETION = Canvas("completion", torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool))


@pytest.fixture(scope="module")
def pointer(tokenizer, tmp_path_factory) -> PointerBert:
    return tiny_pointer(tmp_path_factory.mktemp("encoder"), tokenizer)


def prompt_of(tokenizer: Any, model: Any) -> Prompt:
    encoder = PromptEncoder(tokenizer, DiffusionSettings.of(model))
    t = prompt_tensors(encoder.encode_batch([(TYPES, TEXTS[0]), (["city"], TEXTS[1])]), 0, left=True)
    return Prompt(
        t["prompt_ids"],
        t["prompt_mask"],
        t["prompt_positions"],
        t["prompt_token_types"],
        t["prompt_sources"],
        t["prompt_markers"],
    )


@torch.no_grad()
@pytest.mark.parametrize("kind", ["bert", "dream", "lora"])
def test_candidates_of_a_vocabulary_are_rows_of_its_matrix(kind, tokenizer):
    model: Any = tiny_bert(tokenizer) if kind == "bert" else tiny_dream(tokenizer)
    layer = model.cls if kind == "bert" else model.lm_head
    if kind == "bert":
        model.cls.predictions.bias.copy_(torch.randn(len(tokenizer)))
    if kind == "lora":
        model = get_peft_model(model, LoraConfig(target_modules=["q_proj"]))
    prompt, hidden = prompt_of(tokenizer, tiny_bert(tokenizer)), torch.randn(2, 3, 32)
    whole = layer(hidden)
    logits = candidate_logits(model, COMPLETION, prompt, torch.zeros(2, 1, 32), hidden, None)
    torch.testing.assert_close(logits, whole)
    candidates = torch.tensor([[3, 90, 7], [150, 2, -1]])
    logits = candidate_logits(model, COMPLETION, prompt, torch.zeros(2, 1, 32), hidden, candidates)
    torch.testing.assert_close(logits[0], whole[0][:, [3, 90, 7]])
    torch.testing.assert_close(logits[1, :, :2], whole[1][:, [150, 2]])
    assert (logits[1, :, 2] == float("-inf")).all()


@torch.no_grad()
def test_a_copied_token_has_the_probability_of_all_its_places(pointer, tokenizer):
    prompt = prompt_of(tokenizer, pointer)
    prompt_hidden, hidden = torch.randn(*prompt.ids.shape, 32), torch.randn(2, 3, 32)
    candidates = source_candidates(pointer, COMPLETION, prompt)
    logits = candidate_logits(pointer, COMPLETION, prompt, prompt_hidden, hidden, candidates)
    for row in range(2):
        places = prompt.sources[row].nonzero()[:, 0].tolist()
        tokens = [*pointer.config.completion_symbols, *prompt.ids[row, places].tolist()]
        own = [c for c in candidates[row].tolist() if c >= 0]
        assert own == sorted(set(tokens))
        scores = pointer.completion_head(hidden[row : row + 1], prompt_hidden[row, places][None])[0]
        for slot, shares in enumerate(scores.softmax(-1).tolist()):
            expected: dict[int, float] = defaultdict(float)
            for token, share in zip(tokens, shares, strict=True):
                expected[token] += share
            probabilities = logits[row, slot].softmax(-1)[: len(own)].tolist()
            assert probabilities == pytest.approx([expected[token] for token in own], abs=1e-6)
    assert (logits[candidates[:, None].expand_as(logits) < 0] == float("-inf")).all()


@torch.no_grad()
def test_a_tag_points_to_the_marker_of_its_type(pointer, tokenizer):
    prompt = prompt_of(tokenizer, pointer)
    aligned = Canvas("aligned", COMPLETION.positions, COMPLETION.mask)
    prompt_hidden, hidden = torch.randn(*prompt.ids.shape, 32), torch.randn(2, 3, 32)
    logits = candidate_logits(pointer, aligned, prompt, prompt_hidden, hidden, None)
    assert logits.shape == (2, 3, 2 + 3)
    for row, count in enumerate((3, 1)):
        markers = prompt.markers[row, :count].tolist()
        expected = pointer.aligned_head(hidden[row : row + 1], prompt_hidden[row, markers][None])[0]
        torch.testing.assert_close(logits[row, :, : 2 + count], expected)
        assert (logits[row, :, 2 + count :] == float("-inf")).all()


def test_tags_are_o_i_and_a_marker_for_each_type(pointer):
    settings = DiffusionSettings.of(pointer)
    o, i, first = settings.outside_token_id, settings.inside_token_id, settings.first_marker_id
    assert tag_candidates(settings, torch.tensor([2, 1])).tolist() == [
        [o, i, first, first + 1],
        [o, i, first, -1],
    ]


def test_what_a_pointer_network_needs_is_named(pointer, tokenizer):
    prompt = prompt_of(tokenizer, pointer)
    hidden = torch.zeros(2, 3, 32)
    with pytest.raises(ValueError, match="a pointer network needs the candidates of its completion"):
        candidate_logits(pointer, COMPLETION, prompt, hidden, hidden, None)
    prompt.markers = None
    aligned = Canvas("aligned", COMPLETION.positions, COMPLETION.mask)
    with pytest.raises(ValueError, match="needs the positions of the type markers"):
        candidate_logits(pointer, aligned, prompt, hidden, hidden, None)
