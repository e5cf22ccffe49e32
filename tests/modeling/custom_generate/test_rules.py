"""The table of unmasking rules: a rule from outside is one entry, and decodes on every path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from modeling import EntityExtractor
from modeling.custom_generate.config import DecodingConfig
from modeling.custom_generate.unmasking import RULES, Rule, Slots
from tests.modeling.custom_generate.test_generate import ABSORBING, PROMPT, SLOTS, aligned, run
from tests.modeling.tiny import TYPES, tiny_bert


@pytest.fixture
def left_to_right() -> Iterator[None]:
    """The table with an order and a pace of its own."""

    def one_by_one(slots: Slots, config: Any) -> torch.Tensor:
        return torch.ones_like(slots.rows)

    RULES["algorithm"]["left_to_right"] = Rule(
        lambda log_probs: -torch.arange(log_probs.shape[1]).expand(log_probs.shape[:2]).float(),
        modes=("plain",),
    )
    RULES["schedule"]["one_by_one"] = Rule(one_by_one)
    RULES["adaptive"]["bold"] = Rule(
        lambda slots, config: (slots.chosen >= config.confidence_threshold / 10).sum(1),
        uses=("confidence_threshold",),
        modes=("aligned", "plain"),
    )
    yield
    for option, name in (("algorithm", "left_to_right"), ("schedule", "one_by_one"), ("adaptive", "bold")):
        del RULES[option][name]


def test_a_rule_from_outside_decodes(tokenizer, left_to_right):
    model = tiny_bert(tokenizer)
    output = run(model, steps=SLOTS, algorithm="left_to_right", schedule="one_by_one")
    open_ = output.history[:, :, PROMPT.shape[1] :] == ABSORBING
    for step in range(SLOTS):  # an autoregressive decoder: slot after slot
        assert open_[step].tolist() == [[slot > step for slot in range(SLOTS)]] * 2
    quick = run(model, steps=SLOTS, adaptive="bold", confidence_threshold=0.01)
    assert quick.forwards.tolist() == [1, 1]
    assert run(model, adaptive="bold", **aligned(confidence_threshold=0.01)).forwards.tolist() == [1, 1]


def test_a_rule_from_outside_is_an_option_of_the_extractor(tokenizer, left_to_right):
    extractor = EntityExtractor(tiny_bert(tokenizer), tokenizer)
    way = {"canvas": "completion", "decoding": "plain", "steps": 64, "schedule": "one_by_one"}
    steps = extractor.stream("alice met bob in paris", TYPES, algorithm="left_to_right", **way)
    for number in range(3):
        revealed = [slot["revealed"] for slot in next(steps)["slots"]]
        assert revealed == [slot <= number for slot in range(64)]


def test_what_a_rule_says_of_itself_is_checked(left_to_right):
    assert DecodingConfig("aligned", adaptive="bold").confidence_threshold == 0.7
    with pytest.raises(ValueError, match=r"^adaptive='bold' needs .*; leave adaptive out, or choose another"):
        DecodingConfig("completion", adaptive="bold")
    with pytest.raises(ValueError, match=r"needs adaptive='threshold' or adaptive='bold': nothing else"):
        DecodingConfig("aligned", confidence_threshold=0.5)
    with pytest.raises(ValueError, match="algorithm='left_to_right' needs canvas='completion' and decoding="):
        DecodingConfig("aligned", algorithm="left_to_right")
