"""Steps that reveal what the network is sure of: rules, budgets, and rows that leave when they are done."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling.custom_generate.generate import DiffusionOutput, generate
from modeling.custom_generate.unmasking import entropy, entropy_budget, threshold_budget
from tests.modeling.custom_generate.test_generate import ABSORBING, MASK, PAD, PROMPT, SLOTS, aligned, run
from tests.modeling.tiny import tiny_bert, tiny_dream

RULES: list[dict[str, Any]] = [
    {"adaptive": "threshold", "confidence_threshold": 0.05},
    {"adaptive": "threshold", "confidence_threshold": 0.9},
    {"adaptive": "entropy", "entropy_bound": 0.5},
    {"adaptive": "entropy", "entropy_bound": 8.0},
]


@pytest.fixture(scope="module", params=["bert", "dream"])
def model(request, tokenizer) -> Any:
    return tiny_bert(tokenizer) if request.param == "bert" else tiny_dream(tokenizer)


def revealed(output: DiffusionOutput) -> list[list[int]]:
    """Return how many slots of each row are revealed after each step."""
    return (output.history[:, :, PROMPT.shape[1] :] != ABSORBING).sum(-1).tolist()


# The rules by themselves.


slots = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 5), st.booleans()), min_size=1, max_size=9)


@given(slots, st.floats(0.01, 1))
def test_a_threshold_takes_all_that_are_sure_enough_and_one_at_least(row, threshold):
    chosen, _, open_ = (torch.tensor([column]) for column in zip(*row, strict=True))
    # The comparison is in fp32, as the loop's.
    assert int(threshold_budget(chosen, open_, threshold)) == max(
        1, sum(bool(p >= threshold) and o for p, o in zip(chosen[0], open_[0].tolist(), strict=True))
    )


@given(slots, st.floats(0, 10))
def test_an_entropy_bound_takes_the_longest_prefix_within_it(row, bound):
    scores, cost, open_ = (torch.tensor([column]) for column in zip(*row, strict=True))
    order = sorted((i for i, r in enumerate(row) if r[2]), key=lambda i: -float(scores[0, i]))
    best = 1
    for count in range(1, len(order) + 1):
        own = [row[i][1] for i in order[:count]]
        if sum(own) - max(own) <= bound - 1e-4:
            best = count
    taken = int(entropy_budget(scores, cost, open_, bound))
    loose = max(
        [
            1,
            *(
                c
                for c in range(1, len(order) + 1)
                if sum(o := [row[i][1] for i in order[:c]]) - max(o) <= bound + 1e-4
            ),
        ]
    )
    assert best <= taken <= loose


def test_entropy_is_that_of_its_formula():
    probs = torch.tensor([[[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.25, 0.25, 0.5]]])
    expected = [torch.log(torch.tensor(2.0)), 0.0, 1.5 * torch.log(torch.tensor(2.0))]
    torch.testing.assert_close(entropy(probs.log())[0], torch.tensor(expected))


# In the loop.


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("canvas", [{}, aligned()])
@pytest.mark.parametrize("schedule", ["uniform", "dream"])
def test_a_row_takes_one_slot_a_step_at_least_and_its_budget_of_steps_at_most(model, rule, canvas, schedule):
    output = run(model, steps=6, schedule=schedule, **rule, **canvas)
    assert ABSORBING not in output.sequences
    assert ((output.forwards >= 1) & (output.forwards <= 6)).all()
    counts = [[0] * len(PROMPT), *revealed(output)]
    for row, forwards in enumerate(output.forwards.tolist()):
        own = [step[row] for step in counts[: forwards + 1]]
        assert all(after > before for before, after in pairwise(own))
        assert own[-1] == len(output.sequences[row]) - PROMPT.shape[1]
    # What is revealed stays.
    for before, after in pairwise(output.history):
        known = before != ABSORBING
        assert torch.equal(after[known], before[known])


def test_steps_are_exact_without_a_rule_and_a_bound_with_one(model):
    assert run(model, steps=5).forwards.tolist() == [5, 5]
    assert run(model, steps=30).forwards.tolist() == [SLOTS, SLOTS]
    sure = run(model, steps=30, adaptive="threshold", confidence_threshold=1e-6)
    assert sure.forwards.tolist() == [1, 1]
    assert torch.equal(sure.sequences, run(model, steps=1).sequences)
    unsure = run(model, steps=30, adaptive="threshold", confidence_threshold=1.0)
    assert torch.equal(unsure.sequences, run(model, steps=30).sequences)


def test_a_bound_of_nothing_reveals_one_at_a_time(model):
    output = run(model, steps=100, adaptive="entropy", entropy_bound=0.0)
    assert output.forwards.tolist() == [SLOTS, SLOTS]
    assert torch.equal(output.sequences, run(model, steps=SLOTS, algorithm="maskgit_plus").sequences)


def test_looser_bounds_never_take_more_forwards(model):
    for name, rule, bounds in (
        ("confidence_threshold", "threshold", [0.9, 0.3, 0.05, 0.001]),
        ("entropy_bound", "entropy", [0.0, 1.0, 10.0, 1e4]),
    ):
        outputs = [run(model, steps=SLOTS, adaptive=rule, **{name: bound}) for bound in bounds]
        means = [float(output.forwards.float().mean()) for output in outputs]
        assert means[0] == SLOTS
        assert means[-1] == 1
        assert means == sorted(means, reverse=True)


def test_a_tagging_that_does_not_change_is_final(model):
    given_ = aligned(outside_bias=6.0)  # all O from the first step on, if never quite sure
    output = run(model, steps=4, adaptive="threshold", confidence_threshold=1.0, **given_)
    assert output.forwards.tolist() == [2, 2]
    assert (output.choice == 0).all()
    assert run(model, steps=4, **given_).forwards.tolist() == [4, 3]


WAYS: list[dict[str, Any]] = [
    {"steps": 5},
    {"steps": 12, "adaptive": "threshold", "confidence_threshold": 0.06},
    {"steps": 12, "adaptive": "entropy", "entropy_bound": 3.0},
    {"steps": 16, "remasking": True, "max_new_tokens": 24},
    {"steps": 6, "temperature": 1.3, "seed": 5},
    aligned(steps=3),
    aligned(steps=3, adaptive="threshold", confidence_threshold=0.2),
    {"steps": 4, "fit_canvas": True, "max_new_tokens": 64},
]


@pytest.mark.parametrize("way", WAYS)
def test_rows_that_leave_change_nothing(model, way):
    left, stayed = run(model, compact=True, **way), run(model, compact=False, **way)
    for name in ("sequences", "history", "choice", "forwards"):
        assert torch.equal(getattr(left, name), getattr(stayed, name)), name
    torch.testing.assert_close(left.confidence, stayed.confidence, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_is_its_rows(model, way):
    together = run(model, **way)
    start = PROMPT.shape[1]
    for row in range(len(PROMPT)):
        own = MASK[row].bool()
        parts = {k: v[row : row + 1] for k, v in way.items() if isinstance(v, torch.Tensor)}
        alone = generate(
            PROMPT[row : row + 1, own],
            model=model,
            return_dict_in_generate=True,
            **{"max_new_tokens": SLOTS, "pad_penalty": 0.0, **way, **parts},
        )
        canvas = alone.sequences[0, int(own.sum()) :]
        assert torch.equal(together.sequences[row, start : start + len(canvas)], canvas)
        # The batch is as wide as its longest canvas; behind a shorter one stands padding.
        assert (together.sequences[row, start + len(canvas) :] == PAD).all()
        assert int(alone.forwards) == int(together.forwards[row])


@pytest.mark.parametrize("canvas", [{}, aligned()])
def test_the_cache_changes_nothing_when_rows_leave(tokenizer, canvas):
    model = tiny_bert(tokenizer)
    rule = {"steps": 8, "adaptive": "threshold", "confidence_threshold": 0.06}
    cached, plain = (run(model, use_cache=use, **rule, **canvas) for use in (True, False))
    assert torch.equal(cached.history, plain.history)
    assert torch.equal(cached.forwards, plain.forwards)


def test_an_approximate_cache_keeps_the_prompt_of_the_first_step(tokenizer):
    model = tiny_dream(tokenizer)
    exact, kept = run(model, steps=4), run(model, steps=4, use_cache="approximate")
    assert torch.equal(exact.history[0], kept.history[0])  # nothing is kept before the first step
    assert ABSORBING not in kept.sequences
    torch.testing.assert_close(
        run(model, steps=1, use_cache="approximate").confidence, run(model, steps=1).confidence
    )
    # It does keep something: what is read off later steps differs.
    assert not torch.allclose(exact.confidence, kept.confidence, atol=1e-6)
    # An isolated prompt has an exact cache already.
    bert = tiny_bert(tokenizer)
    assert torch.equal(run(bert, use_cache="approximate").sequences, run(bert).sequences)
    with pytest.raises(ValueError, match="use_cache must be True, False or 'approximate', got 'yes'"):
        run(model, use_cache="yes")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adaptive": "greedy"}, r"adaptive must be None or one of \('threshold', 'entropy'\), got 'greedy'"),
        (
            {"adaptive": "threshold", "confidence_threshold": 0.0},
            r"confidence_threshold must be in \(0, 1\], got 0",
        ),
        ({"adaptive": "threshold", "confidence_threshold": 1.5}, r"confidence_threshold must be in \(0, 1\]"),
        ({"adaptive": "entropy", "entropy_bound": -1}, "entropy_bound must not be negative, got -1"),
    ],
)
def test_rules_that_cannot_be_are_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        run(model, **options)
