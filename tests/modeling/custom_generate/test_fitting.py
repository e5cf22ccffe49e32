"""Completion canvases as long as their answers: cut after the first forward, grown when too short."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling.custom_generate.rounds import Growth, is_filled
from modeling.custom_generate.state import BUCKETS, answer_lengths, bucket_of, fitted_slots, group_by_width
from tests.modeling.custom_generate.test_generate import ABSORBING, PAD, PROMPT, run
from tests.modeling.tiny import tiny_bert, tiny_dream


@given(st.integers(0, 2000))
def test_a_bucket_holds_the_answer_and_a_slot_of_padding(length):
    bucket = bucket_of(length)
    assert bucket > length
    assert bucket in BUCKETS or (bucket % BUCKETS[-1] == 0 and bucket <= 2 * max(length, 1))
    assert bucket == BUCKETS[0] or bucket // 2 <= length  # no smaller one does


def test_an_answer_ends_with_its_last_token_that_is_no_padding():
    ids = torch.tensor([[5, 0, 7, 0, 0], [0, 0, 0, 0, 0], [1, 2, 3, 4, 5]])
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[2, 3:] = False
    assert answer_lengths(ids, mask, 0).tolist() == [3, 0, 3]
    assert is_filled(ids, torch.tensor([5, 5, 3]), 0).tolist() == [False, False, True]
    assert is_filled(ids, torch.tensor([3, 1, 0]), 0).tolist() == [True, False, False]


def test_a_canvas_never_gets_more_slots_than_it_has():
    lengths, slots = torch.tensor([3, 20, 70, 64]), torch.tensor([64, 64, 64, 70])
    assert fitted_slots(lengths, slots).tolist() == [16, 32, 64, 70]


@given(st.lists(st.sampled_from([16, 32, 64, 128]), min_size=1, max_size=20), st.integers(0, 1024))
def test_groups_have_every_row_once_and_are_wide_enough(widths, small):
    groups = group_by_width(widths, small)
    assert sorted(row for rows, _ in groups for row in rows) == list(range(len(widths)))
    for rows, width in groups:
        assert rows == sorted(rows)
        assert max(widths[row] for row in rows) == width
        mixed = len({widths[row] for row in rows}) > 1
        assert not mixed or len(rows) * width <= small
    assert [width for _, width in groups] == sorted({w for _, w in groups}, reverse=True)


@given(
    st.lists(st.tuples(st.integers(1, 64), st.integers(1, 400), st.integers(0, 500)), min_size=1, max_size=6)
)
def test_canvases_grow_until_their_answers_fit_or_they_cannot(rows):
    first, most, needs = zip(*rows, strict=True)
    growth, tries, cut = Growth(first, most), [[] for _ in rows], set()
    while growth.rows:
        for row, slots in zip(growth.rows, growth.slots, strict=True):
            tries[row].append(slots)
        cut |= set(
            growth.update(
                [needs[r] >= n for r, n in zip(growth.rows, growth.slots, strict=True)], growth.slots
            )
        )
    for row, own in enumerate(tries):
        assert own[0] == min(first[row], most[row])
        assert all(b == min(2 * a, most[row]) for a, b in pairwise(own))
        assert (row in cut) == (needs[row] >= own[-1])
        assert own[-1] == most[row] or needs[row] < own[-1]


# In generate.


@pytest.mark.parametrize("kind", ["bert", "dream"])
def test_the_first_step_cuts_canvases_to_their_answers(tokenizer, kind):
    model = tiny_bert(tokenizer) if kind == "bert" else tiny_dream(tokenizer)
    long = run(model, steps=1, max_new_tokens=64)
    output = run(model, steps=4, max_new_tokens=64, fit_canvas=True)
    canvas = output.sequences[:, PROMPT.shape[1] :]
    first = answer_lengths(long.sequences[:, PROMPT.shape[1] :], torch.ones(2, 64, dtype=torch.bool), PAD)
    for row in range(2):
        assert (canvas[row, min(64, bucket_of(int(first[row]))) :] == PAD).all() or output.truncated[row]
    assert ABSORBING not in canvas


def test_a_short_answer_gets_a_short_canvas_and_a_filled_one_a_longer(tokenizer):
    model = tiny_bert(tokenizer)
    model.cls.predictions.bias.data[PAD] = 100.0
    quiet = run(model, steps=4, max_new_tokens=64, fit_canvas=True)
    assert (quiet.sequences[:, PROMPT.shape[1] :] == PAD).all()
    assert not quiet.truncated.any()
    model.cls.predictions.bias.data[PAD] = -100.0
    positions = model.config.max_position_embeddings
    talkative = run(model, steps=2, max_new_tokens=64, fit_canvas=True)
    assert talkative.truncated.all()
    # 64, 128, 256 and then all positions that are left; two forwards each.
    assert talkative.forwards.tolist() == [8, 8]
    width = talkative.sequences.shape[1] - PROMPT.shape[1]
    assert width == positions - 4
    assert (talkative.sequences[1, -2:] == PAD).all()  # the longer prompt leaves two positions fewer
    assert talkative.history.shape == (8, 2, PROMPT.shape[1] + width)
    # Without it the canvas is as long as asked for, and says that it is full.
    plain = run(model, steps=2, max_new_tokens=64)
    assert plain.sequences.shape[1] == PROMPT.shape[1] + 64
    assert plain.truncated.all()


def test_given_positions_cannot_be_fitted(tokenizer):
    with pytest.raises(ValueError, match="fit_canvas is for a completion canvas of max_new_tokens slots"):
        run(tiny_bert(tokenizer), fit_canvas=True, canvas_positions=torch.arange(4).expand(2, 4))
