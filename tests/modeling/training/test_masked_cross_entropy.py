"""The output layer in chunks equals the plain one, and entropy is that of the slot's distribution."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from modeling.canvas.encoding import PromptEncoder
from modeling.custom_generate.heads import candidate_logits, source_candidates, tag_candidates
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.batch import TrainingBatch
from modeling.training.collator import EntityCollator
from modeling.training.masked_cross_entropy import SlotScores, score_slots
from modeling.training.queries import QuerySampler
from tests.modeling.tiny import INVENTORIES, tiny_bert, tiny_dream, tiny_pointer, toy_rows


@pytest.fixture(scope="module", params=["pointer", "bert", "dream"])
def model(request, tokenizer, tmp_path_factory) -> Any:
    if request.param == "pointer":
        return tiny_pointer(tmp_path_factory.mktemp("encoder"), tokenizer)
    return (tiny_bert if request.param == "bert" else tiny_dream)(tokenizer)


def training_batch(model: Any, tokenizer: Any) -> TrainingBatch:
    encoder = PromptEncoder(tokenizer, DiffusionSettings.of(model))
    tensors = EntityCollator(encoder, QuerySampler(INVENTORIES), canvas_length=40)(toy_rows(6, seed=2))
    if not hasattr(model, "source_logits"):
        del tensors["prompt_token_types"]
    return TrainingBatch.from_tensors(tensors)


def states_of(batch: TrainingBatch, kind: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return random states of the prompt and of a canvas, and masks on half of its slots."""
    target = batch.targets[kind]
    prompt_hidden = torch.randn(*batch.prompt.ids.shape, 32)
    states = torch.randn(*target.ids.shape, 32)
    return prompt_hidden, states, target.canvas.mask & (torch.rand(target.ids.shape) < 0.5)


def scores_by_hand(
    model: Any, batch: TrainingBatch, kind: int, prompt_hidden: torch.Tensor, states: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return log-probabilities of candidate tokens, and which of them is the target (-1: none)."""
    target, settings = batch.targets[kind], DiffusionSettings.of(model)
    if target.canvas.kind == "aligned":
        candidates = tag_candidates(settings, batch.type_counts)
    else:
        candidates = source_candidates(model, target.canvas, batch.prompt)
    logits = candidate_logits(model, target.canvas, batch.prompt, prompt_hidden, states, candidates)
    log_probs = logits.log_softmax(-1)
    if candidates is None:
        return log_probs, target.ids, torch.arange(logits.shape[-1]).expand(len(target.ids), -1)
    hit = candidates[:, None, :] == target.ids[:, :, None]
    return log_probs, torch.where(hit.any(-1), hit.long().argmax(-1), -1), candidates


@torch.no_grad()
@pytest.mark.parametrize("kind", [0, 1])
def test_scores_are_their_definition(model, tokenizer, kind):
    batch = training_batch(model, tokenizer)
    prompt_hidden, states, masked = states_of(batch, kind)
    settings, target = DiffusionSettings.of(model), batch.targets[kind]
    log_probs, index, _ = scores_by_hand(model, batch, kind, prompt_hidden, states)
    # Half of the targets become what the network likes best, so that there is something right.
    best = log_probs.argmax(-1)
    candidates = scores_by_hand(model, batch, kind, prompt_hidden, states)[2]
    target.ids[:, ::2] = candidates.gather(1, best)[:, ::2]
    log_probs, index, _ = scores_by_hand(model, batch, kind, prompt_hidden, states)
    scores = score_slots(model, settings, batch, target, prompt_hidden, states, masked, entropy=True)
    right = 0
    for row, slot in masked.nonzero().tolist():
        wanted, own = int(index[row, slot]), log_probs[row, slot]
        if wanted < 0:  # nothing holds it: a pointer network cannot write it
            assert float(scores.nll[row, slot]) == float(scores.entropy[row, slot]) == 0
            continue
        assert float(scores.nll[row, slot]) == pytest.approx(-float(own[wanted]), rel=1e-4, abs=1e-5)
        entropy = -float((own.exp() * own)[own > float("-inf")].sum()) if int(own.argmax()) == wanted else 0.0
        assert float(scores.entropy[row, slot]) == pytest.approx(entropy, rel=1e-4, abs=1e-5)
        right += entropy > 0
    assert right > 2
    assert not scores.nll[~masked].any()
    assert not scores.entropy[~masked].any()
    assert score_slots(model, settings, batch, target, prompt_hidden, states, masked).entropy is None


@pytest.mark.parametrize("make", [tiny_bert, tiny_dream])
@pytest.mark.parametrize("entropy", [False, True])
def test_chunks_equal_the_plain_output_layer(make, tokenizer, entropy):
    """Values and gradients, of states and of the output layer itself."""
    model = make(tokenizer)
    batch = training_batch(model, tokenizer)
    prompt_hidden, states, masked = states_of(batch, 0)
    vocabulary = model.get_output_embeddings().weight.shape[0]
    found = []
    for rows in (1, 4, 10_000):
        own, leaf = copy.deepcopy(model), states.clone().requires_grad_()
        scores = score_slots(
            own,
            DiffusionSettings.of(model),
            batch,
            batch.targets[0],
            prompt_hidden,
            leaf,
            masked,
            entropy,
            logits=rows * vocabulary,
        )
        assert isinstance(scores, SlotScores)
        total = scores.nll.sum() + (0 if scores.entropy is None else scores.entropy.sum())
        total.backward()
        found.append((scores.nll.detach(), leaf.grad, own.get_output_embeddings().weight.grad))
    head = model.cls if hasattr(model, "cls") else model.lm_head
    plain = F.cross_entropy(head(states[masked]).float(), batch.targets[0].ids[masked], reduction="none")
    torch.testing.assert_close(found[0][0][masked], plain)
    for one in found[1:]:
        for a, b in zip(one, found[0], strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_the_logits_that_live_at_once_are_bounded(tokenizer):
    """Chunks keep no logits for the backward pass, and the output layer runs on each masked slot once."""
    model = tiny_dream(tokenizer)
    batch = training_batch(model, tokenizer)
    prompt_hidden, states, masked = states_of(batch, 0)
    vocabulary = model.get_output_embeddings().weight.shape[0]
    kept: list[int] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.shape[1:] == (vocabulary,) and tensor.shape[0] != 32:  # not the output layer's matrix
            kept.append(len(tensor))
        return tensor

    def run(rows: int) -> int:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            score_slots(
                model,
                DiffusionSettings.of(model),
                batch,
                batch.targets[0],
                prompt_hidden,
                states.clone().requires_grad_(),
                masked,
                logits=rows * vocabulary,
            )
        return max(kept, default=0)

    assert int(masked.sum()) > 8
    assert run(10_000) == int(masked.sum())
    assert run(4) == 0  # computed again chunk by chunk
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(4)
    assert counter.get_total_flops() == 2 * int(masked.sum()) * 32 * vocabulary


def test_a_canvas_without_a_mask_keeps_the_graph_whole(model, tokenizer):
    """Under several processes every parameter must take part, or the others wait for its gradient."""
    batch = training_batch(model, tokenizer)
    for kind, target in enumerate(batch.targets):
        prompt_hidden, states, masked = states_of(batch, kind)
        states.requires_grad_()
        scores = score_slots(
            model,
            DiffusionSettings.of(model),
            batch,
            target,
            prompt_hidden,
            states,
            torch.zeros_like(masked),
            True,
        )
        (scores.nll.sum() + scores.entropy.sum()).backward()
        assert not states.grad.any()
    model.zero_grad()
