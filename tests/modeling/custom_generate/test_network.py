"""Prompt and canvas in one network: the cache is exact, padding and other canvases change nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from modeling.canvas.encoding import EncodedPrompt, PromptEncoder
from modeling.custom_generate.network import (
    Canvas,
    Denoiser,
    Prompt,
    encoder_of,
    forward_joint,
    position_ids,
    shift,
    visibility,
)
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.collator import aligned_tensors, prompt_tensors
from tests.modeling.tiny import TYPES, tiny_bert, tiny_dream, tiny_pointer

TEXTS = ["alice met bob in paris .", "it rained", "the tiger saw the eagle and the horse left madrid ."]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
KINDS = ["completion", "aligned"]


@dataclass
class Case:
    """A network and three encoded prompts of unequal length."""

    model: Any
    settings: DiffusionSettings
    prompts: list[EncodedPrompt]

    def prompt(self, rows: list[EncodedPrompt], left: bool = False) -> Prompt:
        """Return prompts padded to the longest."""
        t = prompt_tensors(rows, self.settings.pad_token_id, left=left)
        types = t["prompt_token_types"] if hasattr(self.model, "source_logits") else None
        return Prompt(t["prompt_ids"], t["prompt_mask"], t["prompt_positions"], types)

    def canvas(self, kind: str, rows: list[EncodedPrompt]) -> tuple[Canvas, torch.Tensor]:
        """Return a canvas for each prompt, half of it masked."""
        if kind == "aligned":
            t = aligned_tensors(rows)
            canvas = Canvas(kind, t["aligned_positions"], t["aligned_mask"], t["aligned_word_ids"])
        else:
            width = 6
            start = torch.tensor([[len(p)] for p in rows])
            lengths = torch.tensor([[3 + len(p.words) % 4] for p in rows])
            canvas = Canvas(kind, start + torch.arange(width), torch.arange(width) < lengths)
        ids = self.settings.outside_token_id + torch.arange(canvas.mask.shape[1]) % 2
        ids = ids.expand(canvas.mask.shape).clone()
        ids[:, 1::2] = self.settings.mask_token_id
        return canvas, ids

    def run(self, kind: str, rows: list[EncodedPrompt], left: bool = False, use_cache: bool = False) -> tuple:
        """Return the denoiser, its canvas and the canvas's hidden states."""
        canvas, ids = self.canvas(kind, rows)
        denoiser = Denoiser(self.model, self.settings, self.prompt(rows, left), canvas, use_cache)
        return denoiser, canvas, denoiser.hidden(ids)


@pytest.fixture(scope="module", params=["pointer", "bert", "dream"])
def isolated(request, tokenizer, tmp_path_factory) -> Case:
    """A network whose prompt does not see the canvas."""
    if request.param == "pointer":
        model = tiny_pointer(tmp_path_factory.mktemp("encoder"), tokenizer)
    elif request.param == "bert":
        model = tiny_bert(tokenizer)
    else:
        model = tiny_dream(tokenizer, prompt_attention="isolated")
    return case(model, tokenizer)


@pytest.fixture(scope="module", params=["bert", "dream"])
def full(request, tokenizer) -> Case:
    """A network whose prompt sees the canvas."""
    make = tiny_bert if request.param == "bert" else tiny_dream
    return case(make(tokenizer, prompt_attention="full"), tokenizer)


def case(model: Any, tokenizer: Any) -> Case:
    settings = DiffusionSettings.of(model)
    encoder = PromptEncoder(tokenizer, settings)
    return Case(model, settings, encoder.encode_batch([(TYPES, text) for text in TEXTS]))


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [False, True])
def test_the_prompt_cache_is_exact(isolated, kind, left):
    cached, canvas, first = isolated.run(kind, isolated.prompts, left, use_cache=True)
    plain, _, expected = isolated.run(kind, isolated.prompts, left, use_cache=False)
    assert cached.cache is not None
    assert plain.cache is None
    torch.testing.assert_close(first[canvas.mask], expected[canvas.mask], **CLOSE)
    real = cached.prompt.mask.bool()
    torch.testing.assert_close(cached.prompt_hidden[real], plain.prompt_hidden[real], **CLOSE)
    # A second step starts from the prompt's cache alone, not from what the first one left.
    _, ids = isolated.canvas(kind, isolated.prompts)
    torch.testing.assert_close(cached.hidden(ids)[canvas.mask], expected[canvas.mask], **CLOSE)
    other = torch.full_like(ids, isolated.settings.mask_token_id)
    torch.testing.assert_close(cached.hidden(other)[canvas.mask], plain.hidden(other)[canvas.mask], **CLOSE)


@torch.no_grad()
def test_canvases_that_share_a_prompt_are_those_run_alone(isolated):
    prompt = isolated.prompt(isolated.prompts)
    canvases, ids = zip(*(isolated.canvas(kind, isolated.prompts) for kind in KINDS), strict=True)
    together = forward_joint(isolated.model, prompt, list(canvases), list(ids), "isolated")
    real = prompt.mask.bool()
    for canvas, own, hidden in zip(canvases, ids, together[1], strict=True):
        alone = forward_joint(isolated.model, prompt, [canvas], [own], "isolated")
        torch.testing.assert_close(hidden[canvas.mask], alone[1][0][canvas.mask], **CLOSE)
        torch.testing.assert_close(together[0][real], alone[0][real], **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("use_cache", [False, True])
def test_a_padded_batch_is_its_rows(isolated, kind, left, use_cache):
    check_rows(isolated, kind, left, use_cache)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left", [False, True])
def test_a_padded_batch_is_its_rows_with_full_attention(full, kind, left):
    check_rows(full, kind, left, use_cache=True)


def check_rows(case: Case, kind: str, left: bool, use_cache: bool) -> None:
    _, canvas, together = case.run(kind, case.prompts, left, use_cache)
    for row, prompt in enumerate(case.prompts):
        _, own, alone = case.run(kind, [prompt], left, use_cache)
        torch.testing.assert_close(together[row][canvas.mask[row]], alone[0][own.mask[0]], **CLOSE)


@torch.no_grad()
def test_an_isolated_prompt_never_sees_the_canvas_and_a_full_one_does(isolated, full):
    for case, blind in ((isolated, True), (full, False)):
        prompt = case.prompt(case.prompts)
        canvas, ids = case.canvas("completion", case.prompts)
        before, _ = forward_joint(case.model, prompt, [canvas], [ids], case.settings.prompt_attention)
        after, _ = forward_joint(case.model, prompt, [canvas], [ids + 1], case.settings.prompt_attention)
        assert torch.equal(before, after) is blind


@torch.no_grad()
def test_the_canvas_sees_the_prompt_and_all_of_itself(isolated):
    prompt = isolated.prompt(isolated.prompts[:1])
    canvas, ids = isolated.canvas("completion", isolated.prompts[:1])
    _, (before,) = forward_joint(isolated.model, prompt, [canvas], [ids], "isolated")
    prompt.ids[0, 1] += 1
    _, (after,) = forward_joint(isolated.model, prompt, [canvas], [ids], "isolated")
    assert (before != after).any(-1)[canvas.mask].all()
    prompt.ids[0, 1] -= 1
    last = int(canvas.mask[0].sum()) - 1
    ids[0, last] += 1
    _, (after,) = forward_joint(isolated.model, prompt, [canvas], [ids], "isolated")
    assert (before[0, 0] != after[0, 0]).any()


def test_who_sees_whom():
    # The prompt is 0, the canvases are 1 and 2, padding is -1.
    block = torch.tensor([[-1, 0, 0, 1, 2, 2, -1]])
    assert visibility(block, "isolated")[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 0, 0],
        [0, 1, 1, 0, 1, 1, 0],
        [0, 1, 1, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
    ]
    assert visibility(block[:, :4], "full")[0, 0].int().tolist() == [
        [1, 0, 0, 0],
        [0, 1, 1, 1],
        [0, 1, 1, 1],
        [0, 1, 1, 1],
    ]


def test_canvases_cannot_share_a_prompt_that_sees_them(full):
    canvas, ids = full.canvas("completion", full.prompts)
    with pytest.raises(ValueError, match="only when prompt_attention is 'isolated'"):
        forward_joint(full.model, full.prompt(full.prompts), [canvas, canvas], [ids, ids], "full")


def test_positions_count_from_the_first_token_on_either_side():
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 0, 0]])
    positions = position_ids(mask)
    assert positions[0, 2:].tolist() == positions[1, :3].tolist() == [0, 1, 2]


@pytest.mark.parametrize("left", [False, True])
def test_the_shift_reads_the_first_slot_from_the_last_prompt_token(left, tokenizer):
    settings = DiffusionSettings(mask_token_id=1, pad_token_id=0, logits_shift=1)
    mask = torch.tensor([[1, 1, 1], [0, 1, 1] if left else [1, 1, 0]])
    prompt = Prompt(torch.zeros(2, 3, dtype=torch.long), mask, position_ids(mask))
    prompt_hidden = torch.arange(6.0).view(2, 3, 1)
    hidden = torch.tensor([[10.0, 11.0], [20.0, 21.0]])[..., None]
    last = 5.0 if left else 4.0
    canvas = Canvas("completion", torch.zeros(2, 2), torch.ones(2, 2, dtype=torch.bool))
    assert shift(settings, canvas, prompt, prompt_hidden, hidden)[..., 0].tolist() == [
        [2.0, 10.0],
        [last, 20.0],
    ]
    # Aligned slots are no continuation, and a masked LM predicts each slot from its own state.
    aligned = Canvas("aligned", canvas.positions, canvas.mask)
    assert shift(settings, aligned, prompt, prompt_hidden, hidden) is hidden
    unshifted = DiffusionSettings(mask_token_id=1, pad_token_id=0, logits_shift=0)
    assert shift(unshifted, canvas, prompt, prompt_hidden, hidden) is hidden


@torch.no_grad()
def test_an_adapter_reaches_the_network_below(tokenizer):
    from peft import LoraConfig, get_peft_model

    model = tiny_dream(tokenizer)
    wrapped = get_peft_model(
        tiny_dream(tokenizer), LoraConfig(target_modules=["q_proj"], init_lora_weights=False)
    )
    ids = torch.tensor([[70, 80, 90]])
    before = encoder_of(model)(input_ids=ids).last_hidden_state
    after = encoder_of(wrapped)(input_ids=ids).last_hidden_state
    assert not torch.allclose(before, after)
    with wrapped.disable_adapter():
        torch.testing.assert_close(encoder_of(wrapped)(input_ids=ids).last_hidden_state, before)
