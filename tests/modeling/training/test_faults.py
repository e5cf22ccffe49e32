"""Runs that are killed, disks that are full, checkpoints that are broken, losses that are not finite."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from trl import ModelConfig, TrlParser

from modeling.training.arguments import DiffusionArguments, RunArguments
from modeling.training.checkpoints import RESUME_ONLY, CheckpointNotWritten, fault, last_whole
from modeling.training.loss import stop_at_bad_loss
from modeling.training.run import run
from tests.conftest import REPOSITORY
from tests.modeling.tiny import save_encoder, write_mix

STEPS = 8
SAVE = 3


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory, tokenizer) -> list[str]:
    """A run over entity rows with random queries, dropout, loader workers, and times that learn (P-POTS)."""
    folder = tmp_path_factory.mktemp("faults")
    data = write_mix(folder / "mix", train=48, validation=4)
    encoder = save_encoder(folder / "encoder", tokenizer)
    config = json.loads((encoder / "config.json").read_text())
    (encoder / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.1}))
    settings = {
        "data": data,
        "new_pointer_from": encoder,
        "max_length": 128,
        "canvas_length": 32,
        "max_steps": STEPS,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "dataloader_num_workers": 1,
        "masks": "complementary",
        "learning_rate": 1e-3,
        "logging_steps": 1,
        "save_steps": SAVE,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "eval_sample_rows": 0,
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
    }
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def train(flags: list[str], output: Path, *more: str) -> None:
    """Run as ``train_sft.py`` does."""
    parser = TrlParser([RunArguments, DiffusionArguments, ModelConfig])
    run(*parser.parse_args_and_config([*flags, "--output_dir", str(output), *more]))


def history(folder: Path, name: str) -> dict[int, float]:
    entries = json.loads((folder / "training_log.json").read_text())["history"]
    return {entry["step"]: entry[name] for entry in entries if name in entry}


@pytest.fixture(scope="module")
def uninterrupted(flags, tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(flags, folder)
    assert list(history(folder, "loss")) == list(range(1, STEPS + 1))
    return folder


def test_a_killed_run_goes_on_with_the_same_losses(flags, uninterrupted, tmp_path):
    process = subprocess.Popen(
        [sys.executable, str(REPOSITORY / "train_sft.py"), *flags, "--output_dir", str(tmp_path)],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    logged = 0
    for line in process.stdout:
        logged += line.startswith("{'loss'")
        if logged == SAVE + 2:  # between two checkpoints, the workers having read ahead
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    assert process.wait(60) == -signal.SIGKILL
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == [f"checkpoint-{SAVE}"]
    train(flags, tmp_path, "--resume", "true")
    for name in ("loss", "eval_loss"):
        assert history(tmp_path, name) == pytest.approx(history(uninterrupted, name), abs=1e-6)
    own = load_file(tmp_path / "model.safetensors")
    for name, weight in load_file(uninterrupted / "model.safetensors").items():
        torch.testing.assert_close(own[name], weight, atol=1e-6, rtol=0)


def test_broken_checkpoints_are_reported_and_the_last_whole_one_is_used(
    flags, uninterrupted, tmp_path, caplog
):
    run = tmp_path / "run"
    shutil.copytree(uninterrupted, run)
    (run / "training_log.json").unlink()
    newest, middle = run / "checkpoint-8", run / "checkpoint-6"
    weights = newest / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    (middle / "trainer_state.json").unlink()
    train(flags, run, "--resume", "true")
    assert "checkpoint-8 is not used: model.safetensors has" in caplog.text
    assert "checkpoint-6 is not used: trainer_state.json is missing" in caplog.text
    assert history(run, "loss") == pytest.approx(history(uninterrupted, "loss"), abs=1e-6)
    assert fault(newest) is None  # written anew


def test_a_full_disk_is_reported_and_the_last_whole_checkpoint_stays(flags, uninterrupted, tmp_path):
    resource = pytest.importorskip("resource")
    run = tmp_path / "run"
    run.mkdir()
    shutil.copytree(uninterrupted / f"checkpoint-{SAVE}", run / f"checkpoint-{SAVE}")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A file cannot grow beyond this: the weights fail half-way, as on a disk that is full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(CheckpointNotWritten, match="checkpoint-6 could not be written") as caught:
            train(flags, run, "--resume", "true")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert f"the last whole one is {run}/checkpoint-{SAVE}" in str(caught.value)
    assert "--resume" in str(caught.value)
    assert [path.name for path in run.glob("checkpoint-*")] == [f"checkpoint-{SAVE}"]


def test_without_any_checkpoint_a_resumed_run_begins(tmp_path):
    assert last_whole(tmp_path / "nothing") is None
    half = tmp_path / "checkpoint-5"
    half.mkdir()
    assert "not written to its end" in str(fault(half))
    (half / "complete.json").write_text("{")
    assert "cannot be read" in str(fault(half))
    assert last_whole(tmp_path) is None


def test_a_checkpoint_can_be_uploaded(uninterrupted):
    folder = uninterrupted / f"checkpoint-{SAVE}"
    own = {path.name for path in folder.iterdir()}
    local = {path.name for pattern in RESUME_ONLY for path in folder.glob(pattern)}
    assert {"optimizer.pt", "trainer_state.json", "complete.json"} <= local
    assert own - local == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "custom_generate",
    }
    assert not list(uninterrupted.rglob("training_args.bin"))


def test_tokenizing_with_several_threads_does_not_hang_the_workers(flags, tmp_path):
    more = ["--output_dir", str(tmp_path), "--max_steps", "1", "--eval_strategy", "no"]
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "train_sft.py"), *flags, *more],
        cwd=REPOSITORY,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": "2"},
        capture_output=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_loss_that_is_not_finite_stops_with_its_batch(tmp_path):
    batch = {"prompt_ids": torch.arange(6).view(2, 3), "place": "step 7"}
    stop_at_bad_loss(torch.tensor(1.0), batch, tmp_path, 3)
    assert not list(tmp_path.iterdir())
    with pytest.raises(
        FloatingPointError, match=r"loss of step 4 is nan.*bad_batch/step-3-process-0"
    ) as caught:
        stop_at_bad_loss(torch.tensor(float("nan")), batch, tmp_path, 3)
    assert "learning_rate" in str(caught.value)
    path = tmp_path / "bad_batch/step-3-process-0.safetensors"
    assert torch.equal(load_file(path)["prompt_ids"], batch["prompt_ids"])
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"loss": "nan", "step": "3", "place": "'step 7'"}


def test_weights_that_explode_stop_the_run(flags, tmp_path):
    with pytest.raises(FloatingPointError):
        train(flags, tmp_path, "--learning_rate", "1e30", "--max_grad_norm", "0", "--save_strategy", "no")
    (saved,) = (tmp_path / "bad_batch").iterdir()
    assert "prompt_ids" in load_file(saved)
