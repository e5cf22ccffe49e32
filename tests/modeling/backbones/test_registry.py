"""An architecture is added by one entry, from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerBase, RobertaConfig, RobertaForMaskedLM

from modeling import EntityExtractor, load_model
from modeling.backbones import registry
from modeling.backbones.registry import Backbone, backbone_of, register

ROBERTA = Backbone(
    "roberta",
    RobertaForMaskedLM,
    lambda config: RobertaConfig.from_dict({**config, "is_decoder": True, "is_causal": False}),
    lambda config: {"logits_shift": 0, "pad_token_id": config["pad_token_id"]},
)


@pytest.fixture
def added() -> Iterator[None]:
    register(ROBERTA)
    yield
    del registry._BACKBONES["roberta"]


@pytest.fixture
def folder(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> Path:
    """A RoBERTa-shaped masked LM with the toy tokenizer."""
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=514,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    RobertaForMaskedLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps({"mask_token_id": tokenizer.mask_token_id}))
    return tmp_path


@pytest.mark.usefixtures("added")
def test_an_architecture_from_outside_loads_and_extracts(folder: Path) -> None:
    model = load_model(folder)
    assert type(model) is RobertaForMaskedLM
    extractor = EntityExtractor.from_pretrained(folder, device="cpu")
    for entity in extractor.predict_entities("alice met bob in paris", ["person", "city"]):
        assert "alice met bob in paris"[entity["start"] : entity["end"]] == entity["text"]


def test_without_its_entry_it_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(ValueError, match="has model_type 'roberta'; supported are 'Dream'"):
        load_model(folder)


@pytest.mark.usefixtures("added")
def test_no_architecture_is_replaced() -> None:
    assert backbone_of({"model_type": "roberta"}) is ROBERTA
    with pytest.raises(ValueError, match="'roberta' is registered already"):
        register(ROBERTA)
