"""Training: exact under accumulation, it learns, it can be stopped and gone on with, it saves what loads."""

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
from transformers import TrainerCallback
from trl import ModelConfig

from modeling import EntityExtractor, load_model, load_tokenizer
from modeling.arguments import DiffusionArguments
from modeling.collator import CompletionCollator, EntityCollator
from modeling.custom_generate.settings import DiffusionSettings
from modeling.encoding import PromptEncoder
from modeling.loss import TrainingBatch
from modeling.queries import Inventory, QuerySampler
from modeling.template import render_completion, render_prompt
from modeling.trainer import DiffusionTrainer
from modeling.training import RunArguments, run, save
from tests.conftest import REPOSITORY
from tests.modeling.tiny import (
    INVENTORIES,
    TYPES,
    save_encoder,
    tiny_dream,
    tiny_pointer,
    toy_rows,
    write_mix,
)


def arguments(folder: Path, **changes: Any) -> DiffusionArguments:
    quiet = {
        "use_cpu": True,
        "disable_tqdm": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
    }
    return DiffusionArguments(output_dir=str(folder), remove_unused_columns=False, **{**quiet, **changes})


def entity_trainer(
    model: Any, tokenizer: Any, args: DiffusionArguments, rows: list, **options: Any
) -> DiffusionTrainer:
    encoder = PromptEncoder(tokenizer, DiffusionSettings.of(model))
    return DiffusionTrainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_list(rows),
        data_collator=EntityCollator(encoder, QuerySampler(INVENTORIES), canvas_length=48),
        **options,
    )


def sure_rows(count: int) -> list[dict[str, Any]]:
    """Return rows that ask for one type, so that the query leaves nothing to chance."""
    return [
        {**row, "source": "person", "entities": [e for e in row["entities"] if e["type"] == "person"]}
        for row in toy_rows(count)
    ]


def sure_collator(model: Any, tokenizer: Any) -> EntityCollator:
    """Return a collator that draws nothing: aligned canvases only, one way to ask."""
    queries = QuerySampler({"person": Inventory(("person",))}, drop_rate=0.0, lower_rate=0.0)
    return EntityCollator(PromptEncoder(tokenizer, DiffusionSettings.of(model)), queries, canvas_length=0)


# Accumulation.


class Gradients(TrainerCallback):
    """Keeps the gradients that the first optimiser step is about to apply."""

    def __init__(self) -> None:
        self.kept: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        if not self.kept:
            self.kept = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_accumulated_gradients_are_those_of_the_whole_batch(tokenizer, tmp_path):
    rows = sure_rows(8)
    found = []
    for size, accumulation in ((8, 1), (4, 2), (3, 3)):
        model = tiny_pointer(tmp_path / "encoder", tokenizer)
        collator = sure_collator(model, tokenizer)
        gradients = Gradients()
        args = arguments(
            tmp_path,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulation,
            aligned_full_mask_rate=1.0,  # the masks are sure too
            max_steps=1,
            max_grad_norm=0.0,
        )
        trainer = DiffusionTrainer(
            model=model,
            args=args,
            train_dataset=Dataset.from_list(rows),
            data_collator=collator,
            callbacks=[gradients],
        )
        assert len({len(row["text"].split()) for row in rows}) > 1  # batches of unlike token counts
        trainer.train()
        found.append((gradients.kept, trainer.state.log_history[0]["loss"]))
    # The whole batch by hand: summed over its slots, divided by their number.
    model = tiny_pointer(tmp_path / "encoder", tokenizer).train()
    tensors = collator(rows)
    output = args.loss()(model, DiffusionSettings.of(model), TrainingBatch.from_tensors(tensors))
    mean = output.loss / (tensors["labels"] != -100).sum()
    mean.backward()
    for gradients, logged in found:
        assert logged == pytest.approx(mean.item(), rel=1e-4)
        for name, weight in model.named_parameters():
            if weight.grad is not None:
                torch.testing.assert_close(gradients[name], weight.grad, atol=1e-5, rtol=1e-5)


# Learning.


def test_a_small_network_learns_the_toy_language(trained):
    history = json.loads((trained / "training_log.json").read_text())["history"]
    steps = [entry for entry in history if "loss" in entry]
    assert steps[-1]["loss"] < 0.7 * steps[0]["loss"]
    assert sum(step["completion_loss"] for step in steps[-5:]) < 4.5 * steps[0]["completion_loss"]
    assert steps[-1]["aligned_nll"] < 0.1 * steps[0]["aligned_nll"]
    extractor = EntityExtractor.from_pretrained(trained)
    rows = toy_rows(60, seed=99)
    right = found = wanted = 0
    for row, entities in zip(
        rows, extractor.batch_predict_entities([r["text"] for r in rows], TYPES), strict=True
    ):
        answers = {(e["start"], e["end"], e["label"]) for e in entities}
        gold = {(e["start"], e["end"], e["type"]) for e in row["entities"]}
        right, found, wanted = right + len(answers & gold), found + len(answers), wanted + len(gold)
    # Three types: guessing the type of a rightly found span would reach a third.
    assert 2 * right / (found + wanted) > 0.9


def test_a_run_writes_a_folder_that_stands_alone(trained, tokenizer):
    names = {path.name for path in trained.iterdir()}
    assert {"config.json", "generation_config.json", "tokenizer_config.json", "custom_generate"} <= names
    assert not list(trained.rglob("__pycache__"))
    published = REPOSITORY / "modeling/custom_generate"
    for file in published.glob("*.py"):
        assert (trained / "custom_generate" / file.name).read_text() == file.read_text()
    assert load_tokenizer(trained).get_vocab() == tokenizer.get_vocab()
    metrics = json.loads((trained / "training_log.json").read_text())["metrics"]
    assert metrics["eval_aligned_loss"] < metrics["train_loss"]


# Evaluation and the random state.


def test_evaluation_is_the_same_every_time_and_does_not_disturb_the_training(tokenizer, tmp_path):
    rows = toy_rows(12)
    weights = []
    for evaluate in (False, True):
        model = tiny_pointer(tmp_path / "encoder", tokenizer)
        args = arguments(tmp_path, max_steps=4, eval_strategy="steps" if evaluate else "no", eval_steps=1)
        trainer = entity_trainer(model, tokenizer, args, rows, eval_dataset=Dataset.from_list(rows[:6]))
        trainer.train()
        weights.append({name: weight.clone() for name, weight in model.state_dict().items()})
    first, second = trainer.evaluate(), trainer.evaluate()
    assert first["eval_loss"] == second["eval_loss"] > 0
    assert "eval_aligned_loss" in trainer.state.log_history[-1]
    assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tokenizer, tmp_path):
    rows = sure_rows(24)

    def train(resume: bool) -> dict[str, torch.Tensor]:
        model = tiny_pointer(tmp_path / "encoder", tokenizer)
        args = arguments(
            tmp_path / "run",
            max_steps=6,
            save_strategy="steps",
            save_steps=3,
            tokens_per_batch=300,
            aligned_full_mask_rate=1.0,
        )
        trainer = DiffusionTrainer(
            model=model,
            args=args,
            train_dataset=Dataset.from_list(rows),
            data_collator=sure_collator(model, tokenizer),
            lengths=[len(row["text"]) for row in rows],
        )
        trainer.train(resume_from_checkpoint=resume or None)
        return dict(model.state_dict())

    whole = train(resume=False)
    shutil.rmtree(tmp_path / "run/checkpoint-6")
    resumed = train(resume=True)
    for name, weight in whole.items():
        torch.testing.assert_close(resumed[name], weight, atol=1e-6, rtol=1e-5)


# Batches of a token budget.


def test_the_budget_is_kept_and_every_epoch_has_its_own_order(tokenizer, tmp_path):
    rows = toy_rows(40)
    lengths = [len(row["text"]) for row in rows]
    args = arguments(tmp_path, tokens_per_batch=400)
    model = tiny_pointer(tmp_path / "encoder", tokenizer)
    trainer = entity_trainer(
        model, tokenizer, args, [{**r, "number": i} for i, r in enumerate(rows)], lengths=lengths
    )
    trainer.data_collator = lambda batch: {"numbers": torch.tensor([row["number"] for row in batch])}
    loader = trainer.get_train_dataloader()
    epochs = []
    for epoch in range(2):
        loader.set_epoch(epoch)  # as the Trainer does
        epochs.append([batch["numbers"].tolist() for batch in loader])
    for batches in epochs:
        assert sorted(i for batch in batches for i in batch) == list(range(40))
        assert all(len(batch) * max(lengths[i] for i in batch) <= 400 for batch in batches)
    assert epochs[0] != epochs[1]


def test_a_budget_needs_lengths(tokenizer, tmp_path):
    model = tiny_pointer(tmp_path / "encoder", tokenizer)
    with pytest.raises(ValueError, match="tokens_per_batch needs the lengths of the training rows"):
        entity_trainer(model, tokenizer, arguments(tmp_path, tokens_per_batch=64), toy_rows(2))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pad_weight", -0.1, r"pad_weight must be in \[0, 1\], got -0.1"),
        ("max_weight", 0.5, "max_weight must be at least 1 .*got 0.5"),
        ("aligned_full_mask_rate", 1.1, r"aligned_full_mask_rate must be in \[0, 1\], got 1.1"),
        ("aligned_weight", -1.0, "aligned_weight must not be negative, got -1.0"),
        ("tokens_per_batch", -1, "tokens_per_batch must not be negative, got -1"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path, name, value, message):
    with pytest.raises(ValueError, match=message):
        arguments(tmp_path, **{name: value})


# Dream and LoRA, on prompt and completion rows.


def completion_rows(count: int) -> list[dict[str, str]]:
    return [
        {
            "prompt": render_prompt(TYPES, row["text"]),
            "completion": render_completion([(e["type"], e["text"]) for e in row["entities"]], TYPES),
        }
        for row in toy_rows(count)
    ]


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
    save(trainer, tokenizer, {})
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


def test_a_run_trains_lora_from_a_folder_of_rows(tokenizer, tmp_path):
    base, data = tmp_path / "base", tmp_path / "data"
    tiny_dream(tokenizer).save_pretrained(base)
    tokenizer.save_pretrained(base)
    data.mkdir()
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in completion_rows(12)))
    model_arguments = ModelConfig(
        model_name_or_path=str(base), use_peft=True, lora_r=4, lora_target_modules=["q_proj", "v_proj"]
    )
    metrics = run(
        RunArguments(data=str(data), max_length=192, canvas_length=64),
        arguments(tmp_path / "out", max_steps=2, gradient_checkpointing=True),
        model_arguments,
    )
    assert metrics["train_loss"] > 0
    model = load_model(tmp_path / "out")
    assert model.peft_config["default"].base_model_name_or_path == str(base)
    extractor = EntityExtractor(model, load_tokenizer(tmp_path / "out"))
    assert isinstance(extractor.predict_entities("alice met bob", TYPES, steps=1), list)


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
