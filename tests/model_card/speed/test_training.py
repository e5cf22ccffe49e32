"""The training measurement: its count of operations against torch's own, and a run of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from torch.utils.flop_counter import FlopCounterMode
from trl import ModelConfig

from model_card.__main__ import main
from model_card.speed.shape import DREAM_7B, LORA_TARGETS
from model_card.speed.training import EPOCHS, PASSAGES, build, extrapolation, operations
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.batch import TrainingBatch
from modeling.training.collator import CompletionCollator
from modeling.training.loss import DiffusionLoss
from modeling.training.run import with_adapter
from tests.modeling.tiny import completion_rows, toy_tokenizer

SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def test_counted_operations_are_those_that_run() -> None:
    tokenizer = toy_tokenizer()
    config = {**DREAM_7B, **SHAPE, "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    config |= {"mask_token_id": tokenizer.mask_token_id, "bos_token_id": None, "eos_token_id": None}
    lora = ModelConfig(use_peft=True, lora_r=8, lora_dropout=0.0, lora_target_modules=LORA_TARGETS)
    model = with_adapter(build(config, torch.device("cpu")), lora).float().train()
    model.set_attn_implementation("eager")
    settings = DiffusionSettings.of(model)
    tensors = CompletionCollator(tokenizer, settings, 256, 112, truncate=False)(completion_rows(1) * 2)
    tokens = tensors["prompt_mask"].sum(1) + tensors["completion_mask"].sum(1)
    counts = {
        "tokens": int(tokens.sum()),
        "pairs": int((tokens**2).sum()),
        "canvas": int((tensors["labels"] != -100).sum()),
    }
    with FlopCounterMode(display=False) as counter:
        output = DiffusionLoss()(model, settings, TrainingBatch.from_tensors(tensors), times=torch.ones(2))
        output.loss.backward()
    counted = operations(model, counts, masked_share=1.0)
    # Padding to a multiple of 8 runs too; the first layer's input needs no gradient. Neither is counted.
    assert counter.get_total_flops() == pytest.approx(counted, rel=0.1)


def test_the_full_set_is_extrapolated_by_the_rows() -> None:
    rows = Dataset.from_list([{"passage_id": name} for name in ("a", "a", "b", "c")])
    found = extrapolation(rows, tokens_per_row=300.0, tokens_per_s=10_000.0)
    assert found["rows"] == round(PASSAGES * 4 / 3)
    assert found["hours"] == pytest.approx(found["rows"] * EPOCHS * 300 / 10_000 / 3600, abs=1e-3)


def test_a_rehearsal_measures_a_variant(shared: Path, tmp_path: Path) -> None:
    rows = [{"passage_id": str(i), **row} for i, row in enumerate(completion_rows(12))]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "shape.json").write_text(json.dumps({**SHAPE, "num_hidden_layers": 1}))
    command = ["--tokenizer", str(shared / "tokenizers/dream"), "--rows", str(tmp_path / "rows.jsonl")]
    command += ["--shape", str(tmp_path / "shape.json"), "--output", str(tmp_path / "out.json")]
    sizes = ["--steps", "1", "--warmup", "1", "--batch-size", "1", "--accumulation", "1"]
    assert main(["speed", "training", *command, *sizes, "--variants", "plain"]) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    found = report["variants"]["plain"]
    assert found["steps"] == 1
    assert found["tokens_per_s"] > 0
    assert found["adapter_bytes"] > found["trainable_parameters"] * 2  # bf16, and a header
    assert {"command", "commit", "versions", "hardware"} <= set(report)
    assert report["recipe"]["lora_rank"] == 64
