"""Rows to training batches."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling.backbones.pointer_init import pointer_settings
from modeling.canvas.encoding import PromptEncoder
from modeling.canvas.template import Mention, parse_completion
from modeling.canvas.tensors import aligned_tensors, pad, prompt_tensors
from modeling.custom_generate.tagging import FIRST_MARKER, INSIDE, OUTSIDE, spans_of
from modeling.training.collator import (
    IGNORE,
    CompletionCollator,
    EntityCollator,
    drawn_canvas_length,
    scored_slots,
    tag_ids,
)
from modeling.training.queries import QuerySampler
from modeling.training.sampler import derived_seed
from tests.modeling.tiny import INVENTORIES, TYPES, toy_rows

ALWAYS = {"full_list_rate": 1.0, "drop_rate": 0.0, "lower_rate": 0.0, "coarse_rate": 0.0}


@pytest.fixture(scope="module")
def encoder(tokenizer) -> PromptEncoder:
    return PromptEncoder(tokenizer, pointer_settings(tokenizer))


@pytest.fixture(scope="module")
def collator(encoder) -> EntityCollator:
    """Asks every row for all three types."""
    return EntityCollator(encoder, QuerySampler(INVENTORIES, **ALWAYS), canvas_length=64)


def tags_of(encoder: PromptEncoder, ids: list[int]) -> list[int]:
    """Return symbol numbers of aligned symbols."""
    s = encoder.settings
    numbers = {s.outside_token_id: OUTSIDE, s.inside_token_id: INSIDE}
    numbers |= {marker: FIRST_MARKER + k for k, marker in enumerate(s.marker_ids(s.max_markers))}
    return [numbers[i] for i in ids]


@given(st.lists(st.lists(st.integers(1, 9), max_size=12), min_size=1, max_size=4), st.booleans())
def test_padding_keeps_the_rows_on_their_side(rows, left):
    table = pad(rows, 0, left=left)
    assert table.shape[0] == len(rows)
    assert table.shape[1] % 8 == 0
    assert 0 <= table.shape[1] - max(len(row) for row in rows) <= 8
    for line, row in zip(table.tolist(), rows, strict=True):
        filler = [0] * (len(line) - len(row))
        assert line == (filler + row if left else row + filler)


def test_prompts_padded_on_either_side_say_the_same(encoder):
    prompts = encoder.encode_batch([(TYPES, "alice met bob"), (["city"], "paris")])
    for left in (False, True):
        tensors = prompt_tensors(prompts, 0, left=left)
        for row, prompt in enumerate(prompts):
            real = tensors["prompt_mask"][row].bool()
            assert tensors["prompt_ids"][row][real].tolist() == prompt.input_ids
            assert tensors["prompt_positions"][row][real].tolist() == list(range(len(prompt)))
            assert tensors["prompt_token_types"][row][real].tolist() == prompt.token_types
            copied = tensors["prompt_sources"][row]
            assert tensors["prompt_ids"][row][copied].tolist() == [
                prompt.input_ids[i] for i in prompt.sources
            ]
            markers = [i for i in tensors["prompt_markers"][row].tolist() if i >= 0]
            assert tensors["prompt_ids"][row, markers].tolist() == encoder.settings.marker_ids(
                len(prompt.types)
            )


def test_aligned_slots_stand_at_their_words(encoder):
    prompts = encoder.encode_batch([(TYPES, "alice met bob"), (["city"], "paris")])
    tensors = aligned_tensors(prompts)
    assert tensors["aligned_mask"].sum(1).tolist() == [3, 1]
    words = encoder.tokenizer.convert_ids_to_tokens(tensors["aligned_word_ids"][0, :3].tolist())
    assert words == ["alice", "met", "bob"]
    assert tensors["aligned_positions"][0, :3].tolist() == prompts[0].word_positions


def test_both_canvases_say_what_the_row_says(encoder, collator):
    rows = toy_rows(24)
    batch = collator(rows)
    for i, row in enumerate(rows):
        count = int(batch["type_counts"][i])
        assert count == 3
        prompt_ids = batch["prompt_ids"][i][batch["prompt_mask"][i].bool()]
        tokens = encoder.tokenizer.convert_ids_to_tokens(prompt_ids.tolist())
        asked = [tokens[m + 1] for m in batch["prompt_markers"][i].tolist()]  # names of one token each
        expected = [(e["type"], e["text"]) for e in row["entities"]]
        # Aligned: the words of each span, in order.
        slots = batch["aligned_mask"][i]
        words = encoder.tokenizer.convert_ids_to_tokens(batch["aligned_word_ids"][i][slots].tolist())
        spans = spans_of(tags_of(encoder, batch["aligned_ids"][i][slots].tolist()))
        assert [(asked[s.type], " ".join(words[s.first : s.last + 1])) for s in spans] == expected
        # Completion: text that parses to the same, padded to its end.
        own = batch["completion_ids"][i][batch["completion_mask"][i]].tolist()
        end = own.index(0)
        assert set(own[end:]) == {0}
        written = encoder.tokenizer.decode(own[:end]).replace(" :", ":")
        parsed = parse_completion(written, TYPES)
        assert parsed.entities == expected
        assert not parsed.violations
        # It goes on where the prompt ends.
        positions = batch["completion_positions"][i][batch["completion_mask"][i]].tolist()
        assert positions == list(range(len(prompt_ids), len(prompt_ids) + len(own)))


def test_labels_count_the_slots_that_the_loss_counts(collator):
    rows = toy_rows(8)
    rows[0]["exhaustive"] = False
    batch = collator(rows)
    counted = int(batch["completion_mask"].sum() + batch["aligned_scored"].sum())
    assert int((batch["labels"] != IGNORE).sum()) == counted
    # What may hold mentions that nobody annotated has no whole answer to write.
    assert not batch["completion_mask"][0].any()
    assert batch["completion_mask"][1:].any(1).all()
    assert not (batch["aligned_scored"] & ~batch["aligned_mask"]).any()


def test_only_the_edges_of_mentions_are_scored_where_others_may_be_missing():
    assert scored_slots([7, 7, 3, 4, 7, 7, 7], exhaustive=False, outside=7) == [0, 1, 1, 1, 1, 0, 0]
    assert scored_slots([7, 7, 7], exhaustive=False, outside=7) == [0, 0, 0]
    assert scored_slots([7, 3], exhaustive=True, outside=7) == [1, 1]


def test_a_mention_takes_whole_words_and_the_longer_of_two_wins(encoder):
    prompt = encoder.encode(TYPES, "alice bob met carol")
    settings = encoder.settings
    person, city, _ = settings.marker_ids(3)
    mentions = [
        Mention(0, 5, "city", "alice"),
        Mention(0, 9, "person", "alice bob"),
        Mention(15, 17, "city", "ar"),  # inside a word
        Mention(3, 3, "city", ""),
    ]
    tags = tag_ids(prompt, mentions, settings)
    assert tags == [person, settings.inside_token_id, settings.outside_token_id, city]


def test_a_long_text_loses_its_last_words_and_their_mentions(encoder):
    sampler = QuerySampler(INVENTORIES, **ALWAYS)
    row = toy_rows(1)[0]
    text = " . ".join([row["text"]] * 20)
    entities = [
        {**e, "start": e["start"] + k * (len(row["text"]) + 3), "end": e["end"] + k * (len(row["text"]) + 3)}
        for k in range(20)
        for e in row["entities"]
    ]
    short = EntityCollator(encoder, sampler, max_length=48, canvas_length=48)
    batch = short([{**row, "text": text, "entities": entities}])
    assert batch["prompt_mask"].sum() <= 48
    slots = batch["aligned_mask"][0]
    words = encoder.tokenizer.convert_ids_to_tokens(batch["aligned_word_ids"][0][slots].tolist())
    assert text.startswith(" ".join(words))
    # No slot is lost to the cut without need, and the spans kept are the row's.
    assert batch["prompt_mask"].sum() >= 48 - 8
    spans = spans_of(tags_of(encoder, batch["aligned_ids"][0][slots].tolist()))
    found = [" ".join(words[s.first : s.last + 1]) for s in spans]
    assert found == [e["text"] for e in entities][: len(found)]
    assert found


def test_an_answer_too_long_trains_the_aligned_canvas_alone(encoder, collator):
    rows = toy_rows(12)
    tight = EntityCollator(encoder, collator.queries, canvas_length=12)
    batch = tight(rows)
    written = batch["completion_mask"].any(1)
    assert 0 < int(written.sum()) < len(rows)
    assert batch["aligned_mask"].any(1).all()
    # Each answer that is written is whole: it ends in padding.
    for ids, mask in zip(batch["completion_ids"], batch["completion_mask"], strict=True):
        assert not mask.any() or int(ids[mask][-1]) == 0


def test_queries_are_drawn_anew_and_repeat_with_torchs_seed(encoder):
    drawing = EntityCollator(encoder, QuerySampler(INVENTORIES))
    rows = toy_rows(4)
    torch.manual_seed(1)
    first, second = drawing(rows), drawing(rows)
    torch.manual_seed(1)
    again = drawing(rows)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(
        first[name].shape != second[name].shape or not torch.equal(first[name], second[name])
        for name in first
    )


@given(st.lists(st.integers(1, 64), max_size=10), st.integers(0, 2**62 - 1))
def test_the_length_of_a_completion_canvas_is_that_of_another_answer(answers, seed):
    assert drawn_canvas_length(answers, seed) in (answers or [0])


def test_every_answers_length_is_drawn():
    assert {drawn_canvas_length([3, 5, 8], derived_seed(i)) for i in range(40)} == {3, 5, 8}


@pytest.fixture
def completions(tokenizer) -> CompletionCollator:
    return CompletionCollator(tokenizer, pointer_settings(tokenizer), max_length=40, canvas_length=16)


ROWS = [
    {"prompt": "text : alice met bob", "completion": " person : alice | person : bob"},
    {"prompt": "text : it rained", "completion": " none"},
]


def test_prompt_and_completion_rows(tokenizer, completions):
    batch = completions(ROWS)
    for i, row in enumerate(ROWS):
        prompt = batch["prompt_ids"][i][batch["prompt_mask"][i].bool()].tolist()
        assert tokenizer.decode(prompt) == row["prompt"]
        own = batch["completion_ids"][i][batch["completion_mask"][i]].tolist()
        answer = [t for t in own if t != 0]
        assert tokenizer.decode(answer) == row["completion"].strip()
        assert own == answer + [0] * (len(own) - len(answer))
        assert len(own) > len(answer)
        positions = batch["completion_positions"][i][batch["completion_mask"][i]].tolist()
        assert positions == list(range(len(prompt), len(prompt) + len(own)))
        labels = batch["labels"][i]
        assert labels[labels != IGNORE].tolist() == own


def test_without_truncation_every_canvas_is_full(tokenizer):
    whole = CompletionCollator(tokenizer, pointer_settings(tokenizer), 40, 16, truncate=False)
    assert whole(ROWS)["completion_mask"].sum(1).tolist() == [16, 16]


@pytest.mark.parametrize(
    "row",
    [
        {"id": "r1", "prompt": "a", "completion": " bob" * 16},
        {"id": "r1", "prompt": " bob" * 38, "completion": " none none"},
    ],
)
def test_a_row_that_does_not_fit_is_named_with_its_length(completions, row):
    with pytest.raises(
        ValueError, match=r"row 'r1': prompt of \d+ and completion of \d+ tokens.*max_length=40"
    ):
        completions([row])


def test_a_special_token_spelled_in_a_row_is_plain_characters(tokenizer, completions):
    batch = completions([{"prompt": "[MASK]", "completion": "[PAD]"}])
    assert tokenizer.mask_token_id not in batch["prompt_ids"]
    assert int((batch["completion_ids"] != 0).sum()) >= 3
