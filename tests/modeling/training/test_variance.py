"""The gradient variance that is printed is the true one."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerBase

from modeling.cli.variance import Problem, checkpoint_problem, main, measure, toy_problem, variants
from modeling.training.noise import BatchPlace
from modeling.training.schedule import MIN_RATE
from modeling.training.toy import ANSWERS, MASK, PAD, PROMPT, TOKENS
from tests.modeling.tiny import tiny_pointer, write_mix

FORWARDS = 8


@pytest.fixture(scope="module")
def problem() -> Problem:
    return toy_problem()


def mean_over_rates(power: int, masked: int, max_weight: float) -> float:
    """Return the mean over rates of weight^power r^masked (1 - r)^others."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    total = 0.0
    for low, high in ((MIN_RATE, 1 / max_weight), (1 / max_weight, 1.0)):
        r = (low + high) / 2 + (high - low) / 2 * nodes
        values = np.minimum(1 / r, max_weight) ** power * r**masked * (1 - r) ** (TOKENS - masked)
        total += float((values * weights).sum()) * (high - low) / 2
    return total / (1 - MIN_RATE)


def exact_variance(problem: Problem, pad_weight: float, max_weight: float) -> float:
    """Return the variance of the plain step with given rows, from every mask of every row."""
    model, total = problem.model, 0.0
    for answer in ANSWERS[: FORWARDS // 2]:
        second, mean = 0.0, None
        for mask in itertools.product([False, True], repeat=TOKENS):
            if not any(mask):
                continue
            canvas = [MASK if m else a for a, m in zip(answer, mask, strict=True)]
            logits = model(input_ids=torch.tensor([[*PROMPT, *canvas]])).logits[0]
            nll = -logits[len(PROMPT) - 1 : -1].log_softmax(-1)[range(TOKENS), list(answer)]
            cost = [(pad_weight if a == PAD else 1.0) * m for a, m in zip(answer, mask, strict=True)]
            found = torch.autograd.grad((nll * torch.tensor(cost)).sum(), list(model.parameters()))
            gradient = torch.cat([g.flatten() for g in found]).double() / TOKENS
            second += float(gradient.square().sum()) * mean_over_rates(2, sum(mask), max_weight)
            part = gradient * mean_over_rates(1, sum(mask), max_weight)
            mean = part if mean is None else mean + part
        total += second - float(mean.square().sum())
    # Each row twice, each time alone, in a mean over all.
    return 2 * total / FORWARDS**2


def test_the_variance_of_the_plain_step_is_the_exact_one(problem):
    plain, same = variants(4.0)["plain"]
    assert same
    found = measure(problem, plain, 400, FORWARDS, fixed_rows=True)
    exact = exact_variance(problem, plain.pad_weight, 4.0)
    assert found.variance_error < 0.1 * exact
    assert found.variance == pytest.approx(exact, abs=3 * found.variance_error)


def test_complementary_masks_lower_the_variance_at_equal_cost(problem):
    spreads = {
        name: measure(problem, variants()[name][0], 200, FORWARDS, fixed_rows=True)
        for name in ("plain", "complementary")
    }
    assert spreads["complementary"].variance < 0.85 * spreads["plain"].variance
    # The same mean, half the noise or so in the loss itself.
    gap = spreads["complementary"].loss - spreads["plain"].loss
    assert abs(gap) < 3 * sum(spread.loss_error for spread in spreads.values())


@torch.no_grad()
def test_evenly_spaced_times_lower_the_variance_of_the_loss(problem):
    """Of one row many times over: what is left is the noise of the masks."""
    plain = variants()["plain"][0]
    batch = problem.batch(torch.zeros(32, dtype=torch.long))
    found = [
        torch.stack([loss(problem.model, problem.settings, batch, BatchPlace(k)).loss for k in range(150)])
        for loss in (plain, replace(plain, low_discrepancy=True))
    ]
    assert float(found[1].var()) < 0.8 * float(found[0].var())


def test_rows_drawn_anew_add_their_own_variance(problem):
    plain = variants()["plain"][0]
    given, anew = (measure(problem, plain, 100, FORWARDS, fixed_rows) for fixed_rows in (True, False))
    assert anew.variance > given.variance
    assert given == measure(problem, plain, 100, FORWARDS, True)  # the seed decides


@pytest.mark.parametrize(
    ("draws", "forwards", "message"),
    [(3, 8, "at least 4 draws, got 3"), (4, 3, "even number of at least 2, got 3"), (4, 0, "got 0")],
)
def test_impossible_requests_are_refused(problem, draws, forwards, message):
    with pytest.raises(ValueError, match=message):
        measure(problem, variants()["plain"][0], draws, forwards, True)


def test_the_command_prints_and_writes_every_variant(tmp_path, capsys):
    output = tmp_path / "variance.json"
    main(["--draws", "4", "--forwards", "4", "--output", str(output)])
    printed = capsys.readouterr().out
    record = json.loads(output.read_text())
    assert [entry["name"] for entry in record["figures"]] == list(variants())
    assert all(name in printed for name in variants())
    assert record["settings"]["forwards"] == 4
    assert all(entry["masks"]["variance"] > 0 for entry in record["figures"])
    with pytest.raises(SystemExit):
        main(["--model", "somewhere"])
    assert "--model and --data go together" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--forwards", "5"])
    assert "even number of at least 2, got 5" in capsys.readouterr().err


def test_a_checkpoint_is_measured_on_rows_of_its_data(tokenizer: PreTrainedTokenizerBase, tmp_path):
    model = tiny_pointer(tmp_path / "encoder", tokenizer)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    data = write_mix(tmp_path / "mix", train=8, validation=6)
    problem = checkpoint_problem(str(tmp_path / "model"), str(data), 4)
    assert problem.count == 4
    assert {target.canvas.kind for target in problem.rows.targets} == {"completion", "aligned"}
    spread = measure(problem, variants()["complementary"][0], 4, 4, False)
    assert spread.variance > 0
    assert spread.loss > 0
