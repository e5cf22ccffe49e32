"""Several processes: DDP and FSDP2 give the losses of one process with the same global batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from trl import ModelConfig, TrlParser

from modeling import EntityExtractor
from modeling.training.arguments import DiffusionArguments, RunArguments
from modeling.training.run import run
from tests.conftest import REPOSITORY
from tests.modeling.tiny import TYPES, completion_rows, tiny_dream

CONFIGS = REPOSITORY / "modeling/configs"


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory, tokenizer) -> list[str]:
    folder = tmp_path_factory.mktemp("launch")
    base, data = folder / "base", folder / "data"
    tiny_dream(tokenizer).save_pretrained(base)
    tokenizer.save_pretrained(base)
    data.mkdir()
    rows = [json.dumps(row) + "\n" for row in completion_rows(29)]
    (data / "train.jsonl").write_text("".join(rows[:22]))
    (data / "validation.jsonl").write_text("".join(rows[22:]))
    settings = {
        "model_name_or_path": base,
        "data": data,
        "max_length": 256,
        "canvas_length": 112,
        "num_train_epochs": 1,
        "lora_rank": 4,
        "lora_alpha": 8,
        "lora_dropout": 0.0,
        "masks": "complementary",
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "eval_sample_rows": 2,
        "eval_sample_steps": 2,
        "per_device_eval_batch_size": 2,
        "save_steps": 2,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    return ["train_sft.py", *words, "--lora_target_modules", "q_proj", "v_proj", "down_proj"]


def start(flags: list[str], output: Path, launch: list[str], *more: str) -> dict[str, list[float]]:
    """Train in processes of their own and return what was logged."""
    result = subprocess.run(
        [sys.executable, *launch, *flags, "--output_dir", str(output), *more],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return logged(output)


def logged(output: Path) -> dict[str, list[float]]:
    history = json.loads((output / "training_log.json").read_text())["history"]
    names = ("loss", "grad_norm", "eval_loss", "eval_completion_nll_20_40", "eval_f1")
    return {name: [entry[name] for entry in history if name in entry] for name in names}


@pytest.fixture(scope="module")
def alone(flags, tmp_path_factory) -> tuple[Path, dict[str, list[float]]]:
    torch.set_num_threads(1)
    output = tmp_path_factory.mktemp("alone")
    # Two batches of four an optimiser step: two processes see one each.
    more = ["--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "2"]
    parser = TrlParser([RunArguments, DiffusionArguments, ModelConfig])
    run(*parser.parse_args_and_config([*flags[1:], "--output_dir", str(output), *more]))
    return output, logged(output)


@pytest.mark.parametrize("name", ["ddp", "fsdp2"])
def test_two_processes_train_as_one_does(flags, alone, tmp_path, name):
    port = str(29600 + os.getpid() % 1000)
    launch = ["-m", "accelerate.commands.launch", "--config_file", str(CONFIGS / f"{name}.yaml")]
    launch += ["--num_processes", "2", "--mixed_precision", "no", "--main_process_port", port]
    found = start(flags, tmp_path, launch, "--per_device_train_batch_size", "4")
    folder, expected = alone
    assert len(found["loss"]) == 3  # 22 rows: two steps of eight and one of six
    assert len(set(expected["loss"])) == 3
    for figure, values in expected.items():
        assert found[figure] == pytest.approx(values, rel=2e-5), figure
    # Both saved one adapter, whole, with the same weights.
    names = {path.name for path in folder.iterdir() if path.is_file()}
    assert names == {path.name for path in tmp_path.iterdir() if path.is_file()}
    own = load_file(tmp_path / "adapter_model.safetensors")
    for key, weight in load_file(folder / "adapter_model.safetensors").items():
        torch.testing.assert_close(own[key], weight, atol=2e-4, rtol=0)
    extractor = EntityExtractor.from_pretrained(tmp_path, device="cpu")
    assert isinstance(extractor.predict_entities("alice met bob", TYPES, steps=1), list)
    # The processes each left their random state, so the run could go on.
    state = {path.name for path in (tmp_path / "checkpoint-2").iterdir()}
    assert {"rng_state_0.pth", "rng_state_1.pth", "complete.json", "adapter_model.safetensors"} <= state


def test_the_configurations_are_for_gpus_as_they_are():
    for name, kind in (("ddp", "MULTI_GPU"), ("fsdp2", "FSDP")):
        config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
        assert config["distributed_type"] == kind
        assert config["num_processes"] == 2
        assert config["mixed_precision"] == "bf16"
        assert not config["use_cpu"]
    assert config["fsdp_config"]["fsdp_version"] == 2
