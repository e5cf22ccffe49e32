"""The diffusion objective against its definition, written out slot by slot."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

from modeling.collator import EntityCollator
from modeling.custom_generate.network import Canvas, Prompt, forward_joint
from modeling.custom_generate.settings import DiffusionSettings
from modeling.encoding import PromptEncoder
from modeling.loss import CanvasTargets, DiffusionLoss, TrainingBatch, corrupt
from modeling.queries import QuerySampler
from modeling.schedule import MIN_TIME
from tests.modeling.tiny import INVENTORIES, tiny_bert, tiny_dream, tiny_pointer, toy_rows

SEED = 11


@pytest.fixture(scope="module", params=["pointer", "bert", "dream"])
def model(request, tokenizer, tmp_path_factory) -> Any:
    """A network with both canvases."""
    if request.param == "pointer":
        return tiny_pointer(tmp_path_factory.mktemp("encoder"), tokenizer)
    return (
        tiny_bert(tokenizer)
        if request.param == "bert"
        else tiny_dream(tokenizer, prompt_attention="isolated")
    )


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    made = toy_rows(4, seed=3)
    made[1]["exhaustive"] = False  # some slots unscored, and no completion
    return made


def training_batch(model: Any, tokenizer: Any, rows: list[dict[str, Any]]) -> TrainingBatch:
    settings = DiffusionSettings.of(model)
    queries = QuerySampler(INVENTORIES)
    tensors = EntityCollator(PromptEncoder(tokenizer, settings), queries, canvas_length=40)(rows)
    if not hasattr(model, "source_logits"):
        del tensors["prompt_token_types"]
    return TrainingBatch.from_tensors(tensors)


def slot_probability(
    model: Any, batch: TrainingBatch, target: CanvasTargets, row: int, slot: int, hidden: tuple
) -> float:
    """Return the probability of one slot's clean symbol, from one row's hidden states."""
    settings = DiffusionSettings.of(model)
    prompt, kind, wanted = batch.prompt, target.canvas.kind, int(target.ids[row, slot])
    prompt_hidden, own = hidden
    state = own[slot]
    if settings.logits_shift and kind == "completion":
        last = int(prompt.mask[row].sum()) - 1  # padded on the right
        state = own[slot - 1] if slot else prompt_hidden[last]
    symbols = [settings.outside_token_id, settings.inside_token_id]
    if kind == "aligned":
        symbols += settings.marker_ids(int(batch.type_counts[row]))
    if not hasattr(model, "source_logits"):
        logits = model.cls(state) if hasattr(model, "cls") else model.lm_head(state)
        if kind == "aligned":
            return float(logits[symbols].softmax(-1)[symbols.index(wanted)])
        return float(logits.softmax(-1)[wanted])
    # The pointer network: probabilities of symbols and of places in the prompt, added up by token.
    head = model.aligned_head if kind == "aligned" else model.completion_head
    if kind == "aligned":
        places = [int(m) for m in prompt.markers[row] if m >= 0]
        meaning = symbols
    else:
        places = [i for i, allowed in enumerate(prompt.sources[row].tolist()) if allowed]
        meaning = [*model.config.completion_symbols, *(int(prompt.ids[row, i]) for i in places)]
    logits = head(state[None, None], prompt_hidden[places][None])[0, 0]
    probabilities = logits.softmax(-1).tolist()
    return sum(p for p, token in zip(probabilities, meaning, strict=True) if token == wanted)


def slow_loss(model: Any, batch: TrainingBatch, loss: DiffusionLoss) -> dict[str, float]:
    """Return each canvas's part of the loss, summed over slots, at the masks that torch's seed gives."""
    settings = DiffusionSettings.of(model)
    torch.manual_seed(SEED)
    times = [loss._times(target) for target in batch.targets]
    noised = [
        corrupt(target.ids, target.canvas.mask, t, settings.mask_token_id)
        for target, t in zip(batch.targets, times, strict=True)
    ]
    totals = {}
    for target, t, (ids, masked) in zip(batch.targets, times, noised, strict=True):
        total = 0.0
        # The prompt goes in as it is, each canvas by itself.
        prompt_hidden, (hidden,) = forward_joint(model, batch.prompt, [target.canvas], [ids], "isolated")
        for row, slot in itertools.product(*map(range, ids.shape)):
            counted = target.canvas.mask[row, slot] if target.scored is None else target.scored[row, slot]
            if not (masked[row, slot] and counted):
                continue
            p = slot_probability(model, batch, target, row, slot, (prompt_hidden[row], hidden[row]))
            if target.canvas.kind == "aligned":
                weight = loss.aligned_weight
            else:
                weight = min(1 / float(t[row]), loss.max_weight)
                if int(target.ids[row, slot]) == settings.pad_token_id:
                    weight *= loss.pad_weight
            total -= weight * math.log(p)
        totals[target.canvas.kind] = total
    return totals


@torch.no_grad()
@pytest.mark.parametrize(
    "loss",
    [
        DiffusionLoss(),
        DiffusionLoss(pad_weight=1.0, max_weight=1.5, aligned_full_mask_rate=0.0, aligned_weight=0.3),
        DiffusionLoss(pad_weight=0.0, aligned_full_mask_rate=1.0, aligned_weight=2.0),
    ],
)
def test_the_loss_is_its_definition(model, tokenizer, rows, loss):
    batch = training_batch(model, tokenizer, rows)
    expected = slow_loss(model, batch, loss)
    assert all(part > 0 for part in expected.values())
    torch.manual_seed(SEED)
    output = loss(model, DiffusionSettings.of(model), batch)
    assert float(output.loss) == pytest.approx(sum(expected.values()), rel=1e-4)
    for target in batch.targets:
        kind = target.canvas.kind
        logged = float(output.parts[f"{kind}_loss"]) * int(target.canvas.mask.sum())
        assert logged == pytest.approx(expected[kind], rel=1e-4)


def test_gradients_are_finite_and_reach_every_part_that_is_trained(model, tokenizer, rows):
    model.zero_grad()
    output = DiffusionLoss()(model, DiffusionSettings.of(model), training_batch(model, tokenizer, rows))
    output.loss.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is None or bool(torch.isfinite(weight.grad).all()), name
    trained = {
        name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()
    }
    # All but the biases of keys, which a softmax cannot feel.
    idle = {name for name, _ in model.named_parameters()} - trained
    assert all("key.bias" in name or "k_proj.bias" in name for name in idle), idle
    model.zero_grad()


@torch.no_grad()
def test_slots_that_are_not_scored_and_padding_do_not_count(model, tokenizer, rows):
    batch = training_batch(model, tokenizer, rows)
    settings = DiffusionSettings.of(model)
    loss = DiffusionLoss(aligned_full_mask_rate=1.0)
    torch.manual_seed(SEED)
    before = loss(model, settings, batch)
    for target in batch.targets:
        counted = target.canvas.mask if target.scored is None else target.scored
        assert not counted.all()
        # Any other clean symbol where nothing counts; the slot itself is masked whole on the aligned canvas.
        if target.canvas.kind == "aligned":
            target.ids[~counted] = settings.inside_token_id
    torch.manual_seed(SEED)
    after = loss(model, settings, batch)
    assert float(after.loss) == pytest.approx(float(before.loss), rel=1e-5)


@torch.no_grad()
def test_a_copied_token_that_nothing_holds_is_left_out(tokenizer, tmp_path):
    pointer = tiny_pointer(tmp_path, tokenizer)
    settings = DiffusionSettings.of(pointer)
    ids = torch.tensor([[70, 71, 72, 73]])
    prompt = Prompt(ids, torch.ones_like(ids), torch.arange(4)[None], torch.zeros_like(ids))
    canvas = Canvas("completion", torch.tensor([[4, 5]]), torch.ones(1, 2, dtype=torch.bool))

    def losses(answer: list[int]) -> list[float]:
        batch, found = TrainingBatch(prompt, [CanvasTargets(canvas, torch.tensor([answer]))]), []
        for seed in range(20):
            torch.manual_seed(seed)
            found.append(float(DiffusionLoss()(pointer, settings, batch).loss))
        return found

    # The tokens 90 and 91 stand nowhere in the prompt: no network can write them, so none is asked to.
    assert losses([90, 91]) == [0.0] * 20
    assert all(math.isfinite(value) for value in losses([72, 90]))
    assert max(losses([72, 90])) > 0


def test_masks_keep_to_their_slots_and_their_rate():
    ids = torch.arange(4000).view(4, 1000)
    valid = torch.ones_like(ids, dtype=torch.bool)
    valid[:, 900:] = False
    probability = torch.tensor([0.0, 0.25, 0.75, 1.0])
    noised, masked = corrupt(ids, valid, probability, -7)
    assert not (masked & ~valid).any()
    assert torch.equal(noised == -7, masked)
    assert torch.equal(noised[~masked], ids[~masked])
    share = masked[:, :900].float().mean(1)
    assert share[0] == 0
    assert share[3] == 1
    # Four standard errors of a share of 900 draws.
    assert share[1:3].tolist() == pytest.approx([0.25, 0.75], abs=4 * (0.1875 / 900) ** 0.5)


@torch.no_grad()
@pytest.mark.parametrize("max_weight", [1000.0, 4.0])
def test_the_expectation_is_the_bound(tokenizer, max_weight):
    """Three tokens have eight masks: the expected loss can be written out."""
    model = tiny_dream(tokenizer)
    settings = DiffusionSettings.of(model)
    loss = DiffusionLoss(pad_weight=0.05, max_weight=max_weight)
    prompt_ids, answer = torch.tensor([[70, 81, 92]]), torch.tensor([[75, 83, 0]])

    def batch_of(count: int) -> TrainingBatch:
        ids = prompt_ids.repeat(count, 1)
        prompt = Prompt(ids, torch.ones_like(ids), torch.arange(3).repeat(count, 1))
        positions = torch.arange(3, 6).repeat(count, 1)
        canvas = Canvas("completion", positions, torch.ones_like(positions, dtype=torch.bool))
        return TrainingBatch(prompt, [CanvasTargets(canvas, answer.repeat(count, 1))])

    # E over t in [1e-3, 1] of weight(t) * P(mask | t) * sum of the masked slots' weighted nll.
    t = MIN_TIME + (1 - MIN_TIME) * (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    expected = 0.0
    for mask in itertools.product([False, True], repeat=3):
        hidden_slots = [i for i, m in enumerate(mask) if m]
        if not hidden_slots:
            continue
        canvas = [settings.mask_token_id if m else int(a) for m, a in zip(mask, answer[0], strict=True)]
        logits = model(input_ids=torch.tensor([[*prompt_ids[0].tolist(), *canvas]])).logits[0]
        nll = -logits[2:5].log_softmax(-1).gather(1, answer.T)[:, 0]  # shifted by one
        cost = sum(float(nll[i]) * (0.05 if int(answer[0, i]) == 0 else 1.0) for i in hidden_slots)
        chance = t ** len(hidden_slots) * (1 - t) ** (3 - len(hidden_slots))
        expected += cost * float(((1 / t).clamp(max=max_weight) * chance).mean())

    draws = torch.stack([loss(model, settings, batch_of(256)).loss / 256 for _ in range(60)])
    error = float(draws.std() / len(draws) ** 0.5)
    assert error < 0.05 * expected
    assert float(draws.mean()) == pytest.approx(expected, abs=3 * error)


def test_an_aligned_canvas_needs_the_number_of_types(model, tokenizer, rows):
    batch = training_batch(model, tokenizer, rows)
    with pytest.raises(ValueError, match="an aligned canvas needs type_counts"):
        DiffusionLoss()(model, DiffusionSettings.of(model), TrainingBatch(batch.prompt, batch.targets))
