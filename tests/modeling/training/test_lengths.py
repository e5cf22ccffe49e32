"""Lengths told before the rows are collated."""

from __future__ import annotations

import random

import numpy as np
import torch
from datasets import Dataset

from modeling.backbones.pointer_init import pointer_settings
from modeling.canvas.encoding import PromptEncoder
from modeling.training.collator import CompletionCollator, EntityCollator
from modeling.training.lengths import CompletionLengths, EntityLengths
from modeling.training.queries import QuerySampler
from modeling.training.sampler import Draw, DrawnCollator, DrawnRows, derived_seed
from tests.modeling.tiny import INVENTORIES, TYPES, completion_rows, toy_row, toy_rows

KINDS = ("prompt", "completion", "aligned")


def lengths_of(batch: dict[str, torch.Tensor]) -> list[int]:
    """Return each row's tokens in a batch."""
    return sum(batch[f"{kind}_mask"].long().sum(1) for kind in KINDS if f"{kind}_mask" in batch).tolist()


def told(lengths: CompletionLengths | EntityLengths, draws: list[Draw]) -> list[int]:
    """Return what is told of each draw."""
    rows, seeds = ([draw.row for draw in draws], [draw.seed for draw in draws])
    return lengths(np.array(rows), np.array(seeds)).tolist()


def test_an_entity_row_is_as_long_as_told_where_all_present_types_are_asked_for(tokenizer):
    made = toy_rows(60, seed=1)
    made[3]["exhaustive"] = False
    rows = Dataset.from_list(made)
    encoder = PromptEncoder(tokenizer, pointer_settings(tokenizer))
    queries = QuerySampler(INVENTORIES, drop_rate=0.0, coarse_rate=0.0, both_rate=0.0)
    lengths = EntityLengths(rows, encoder, queries, 384, 20)
    draws = [Draw(row, derived_seed(row, use)) for row in range(60) for use in range(5)]
    collator = DrawnCollator(EntityCollator(encoder, queries, 384, 20, lengths.answers))
    batch = collator(DrawnRows(rows).__getitems__(draws))
    # A query with nothing present asks for one absent type at least.
    kept = [i for i, draw in enumerate(draws) if made[draw.row]["entities"]]
    found = lengths_of(batch)
    assert [told(lengths, draws)[i] for i in kept] == [found[i] for i in kept]
    assert not batch["completion_mask"][15:20].any()  # not annotated exhaustively
    assert len(set(found)) > 20


def test_told_lengths_are_near_where_types_are_left_out(tokenizer):
    made = toy_rows(200, seed=2)
    rows = Dataset.from_list(made)
    encoder, queries = PromptEncoder(tokenizer, pointer_settings(tokenizer)), QuerySampler(INVENTORIES)
    lengths = EntityLengths(rows, encoder, queries, 384, 48)
    draws = [Draw(row, derived_seed(row)) for row in range(200)]
    collator = DrawnCollator(EntityCollator(encoder, queries, 384, 48, lengths.answers))
    found = lengths_of(collator(DrawnRows(rows).__getitems__(draws)))
    errors = torch.tensor(told(lengths, draws)) - torch.tensor(found)
    assert errors.abs().float().mean() < 2
    assert errors.min() >= -3


def test_a_completion_row_is_as_long_as_told(tokenizer):
    rows = Dataset.from_list(completion_rows(40))
    lengths = CompletionLengths(rows, tokenizer, 64)
    settings = pointer_settings(tokenizer)
    draws = [Draw(row, derived_seed(row)) for row in range(40)]
    collator = DrawnCollator(CompletionCollator(tokenizer, settings, 512, 64, answer_lengths=lengths.answers))
    batch = collator(DrawnRows(rows).__getitems__(draws))
    assert told(lengths, draws) == lengths_of(batch)


def test_rows_of_no_known_source_are_measured_too(tokenizer):
    row = {**toy_row(random.Random(0)), "source": "elsewhere"}
    rows = Dataset.from_list(
        [{**row, "types": []}, {**row, "types": [*TYPES, "alice", "paris"], "negatives": "listed"}]
    )
    encoder = PromptEncoder(tokenizer, pointer_settings(tokenizer))
    lengths = EntityLengths(rows, encoder, QuerySampler({}, full_list_rate=1.0), 384, 48)
    unknown, listed = told(lengths, [Draw(0, 1), Draw(1, 1)])
    assert unknown < listed  # one of the listed types is absent, at least
