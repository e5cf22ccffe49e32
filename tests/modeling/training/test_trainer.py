"""Training: exact under accumulation, it learns, it can be stopped and gone on with, it saves what loads."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import TrainerCallback

from modeling import EntityExtractor, load_tokenizer
from modeling.canvas.encoding import PromptEncoder
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.arguments import DiffusionArguments
from modeling.training.collator import EntityCollator
from modeling.training.loss import TrainingBatch
from modeling.training.queries import Inventory, QuerySampler
from modeling.training.trainer import DiffusionTrainer
from modeling.training.validation import questions
from tests.conftest import REPOSITORY
from tests.modeling.tiny import (
    INVENTORIES,
    TYPES,
    tiny_pointer,
    toy_rows,
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
    queries, answers = QuerySampler(INVENTORIES), options.pop("answers", ())
    return DiffusionTrainer(
        model=model,
        args=args,
        train_dataset=Dataset.from_list(rows),
        data_collator=EntityCollator(encoder, queries, canvas_length=48, answer_lengths=answers),
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


@pytest.mark.parametrize("masks", ["single", "complementary"])
def test_accumulated_gradients_are_those_of_the_whole_batch(tokenizer, tmp_path, masks):
    rows = toy_rows(8)  # of unlike lengths, asked for types that are drawn, masked at times that are drawn
    found = []
    for size, accumulation in ((8, 1), (4, 2), (3, 3), (1, 8)):
        model = tiny_pointer(tmp_path / "encoder", tokenizer)
        gradients = Gradients()
        args = arguments(
            tmp_path,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulation,
            masks=masks,
            max_steps=1,
            max_grad_norm=0.0,
        )
        trainer = entity_trainer(model, tokenizer, args, rows, callbacks=[gradients], answers=[4, 9, 17])
        trainer.train()
        found.append((gradients.kept, trainer.state.log_history[0]))
    (expected, logged), *others = found
    assert any(bool(gradient.any()) for gradient in expected.values())
    for gradients, log in others:
        assert log["loss"] == pytest.approx(logged["loss"], rel=1e-5)
        assert log["completion_masked"] == pytest.approx(logged["completion_masked"], rel=1e-5)
        for name, gradient in expected.items():
            torch.testing.assert_close(gradients[name], gradient, atol=1e-5, rtol=1e-5)


def test_the_loss_is_divided_by_all_canvas_tokens_of_the_step(tokenizer, tmp_path):
    rows = sure_rows(8)
    model = tiny_pointer(tmp_path / "encoder", tokenizer).train()
    collator = sure_collator(model, tokenizer)
    args = arguments(
        tmp_path,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        aligned_full_mask_rate=1.0,  # every slot is masked, so that nothing is left to chance
        max_steps=1,
    )
    tensors = collator(rows)
    output = args.loss()(model, DiffusionSettings.of(model), TrainingBatch.from_tensors(tensors))
    mean = output.loss / (tensors["labels"] != -100).sum()
    trainer = DiffusionTrainer(
        model=model, args=args, train_dataset=Dataset.from_list(rows), data_collator=collator
    )
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(mean.item(), rel=1e-5)


# The log.


def test_the_log_tells_what_goes_wrong_first(tokenizer, tmp_path):
    rows = toy_rows(40)
    model = tiny_pointer(tmp_path / "encoder", tokenizer)
    args = arguments(tmp_path, max_steps=2, per_device_train_batch_size=20, eval_draws=3)
    queries = QuerySampler(INVENTORIES)
    trainer = entity_trainer(
        model,
        tokenizer,
        args,
        rows,
        eval_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        sample=questions(rows, queries, 4),
    )
    trainer.train()
    step = trainer.state.log_history[0]
    assert step["prompt_masked"] == 0
    assert {"learning_rate", "grad_norm", "completion_loss", "completion_nll", "aligned_nll"} <= set(step)
    assert 0 < step["completion_pad_share"] < 1
    figures = trainer.evaluate()
    assert figures["eval_prompt_masked"] == 0
    assert 0 <= figures["eval_f1"] <= 1
    assert 0 <= figures["eval_format_compliance"] <= 1
    for low in range(0, 100, 20):
        rate = f"{low:02}_{low + 20}"
        # 120 rows at evenly spaced times: every bucket has its share, and the masks are as the schedule says.
        expected = figures[f"eval_completion_expected_{rate}"]
        assert low / 100 <= expected <= low / 100 + 0.2
        # Some 360 slots: the standard deviation of their share is 0.025.
        assert figures[f"eval_completion_masked_{rate}"] == pytest.approx(expected, abs=0.1)
        assert figures[f"eval_completion_nll_{rate}"] > 0
    trainer.settings = replace(trainer.settings, mask_token_id=rows_token(tokenizer))
    trainer.diffusion_loss = replace(trainer.diffusion_loss)
    assert trainer.evaluate()["eval_prompt_masked"] > 0  # a mask token in the prompt shows


def rows_token(tokenizer: Any) -> int:
    """Return a token that every prompt holds."""
    return tokenizer.get_vocab()["extract"]


def test_reports_go_to_tensorboard(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    model = tiny_pointer(tmp_path / "encoder", tokenizer)
    args = arguments(tmp_path, max_steps=1, report_to="tensorboard")
    entity_trainer(model, tokenizer, args, toy_rows(4)).train()
    assert list((tmp_path / "board").rglob("events.out.tfevents.*"))


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
        ("eval_draws", 0, "eval_draws must be at least 1, got 0"),
        ("eval_sample_rows", -1, "eval_sample_rows must not be negative, got -1"),
        ("eval_sample_steps", 0, "eval_sample_steps must be at least 1, got 0"),
        ("torch_compile", True, "use compile_layers"),
        ("logging_nan_inf_filter", True, "logging_nan_inf_filter must be false"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path, name, value, message):
    with pytest.raises(ValueError, match=message):
        arguments(tmp_path, **{name: value})


# Compiled layers.


def test_compiled_layers_compute_the_same(tokenizer, tmp_path):
    logged = []
    for compiled in (False, True):
        torch._dynamo.reset()
        model = tiny_pointer(tmp_path / "encoder", tokenizer)
        args = arguments(tmp_path, max_steps=1, per_device_train_batch_size=4, compile_layers=compiled)
        with torch._dynamo.config.patch(suppress_errors=False):
            trainer = entity_trainer(model, tokenizer, args, toy_rows(8))
            for layer in model.bert.encoder.layer if compiled else ():
                layer.compile(backend="aot_eager", dynamic=True)  # no C++ compiler is needed
            trainer.train()
        logged.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
        assert all((layer._compiled_call_impl is not None) == compiled for layer in model.bert.encoder.layer)
    assert logged[0] == pytest.approx(logged[1], rel=1e-4)
