"""The estimator is the bound: four tokens have sixteen masks, so the expected loss can be written out."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from modeling.canvas.encoding import PromptEncoder
from modeling.custom_generate.network import visibility
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.batch import TrainingBatch
from modeling.training.collator import EntityCollator
from modeling.training.loss import DiffusionLoss
from modeling.training.masking import MIN_RATE
from modeling.training.queries import QuerySampler
from tests.modeling.tiny import INVENTORIES, tiny_pointer, toy_rows
from tests.modeling.training.toy import ANSWERS, MASK, PAD, PROMPT, TOKENS, toy_batch, toy_network

PAD_WEIGHT, COPIES, BATCHES = 0.05, 24, 50
VARIANTS = {
    "plain": DiffusionLoss(low_discrepancy=False),
    "low-discrepancy": DiffusionLoss(),
    "complementary": DiffusionLoss(masks="complementary"),
    "clipped": DiffusionLoss(max_weight=4.0),
    "complementary, clipped": DiffusionLoss(masks="complementary", max_weight=4.0),
}


def mean_over_rates(masked: int, max_weight: float) -> float:
    """Return the mean over rates of min(1 / r, max_weight) r^masked (1 - r)^others, by exact quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    total = 0.0
    # The weight is smooth on either side of the clip, and the integrand there a polynomial.
    for low, high in ((MIN_RATE, 1 / max_weight), (1 / max_weight, 1.0)):
        r = (low + high) / 2 + (high - low) / 2 * nodes
        values = np.minimum(1 / r, max_weight) * r**masked * (1 - r) ** (TOKENS - masked)
        total += float((values * weights).sum()) * (high - low) / 2
    return total / (1 - MIN_RATE)


def exact_loss(model: torch.nn.Module, attention: str, max_weight: float) -> torch.Tensor:
    """Return the expected loss of one row of each answer, with its gradient, from every mask of every one."""
    total = torch.zeros(())
    sight = visibility(torch.tensor([[0] * len(PROMPT) + [1] * TOKENS]), attention)
    for answer, mask in itertools.product(ANSWERS, itertools.product([False, True], repeat=TOKENS)):
        canvas = [MASK if m else a for a, m in zip(answer, mask, strict=True)]
        ids = torch.tensor([[*PROMPT, *canvas]])
        logits = model(input_ids=ids, attention_mask=sight, use_cache=False).logits[0]
        # Dream's shift: token i is read from position i - 1.
        nll = -logits[len(PROMPT) - 1 : -1].log_softmax(-1)[range(TOKENS), list(answer)]
        cost = torch.tensor(
            [(PAD_WEIGHT if a == PAD else 1.0) * m for a, m in zip(answer, mask, strict=True)]
        )
        total = total + (nll * cost).sum() * mean_over_rates(sum(mask), max_weight)
    return total


@pytest.fixture(scope="module", params=["full", "isolated"])
def case(request):
    """A network, and the exact loss and its gradient for each clip."""
    model = toy_network(request.param)
    found = {}
    for max_weight in (1 / MIN_RATE, 4.0):
        loss = exact_loss(model, request.param, max_weight)
        found[max_weight] = loss.item(), torch.autograd.grad(loss, list(model.parameters()))
    return model, found


@pytest.mark.parametrize("name", VARIANTS)
def test_mean_loss_and_gradient_are_the_exact_ones(case, name):
    model, exact = case
    loss, parameters = VARIANTS[name], list(model.parameters())
    expected, gradient = exact[loss.max_weight]
    length = torch.stack([g.norm() for g in gradient]).norm()
    settings, batch = DiffusionSettings.of(model), toy_batch(torch.tensor(ANSWERS).repeat(COPIES, 1))
    torch.manual_seed(20)
    losses, slopes = [], []
    for _ in range(BATCHES):
        value = loss(model, settings, batch).loss / COPIES
        found = torch.autograd.grad(value, parameters)
        losses.append(value.item())
        # The gradient along the exact one.
        slopes.append(float(sum((a * b).sum() for a, b in zip(found, gradient, strict=True)) / length))
    for draws, wanted in ((losses, expected), (slopes, float(length))):
        error = float(np.std(draws, ddof=1)) / BATCHES**0.5
        assert error < 0.03 * wanted
        assert float(np.mean(draws)) == pytest.approx(wanted, abs=3 * error)


# Both canvases of a pointer network, too large to enumerate: against quadrature over fixed times.


@pytest.fixture(scope="module")
def pointer_case(tokenizer, tmp_path_factory):
    """A pointer network, its settings, and a batch of four rows many times over."""
    model = tiny_pointer(tmp_path_factory.mktemp("encoder"), tokenizer)
    settings = DiffusionSettings.of(model)
    torch.manual_seed(3)
    collator = EntityCollator(PromptEncoder(tokenizer, settings), QuerySampler(INVENTORIES), canvas_length=40)
    batch = TrainingBatch.from_tensors(collator(toy_rows(4, seed=3)))
    batch = batch.select(torch.arange(4).repeat(COPIES))
    return model, settings, batch


def parts(loss: DiffusionLoss, case: tuple, batches: int, **options: torch.Tensor) -> torch.Tensor:
    """Return the losses of both canvases, ``[batches, 2]``."""
    model, settings, batch = case
    found = []
    for _ in range(batches):
        with torch.no_grad():
            logged = loss(model, settings, batch, **options).parts
        found.append(torch.stack([logged["completion_loss"], logged["aligned_loss"]]))
    return torch.stack(found).detach()


@pytest.fixture(scope="module")
def spread(pointer_case) -> torch.Tensor:
    """The losses of both canvases under fixed times, half of the aligned ones whole as in training."""
    count = len(pointer_case[2].prompt.ids)
    torch.manual_seed(1)
    # Midpoints of equal shares of [1e-3, 1]; the four rows alternate, so each has its own grid.
    grid = MIN_RATE + (1 - MIN_RATE) * (torch.arange(COPIES) + 0.5) / COPIES
    times = grid.repeat_interleave(count // COPIES)
    found = parts(DiffusionLoss(max_weight=4.0), pointer_case, 30, times=times)
    whole = parts(DiffusionLoss(), pointer_case, 1, times=torch.ones(count))
    found[:, 1] = (found[:, 1] + whole[:, 1]) / 2
    return found


@pytest.mark.parametrize(
    "loss",
    [DiffusionLoss(low_discrepancy=False), DiffusionLoss(), DiffusionLoss(masks="complementary")],
    ids=["plain", "low-discrepancy", "complementary"],
)
def test_every_variant_has_one_mean_on_both_canvases(pointer_case, spread, loss):
    torch.manual_seed(0)
    drawn = parts(replace(loss, max_weight=4.0), pointer_case, 30)
    for canvas in range(2):
        error = float(((spread[:, canvas].var() + drawn[:, canvas].var()) / 30).sqrt())
        wanted = float(spread[:, canvas].mean())
        assert error < 0.03 * wanted
        assert float(drawn[:, canvas].mean()) == pytest.approx(wanted, abs=3 * error)
