"""Runs from one start and the mean of their weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from trl import ModelConfig

from modeling import load_model
from modeling.training.arguments import DiffusionArguments, RunArguments
from modeling.training.averaging import mean_of
from modeling.training.run import run
from tests.modeling.tiny import write_mix

STEPS = 2


def settings(output: Path, seed: int = 0) -> DiffusionArguments:
    return DiffusionArguments(
        output_dir=str(output),
        max_steps=STEPS,
        learning_rate=1e-3,
        tokens_per_batch=512,
        max_weight=4.0,
        logging_steps=1,
        eval_sample_rows=0,
        save_strategy="no",
        seed=seed,
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
    )


def recipe(data: Path, init: Path, **others: object) -> RunArguments:
    return RunArguments(data=str(data), init=str(init), max_length=128, canvas_length=64, **others)  # type: ignore[arg-type]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder, dtype=torch.float32).state_dict()


def test_the_mean_of_runs_that_equal_runs_by_themselves(trained: Path, tmp_path: Path) -> None:
    data, output = write_mix(tmp_path / "mix", train=60, validation=6), tmp_path / "mean"
    metrics = run(recipe(data, trained, average_runs=2), settings(output, seed=3), ModelConfig())
    assert metrics["eval_loss"] > 0
    runs = [weights(output / f"run-{number}") for number in range(2)]
    assert any(not torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    for name, value in weights(output).items():
        torch.testing.assert_close(value, (runs[0][name] + runs[1][name]) / 2)
    run(recipe(data, trained), settings(tmp_path / "single", seed=4), ModelConfig())
    single = weights(tmp_path / "single")
    for name, value in runs[1].items():
        torch.testing.assert_close(value, single[name], rtol=0, atol=0)
    log = json.loads((output / "training_log.json").read_text(encoding="utf-8"))
    assert {entry["run"] for entry in log["history"]} == {0, 1}


def test_a_run_that_is_there_is_not_trained_again(trained: Path, tmp_path: Path) -> None:
    data, output = write_mix(tmp_path / "mix", train=60, validation=6), tmp_path / "mean"
    run(recipe(data, trained, average_runs=2), settings(output), ModelConfig())
    before, kept = weights(output), (output / "run-0/training_log.json").stat().st_mtime_ns
    (output / "run-1/training_log.json").unlink()  # as if it had been killed
    run(recipe(data, trained, average_runs=2, resume=True), settings(output), ModelConfig())
    assert (output / "run-0/training_log.json").stat().st_mtime_ns == kept
    for name, value in weights(output).items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_only_runs_of_one_network_have_a_mean(trained: Path) -> None:
    with pytest.raises(ValueError, match="only runs of one network"):
        mean_of([trained, "modeling/mini"])
    with pytest.raises(ValueError, match="at least one"):
        mean_of([])


def test_runs_to_be_averaged_need_a_trained_start() -> None:
    with pytest.raises(ValueError, match="average_runs needs init"):
        RunArguments(average_runs=3)
    with pytest.raises(ValueError, match="average_runs must be at least 1"):
        RunArguments(average_runs=0)
