"""Merging an adapter into its base."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from modeling import EntityExtractor, load_model
from modeling.cli.merge import TOLERANCE, MergeError, main, merge
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.checkpoints import write_model
from tests.modeling.tiny import tiny_dream

IDS = torch.tensor([[70, 80, 90, 64, 64]])
TEXT, LABELS = "alice smith visited the paris", ["person", "city"]


@pytest.fixture(scope="module")
def adapter(tokenizer, tmp_path_factory) -> Path:
    """An adapter over a tiny base, trained with an isolated prompt."""
    work = tmp_path_factory.mktemp("adapter")
    base = tiny_dream(tokenizer)
    write_model(base, tokenizer, work / "base")
    torch.manual_seed(3)
    config = LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    settings = replace(DiffusionSettings.of(base), prompt_attention="isolated")
    base.name_or_path = str(work / "base")
    wrapped = get_peft_model(base, config)
    settings.apply(wrapped)
    write_model(wrapped, tokenizer, work / "lora")
    return work / "lora"


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(input_ids=IDS).logits.float()


def test_the_merged_model_is_the_adapter_on_its_base(adapter, tmp_path, capsys):
    assert main([str(adapter), str(tmp_path / "merged")]) == 0
    assert "wrote" in capsys.readouterr().out
    before, after = load_model(adapter), load_model(tmp_path / "merged")
    assert after.config.model_type == "qwen2"
    assert after.config.is_causal is False
    torch.testing.assert_close(logits(after), logits(before), atol=1e-4, rtol=1e-4)
    base = load_model(adapter.parent / "base")
    assert not torch.allclose(logits(after), logits(base), atol=1e-2)
    assert DiffusionSettings.of(after) == DiffusionSettings.of(before)
    assert DiffusionSettings.of(after).prompt_attention == "isolated"


def test_both_find_the_same_entities(adapter, tokenizer, tmp_path):
    merge(adapter, tmp_path / "merged")
    found = [
        EntityExtractor(load_model(path), tokenizer, canvas="aligned").predict_entities(TEXT, LABELS)
        for path in (adapter, tmp_path / "merged")
    ]
    assert found[0]
    shapes = [[(e["start"], e["end"], e["label"]) for e in entities] for entities in found]
    assert shapes[0] == shapes[1]


def test_the_record_names_no_path_and_a_true_difference(adapter, tmp_path):
    record = merge(adapter, tmp_path / "merged", dtype=torch.bfloat16)
    assert record == json.loads((tmp_path / "merged" / "merge.json").read_text())
    assert (record["adapter"], record["base"], record["dtype"]) == ("lora", "base", "bfloat16")
    assert 0 < record["difference"] <= TOLERANCE[torch.bfloat16]
    assert load_model(tmp_path / "merged").dtype == torch.bfloat16


def test_a_merge_that_changes_the_answers_leaves_nothing(adapter, tmp_path, monkeypatch):
    monkeypatch.setitem(TOLERANCE, torch.bfloat16, 1e-9)  # 16 bits cannot keep it
    with pytest.raises(
        MergeError, match=r"the logits differ by .* more than 1e-09 .*merge in --dtype float32"
    ):
        merge(adapter, tmp_path / "merged", dtype=torch.bfloat16)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_adapter_is_refused(adapter, tmp_path, capsys):
    assert main([str(adapter.parent / "base"), str(tmp_path / "merged")]) == 1
    assert "is no adapter (it has no adapter_config.json): nothing to merge" in capsys.readouterr().err
    assert main([str(adapter), str(tmp_path)]) == 1
    assert "exists; name a new folder" in capsys.readouterr().err
