"""Canvases in training are those of inference: packed behind one prompt, or each a row of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from modeling.canvas.encoding import PromptEncoder
from modeling.custom_generate.heads import candidate_logits, source_candidates, tag_candidates
from modeling.custom_generate.network import Canvas, Denoiser, forward_joint, shift
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.batch import TrainingBatch, forward_canvases
from modeling.training.collator import EntityCollator
from modeling.training.masking import noised_canvases
from modeling.training.queries import QuerySampler
from tests.modeling.tiny import INVENTORIES, tiny_bert, tiny_dream, tiny_pointer, toy_rows

CLOSE = {"atol": 1e-4, "rtol": 0}


def make(name: str, attention: str, tokenizer: Any, folder: Any) -> Any:
    if name == "pointer":
        return tiny_pointer(folder, tokenizer)
    return (tiny_bert if name == "bert" else tiny_dream)(tokenizer, prompt_attention=attention)


def noised_batch(model: Any, tokenizer: Any) -> tuple[TrainingBatch, list[tuple[Canvas, torch.Tensor]]]:
    """Return rows of unequal length, and both canvases of each under a complementary pair of masks."""
    settings = DiffusionSettings.of(model)
    collator = EntityCollator(PromptEncoder(tokenizer, settings), QuerySampler(INVENTORIES), canvas_length=40)
    tensors = collator(toy_rows(4, seed=5))
    if not hasattr(model, "source_logits"):
        del tensors["prompt_token_types"]
    batch = TrainingBatch.from_tensors(tensors)
    rate = torch.full((4,), 0.4)
    return batch, [
        (target.canvas, noised.ids)
        for target in batch.targets
        for noised in noised_canvases(
            target.ids,
            target.canvas.mask,
            torch.rand(target.ids.shape),
            rate,
            settings.mask_token_id,
            "complementary",
        )
    ]


@torch.no_grad()
@pytest.mark.parametrize("name", ["pointer", "bert", "dream"])
def test_isolated_training_logits_are_the_cached_ones_of_inference(name, tokenizer, tmp_path):
    """Two canvases, each under two masks, in one sequence: against one canvas behind a cached prompt."""
    model = make(name, "isolated", tokenizer, tmp_path)
    settings = DiffusionSettings.of(model)
    batch, noised = noised_batch(model, tokenizer)
    prompt = batch.prompt
    canvases, ids = [canvas for canvas, _ in noised], [symbols for _, symbols in noised]
    packed = forward_canvases(model, prompt, canvases, ids, "isolated")
    assert [canvas.kind for canvas in canvases] == ["completion"] * 2 + ["aligned"] * 2
    for canvas, symbols, (prompt_hidden, hidden) in zip(canvases, ids, packed, strict=True):
        if canvas.kind == "aligned":
            candidates = tag_candidates(settings, batch.type_counts)
        else:
            candidates = source_candidates(model, canvas, prompt)
        states = shift(settings, canvas, prompt, prompt_hidden, hidden)
        found = candidate_logits(model, canvas, prompt, prompt_hidden, states, candidates)
        denoiser = Denoiser(model, settings, prompt, canvas, use_cache=True)
        states = denoiser.hidden(symbols)
        wanted = candidate_logits(model, canvas, prompt, denoiser.prompt_hidden, states, candidates)
        assert wanted[canvas.mask].isfinite().any(-1).all()
        torch.testing.assert_close(found[canvas.mask], wanted[canvas.mask], **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize(("name", "attention"), [("dream", "full"), ("bert", "full"), ("dream", "isolated")])
def test_several_canvases_are_those_run_alone(name, attention, tokenizer, tmp_path):
    model = make(name, attention, tokenizer, tmp_path)
    batch, noised = noised_batch(model, tokenizer)
    prompt, real = batch.prompt, batch.prompt.mask.bool()
    packed = forward_canvases(
        model, prompt, [canvas for canvas, _ in noised], [ids for _, ids in noised], attention
    )
    assert len(packed) == len(noised) == 4
    for (canvas, ids), (prompt_hidden, hidden) in zip(noised, packed, strict=True):
        alone, (own,) = forward_joint(model, prompt, [canvas], [ids], attention)
        torch.testing.assert_close(hidden[canvas.mask], own[canvas.mask], **CLOSE)
        torch.testing.assert_close(prompt_hidden[real], alone[real], **CLOSE)
    # A prompt that sees its canvas is another one for each; an isolated one is the same for all.
    prompts = [prompt_hidden[real] for prompt_hidden, _ in packed]
    assert all(torch.equal(prompts[0], other) is (attention == "isolated") for other in prompts[1:])


def test_canvases_of_one_kind_share_a_forward(tokenizer, tmp_path):
    for attention, expected in (("full", 2), ("isolated", 1)):
        model = make("dream", attention, tokenizer, tmp_path)
        batch, noised = noised_batch(model, tokenizer)
        calls: list[int] = []
        handle = model.model.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        forward_canvases(
            model, batch.prompt, [canvas for canvas, _ in noised], [ids for _, ids in noised], attention
        )
        handle.remove()
        assert len(calls) == expected


def test_without_padding_a_full_prompt_needs_no_mask(tokenizer, tmp_path):
    """So that attention may run in the kernels that take none; with padding a two-dimensional one."""
    model = make("dream", "full", tokenizer, tmp_path)
    batch, noised = noised_batch(model, tokenizer)
    canvas, ids = noised[0]
    given: list[Any] = []
    handle = model.model.register_forward_pre_hook(
        lambda _module, _args, kwargs: given.append(kwargs["attention_mask"]), with_kwargs=True
    )
    forward_canvases(model, batch.prompt, [canvas], [ids], "full")
    # One row whose prompt and canvas fill a multiple of eight together.
    row = torch.tensor([0])
    prompt, own = batch.prompt.select(row), canvas.select(row)
    length = int(prompt.mask.sum() + own.mask.sum()) // 8 * 8 - int(prompt.mask.sum())
    own.mask[:, length:] = False
    forward_canvases(model, prompt, [own], [ids[:1]], "full")
    handle.remove()
    assert given[0].dim() == 2
    assert given[1] is None


def test_an_isolated_prompt_needs_a_kernel_that_takes_a_mask(tokenizer, tmp_path):
    model = make("dream", "isolated", tokenizer, tmp_path)
    batch, noised = noised_batch(model, tokenizer)
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ValueError, match=r"'flash_attention_2' does not take.*attn_implementation='sdpa'"):
        forward_canvases(model, batch.prompt, [noised[0][0]], [noised[0][1]], "isolated")
