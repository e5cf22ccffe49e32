"""Training runs: LoRA on Dream, what a run writes, the command and the smoke run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from trl import ModelConfig

from modeling import EntityExtractor, load_model, load_tokenizer
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.arguments import RunArguments
from modeling.training.collator import CompletionCollator
from modeling.training.run import prepare_model, run, with_adapter
from modeling.training.trainer import DiffusionTrainer
from tests.conftest import REPOSITORY
from tests.modeling.smoke import smoke
from tests.modeling.tiny import TYPES, completion_rows, save_encoder, tiny_dream, write_mix
from tests.modeling.training.test_trainer import arguments

# Dream and LoRA, on prompt and completion rows.


def test_lora_on_dream_saves_an_adapter_that_loads_as_it_was(tokenizer, tmp_path):
    base = tmp_path / "base"
    tiny_dream(tokenizer).save_pretrained(base)
    tokenizer.save_pretrained(base)
    model = load_model(base)
    settings = DiffusionSettings.of(model)
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], base_model_name_or_path=str(base))
    model = get_peft_model(model, lora)
    settings.apply(model)
    trainer = DiffusionTrainer(
        model=model,
        args=arguments(tmp_path / "adapter", max_steps=4, learning_rate=1e-2, max_weight=4.0),
        train_dataset=Dataset.from_list(completion_rows(16)),
        data_collator=CompletionCollator(tokenizer, settings, max_length=192, canvas_length=64),
    )
    trainer.train()
    trainer.save_model()
    saved = load_file(tmp_path / "adapter/adapter_model.safetensors")
    assert all("lora" in name for name in saved)
    assert any(bool(weight.any()) for name, weight in saved.items() if "lora_B" in name)  # it was trained
    ids = torch.tensor([[70, 80, 90, settings.mask_token_id]])
    loaded = load_model(tmp_path / "adapter")
    with torch.no_grad():
        expected = model.eval()(input_ids=ids).logits
        torch.testing.assert_close(loaded(input_ids=ids).logits, expected)
        assert not torch.allclose(load_model(base)(input_ids=ids).logits, expected)
    assert DiffusionSettings.of(loaded) == settings


def tiny_base(folder: Path, tokenizer: Any) -> Path:
    tiny_dream(tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_run_trains_lora_from_a_folder_of_rows(tokenizer, tmp_path):
    base, data = tiny_base(tmp_path / "base", tokenizer), tmp_path / "data"
    data.mkdir()
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in completion_rows(12)))
    adapter = ModelConfig(
        model_name_or_path=str(base), use_peft=True, lora_r=4, lora_target_modules=["q_proj", "v_proj"]
    )
    metrics = run(
        RunArguments(data=str(data), max_length=192, canvas_length=64),
        arguments(tmp_path / "out", max_steps=2, checkpoint_layers=True, compile_layers=False),
        adapter,
    )
    assert metrics["train_loss"] > 0
    model = load_model(tmp_path / "out")
    assert model.peft_config["default"].base_model_name_or_path == str(base)
    extractor = EntityExtractor(model, load_tokenizer(tmp_path / "out"))
    assert isinstance(extractor.predict_entities("alice met bob", TYPES, steps=1), list)


def test_an_adapter_in_bf16_is_half_the_size_and_goes_on_from_fp32(tokenizer, tmp_path):
    base = tiny_base(tmp_path / "base", tokenizer)
    lora = ModelConfig(use_peft=True, lora_r=4, lora_dropout=0.1, lora_target_modules=["q_proj", "up_proj"])

    def train(resume: bool) -> tuple[DiffusionTrainer, list[float]]:
        model = with_adapter(load_model(base, dtype=torch.bfloat16), lora, "organisation/base")
        args = arguments(
            tmp_path / "out", max_steps=4, bf16=True, learning_rate=1e-2, save_strategy="steps", save_steps=2
        )
        settings = DiffusionSettings.of(model)
        trainer = DiffusionTrainer(
            model=model,
            args=args,
            train_dataset=Dataset.from_list(completion_rows(16)),
            data_collator=CompletionCollator(tokenizer, settings, max_length=192, canvas_length=96),
            processing_class=tokenizer,
        )
        trainer.train(resume_from_checkpoint=resume)
        return trainer, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    trainer, whole = train(resume=False)
    shutil.rmtree(tmp_path / "out/checkpoint-4")
    _, resumed = train(resume=True)
    assert resumed == pytest.approx(whole, abs=1e-6)
    folder = tmp_path / "out/checkpoint-2"
    stored = load_file(folder / "adapter_model.safetensors")
    assert {weight.dtype for weight in stored.values()} == {torch.bfloat16}
    assert {weight.dtype for weight in load_file(folder / "trained_weights.safetensors").values()} == {
        torch.float32
    }
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == (
        "organisation/base"
    )
    assert json.loads((folder / "generation_config.json").read_text())["logits_shift"] == 1
    assert (folder / "custom_generate/generate.py").is_file()
    # Outside the Trainer, without autocast, the adapter runs as ever.
    ids = torch.tensor([[70, 80, 90]])
    with torch.no_grad():
        assert torch.isfinite(trainer.model(input_ids=ids).logits).all()


def test_a_local_base_is_warned_of_and_rank_0_trains_all_weights(tokenizer, tmp_path, caplog):
    base = tiny_base(tmp_path / "base", tokenizer)
    targets = ["q_proj", "v_proj"]
    settings = ModelConfig(model_name_or_path=str(base), use_peft=True, lora_target_modules=targets)
    args = arguments(tmp_path)
    model, _ = prepare_model(RunArguments(lora_rank=3), args, settings)
    assert model.peft_config["default"].r == 3
    assert "--base_hub_id ORGANISATION/NAME" in caplog.text
    caplog.clear()
    prepare_model(RunArguments(base_hub_id="a/b"), args, settings)
    assert not caplog.text
    whole, _ = prepare_model(RunArguments(lora_rank=0), args, settings)
    assert all(weight.requires_grad for weight in whole.parameters())
    assert not hasattr(whole, "peft_config")
    with pytest.raises(ValueError, match="lora_rank must not be negative, got -1"):
        RunArguments(lora_rank=-1)


# The command.


def test_the_command_reads_yaml_and_a_flag_wins(tokenizer, tmp_path):
    write_mix(tmp_path / "mix", train=24, validation=4)
    save_encoder(tmp_path / "encoder", tokenizer)
    settings = {
        "data": str(tmp_path / "mix"),
        "new_pointer_from": str(tmp_path / "encoder"),
        "output_dir": str(tmp_path / "out"),
        "max_steps": 50,
        "tokens_per_batch": 512,
        "max_length": 128,
        "canvas_length": 32,
        "use_cpu": True,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "eval_sample_rows": 0,
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    result = subprocess.run(
        [sys.executable, "train_sft.py", "--config", str(tmp_path / "run.yaml"), "--max_steps", "2"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    log = json.loads((tmp_path / "out/training_log.json").read_text())
    assert max(entry["step"] for entry in log["history"]) == 2
    assert log["metrics"]["eval_loss"] > 0
    assert load_model(tmp_path / "out").config.model_type == "pointer_bert"


def test_the_smoke_run_learns_and_its_folder_loads(tmp_path):
    assert "F1 of the saved folder" in smoke(tmp_path / "smoke", 60, least=0.0)
    with pytest.raises(RuntimeError, match="the loss did not fall"):
        smoke(tmp_path / "smoke", 3)
