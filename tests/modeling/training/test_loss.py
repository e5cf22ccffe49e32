"""The diffusion objective against its definition, written out slot by slot."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from modeling.canvas.encoding import PromptEncoder
from modeling.custom_generate.network import Canvas, Prompt, forward_joint
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.arguments import DiffusionArguments
from modeling.training.batch import CanvasTargets, TrainingBatch
from modeling.training.collator import EntityCollator
from modeling.training.loss import DiffusionLoss, LossOutput
from modeling.training.masking import MASKS, BatchPlace, Noise, noised_canvases
from modeling.training.queries import QuerySampler
from tests.modeling.tiny import INVENTORIES, tiny_bert, tiny_dream, tiny_pointer, toy_rows

PLACE = BatchPlace(seed=11)
TIMES = torch.tensor([0.1, 0.4, 0.6, 0.95])


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
    """Return each canvas's part of the loss at ``TIMES``, summed over slots, for the masks of ``PLACE``."""
    settings, totals = DiffusionSettings.of(model), {}
    for target in batch.targets:
        kind, totals[target.canvas.kind] = target.canvas.kind, 0.0
        uniforms = Noise("cpu", PLACE).slots(target.ids.shape, f"{kind} slots")
        mask_id, valid = settings.mask_token_id, target.canvas.mask
        for noised in noised_canvases(target.ids, valid, uniforms, TIMES, mask_id, loss.masks):
            # The prompt goes in as it is, each canvas by itself.
            prompt_hidden, (hidden,) = forward_joint(
                model, batch.prompt, [target.canvas], [noised.ids], "isolated"
            )
            for row, slot in noised.masked.nonzero().tolist():
                if target.scored is not None and not target.scored[row, slot]:
                    continue
                states = prompt_hidden[row], hidden[row]
                p = slot_probability(model, batch, target, row, slot, states)
                weight = float(noised.share[row])
                if kind == "aligned":
                    weight *= loss.aligned_weight
                else:
                    weight *= min(1 / float(noised.rate[row]), loss.max_weight)
                    if int(target.ids[row, slot]) == settings.pad_token_id:
                        weight *= loss.pad_weight
                totals[kind] -= weight * math.log(p)
    return totals


@torch.no_grad()
@pytest.mark.parametrize(
    "loss",
    [
        DiffusionLoss(),
        DiffusionLoss(pad_weight=1.0, max_weight=1.5, aligned_weight=0.3, masks="complementary"),
        DiffusionLoss(pad_weight=0.0, aligned_weight=2.0, max_weight=4.0),
    ],
    ids=lambda loss: f"{loss.masks}, at most {loss.max_weight}",
)
def test_the_loss_is_its_definition(model, tokenizer, rows, loss):
    batch = training_batch(model, tokenizer, rows)
    expected = slow_loss(model, batch, loss)
    assert all(part > 0 for part in expected.values())
    output = loss(model, DiffusionSettings.of(model), batch, PLACE, TIMES)
    assert float(output.loss) == pytest.approx(sum(expected.values()), rel=1e-4)
    for target in batch.targets:
        kind = target.canvas.kind
        logged = float(output.parts[f"{kind}_loss"]) * int(target.canvas.mask.sum())
        assert logged == pytest.approx(expected[kind], rel=1e-4)
        # The rows say the same.
        own = [entry for entry in output.rows if entry.kind == kind]
        assert len(own) == (1 if loss.masks == "single" else 2)
        assert float(sum(entry.loss.sum() for entry in own)) == pytest.approx(expected[kind], rel=1e-4)
        assert own[0].slots.tolist() == target.canvas.mask.sum(1).tolist()
        torch.testing.assert_close(own[0].rate, TIMES)


def drawn(output: LossOutput) -> dict[str, list[float]]:
    """Return the rates of each kind of canvas."""
    return {entry.kind: entry.rate.tolist() for entry in output.rows}


@torch.no_grad()
def test_rates_are_drawn_as_the_settings_say(model, tokenizer, rows):
    batch, settings = training_batch(model, tokenizer, rows * 16), DiffusionSettings.of(model)
    rates = drawn(DiffusionLoss(aligned_full_mask_rate=0.5)(model, settings, batch, PLACE))
    assert 16 < sum(rate == 1 for rate in rates["aligned"]) < 48  # four standard deviations of 64 draws
    assert sum(rate == 1 for rate in rates["completion"]) == 0
    every = DiffusionLoss(aligned_full_mask_rate=1.0)
    rates = drawn(every(model, settings, batch, PLACE))
    assert set(rates["aligned"]) == {1.0}
    # Evenly spaced: one time in each of 64 parts; drawn each by itself, some parts stay empty.
    for low_discrepancy in (True, False):
        loss = DiffusionLoss(aligned_full_mask_rate=0.0, low_discrepancy=low_discrepancy)
        for found in drawn(loss(model, settings, batch, PLACE)).values():
            gaps = torch.tensor(found).sort().values.diff()
            assert (float(gaps.max()) < 0.016) is low_discrepancy


@torch.no_grad()
def test_the_share_of_padding_is_logged(tokenizer, rows):
    model = tiny_dream(tokenizer)
    batch, settings = training_batch(model, tokenizer, rows), DiffusionSettings.of(model)
    batch = TrainingBatch(batch.prompt, [batch.targets[0]], batch.type_counts)
    losses = {
        weight: DiffusionLoss(pad_weight=weight)(model, settings, batch, PLACE, TIMES)
        for weight in (0, 0.5, 1)
    }
    without, half, whole = (float(losses[weight].loss) for weight in (0, 0.5, 1))
    assert half == pytest.approx((without + whole) / 2, rel=1e-5)
    assert float(losses[0].parts["completion_pad_share"]) == 0
    assert float(losses[1].parts["completion_pad_share"]) == pytest.approx(
        (whole - without) / whole, rel=1e-5
    )


@torch.no_grad()
def test_the_entropy_term_adds_the_entropy_of_slots_that_are_right(model, tokenizer):
    batch, settings = training_batch(model, tokenizer, toy_rows(24)), DiffusionSettings.of(model)
    times = TIMES.repeat(6)
    found = [
        DiffusionLoss(entropy_weight=weight, pad_weight=1.0)(model, settings, batch, PLACE, times)
        for weight in (0.0, 1.0, 2.0)
    ]
    plain, one, two = (float(output.loss) for output in found)
    assert "aligned_entropy" not in found[0].parts
    # A slot's entropy counts once, whatever its rate.
    terms = sum(
        float(found[1].parts[f"{entry.kind}_entropy"]) * int(entry.masked.sum()) for entry in found[1].rows
    )
    assert terms > 0
    assert one - plain == pytest.approx(terms, rel=1e-3)
    assert two - plain == pytest.approx(2 * terms, rel=1e-3)


@pytest.mark.parametrize("masks", MASKS)
def test_the_split_of_the_global_batch_changes_no_gradient(tokenizer, rows, tmp_path, masks):
    """One batch of 8, two of 4 and eight of 1, at masks that are drawn."""
    model = tiny_pointer(tmp_path, tokenizer)
    batch, settings = training_batch(model, tokenizer, rows * 2), DiffusionSettings.of(model)
    loss = DiffusionLoss(masks=masks)
    found = []
    for size in (8, 4, 1):
        model.zero_grad()
        for offset in range(0, 8, size):
            part = batch.select(torch.arange(offset, offset + size))
            loss(model, settings, part, BatchPlace(3, offset, 8)).loss.backward()
        found.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    for other in found[1:]:
        for name, gradient in found[0].items():
            torch.testing.assert_close(other[name], gradient, atol=1e-4, rtol=1e-4)


def test_full_attention_trains_several_canvases(tokenizer, rows):
    """Both canvases under a pair of masks, each with a prompt that sees it: the sum of each alone."""
    model = tiny_dream(tokenizer, prompt_attention="full")
    batch, settings = training_batch(model, tokenizer, rows), DiffusionSettings.of(model)
    loss = DiffusionLoss(masks="complementary")
    together = loss(model, settings, batch, PLACE, TIMES).loss
    alone = [
        loss(model, settings, TrainingBatch(batch.prompt, [target], batch.type_counts), PLACE, TIMES).loss
        for target in batch.targets
    ]
    torch.testing.assert_close(together, sum(alone), rtol=1e-5, atol=0)


def test_the_plain_objective_forgets_the_switches():
    loss = DiffusionLoss(masks="complementary", entropy_weight=0.3, max_weight=4.0)
    assert loss.plain() == DiffusionLoss(max_weight=4.0)


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("entropy_weight", [0.0, 0.5])
def test_gradients_are_finite_and_reach_every_part_that_is_trained(
    model, tokenizer, rows, masks, entropy_weight
):
    loss = DiffusionLoss(masks=masks, entropy_weight=entropy_weight)
    model.zero_grad()
    output = loss(model, DiffusionSettings.of(model), training_batch(model, tokenizer, rows))
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
    before = loss(model, settings, batch, PLACE)
    for target in batch.targets:
        counted = target.canvas.mask if target.scored is None else target.scored
        assert not counted.all()
        # Any other clean symbol where nothing counts; the slot itself is masked whole on the aligned canvas.
        if target.canvas.kind == "aligned":
            target.ids[~counted] = settings.inside_token_id
    after = loss(model, settings, batch, PLACE)
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


def test_an_aligned_canvas_needs_the_number_of_types(model, tokenizer, rows):
    batch = training_batch(model, tokenizer, rows)
    with pytest.raises(ValueError, match="an aligned canvas needs type_counts"):
        DiffusionLoss()(model, DiffusionSettings.of(model), TrainingBatch(batch.prompt, batch.targets))


# Settings.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pad_weight": -0.1}, r"pad_weight must be in \[0, 1\], got -0.1"),
        ({"max_weight": 0.5}, "max_weight must be at least 1 .*got 0.5"),
        ({"max_weight": math.nan}, "max_weight must be at least 1 .*got nan"),
        ({"aligned_full_mask_rate": 1.1}, r"aligned_full_mask_rate must be in \[0, 1\], got 1.1"),
        ({"aligned_weight": -1.0}, "aligned_weight must not be negative, got -1.0"),
        ({"entropy_weight": -0.5}, "entropy_weight must not be negative, got -0.5"),
        ({"masks": "both"}, "masks must be one of .*got 'both'"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        DiffusionLoss(**change)
    with pytest.raises(ValueError, match=message):
        DiffusionArguments(output_dir=str(tmp_path), use_cpu=True, **change)


def test_arguments_describe_the_objective(tmp_path):
    def loss(**changes: Any) -> DiffusionLoss:
        return DiffusionArguments(output_dir=str(tmp_path), use_cpu=True, **changes).loss()

    assert loss() == DiffusionLoss()
    changes = {
        "pad_weight": 0.1,
        "max_weight": 8.0,
        "aligned_full_mask_rate": 0.2,
        "aligned_weight": 0.5,
        "low_discrepancy": False,
        "masks": "complementary",
        "entropy_weight": 0.1,
    }
    assert loss(**changes) == DiffusionLoss(**changes)
