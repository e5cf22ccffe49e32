"""From nothing to the finished card with a tiny untrained model: kept, resumed, the same byte for byte."""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard

from dataset_builder.benchmarks import load_benchmarks
from model_card.__main__ import main
from model_card.baselines.conversation import answer
from model_card.evidence.predict import NOT_FINISHED, share, units_of
from model_card.evidence.predictions import BASELINE, Prediction, baseline_folder, save, unit_path
from model_card.evidence.results import ROOT, holds
from model_card.experiments.protocol import Context, Experiment, context_of, flags
from model_card.experiments.registry import EXPERIMENTS, standard
from model_card.figures.markdown import results_of
from model_card.figures.render import render
from modeling import load_tokenizer
from tests.modeling.tiny import tiny_pointer


def run_evidence(argv: list[str]) -> int:
    return main(["evidence", *argv])


def run_predict(argv: list[str]) -> int:
    return main(["predict", *argv])


def context(command: list[str]) -> Context:
    """The context that the options describe."""
    parser = argparse.ArgumentParser()
    flags(parser)
    return context_of(parser.parse_args(command))


@pytest.fixture(scope="module")
def command(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options of a run over one sentence of each set with an untrained network of two layers."""
    folder = tmp_path_factory.mktemp("evidence")
    tokenizer = load_tokenizer(ROOT / "modeling" / "mini")
    model = tiny_pointer(folder / "encoder", tokenizer)
    with torch.no_grad():  # padding, the last sign, is likely: an untrained network's answers would never end
        model.completion_head.symbol_bias[-1] += 6.0
    model.save_pretrained(folder / "tiny")
    model.generation_config.save_pretrained(folder / "tiny")
    tokenizer.save_pretrained(folder / "tiny")
    data = shared / "data" / "benchmarks"
    options = ["--model", str(folder / "tiny"), "--data", str(data), "--limit", "1", "--device", "cpu"]
    return [*options, "--runs", str(folder / "runs")]


@pytest.fixture(scope="module")
def finished(command: list[str]) -> Path:
    """The folder of results and card of a whole run, one baseline among them."""
    runs = Path(command[-1])
    data = Path(command[3])
    for benchmark in load_benchmarks("test", data):
        sentence = benchmark.sentences[0]
        gold: dict[str, list[str]] = {}
        for entity in sentence.entities:
            gold.setdefault(entity.type, []).append(entity.text)
        found = answer(sentence.text, {kind: json.dumps(own) for kind, own in gold.items()})
        header = {
            "data_sha256": benchmark.sha256,
            "sentences": 1,
            "setting": "gold answers",
            "seconds": 0.5,
            "hardware": "none",
            "versions": {},
        }
        path = unit_path(baseline_folder("org/oracle", runs), BASELINE, benchmark, 1)
        save(path, Prediction(header, [[found]]))
    assert run_evidence(command) == 0
    return runs / "tiny-first-1"


def checksums(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_killed_run_goes_on(command: list[str]) -> None:
    runs = Path(command[-1])
    process = subprocess.Popen(
        [sys.executable, "-m", "model_card", "predict", *command, "--shard", "1/4"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 400
    while not any(runs.rglob("*.json.gz")):
        assert time.monotonic() < deadline
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in runs.rglob("*.json.gz")}
    units = share(units_of(context(command)), "1/4")
    assert len(kept) < len(units)
    assert run_predict([*command, "--shard", "1/4", "--time-limit", "0"]) == NOT_FINISHED
    assert run_predict([*command, "--shard", "1/4"]) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list(runs.rglob("*.json.gz"))) == len(units)


def test_every_experiment_writes_its_file(finished: Path) -> None:
    for experiment in standard():
        report = json.loads((finished / f"{experiment.name}.json").read_text(encoding="utf-8"))
        assert report["limit"] == 1
        assert report["identity"]["weights_sha256"]
        assert {"command", "commit", "date", "versions"} <= set(report["scored"])
        for table in experiment.tables.values():
            assert "|" in table(finished)
        if experiment.name != "denoising":
            assert {"hardware", "versions", "dtype"} <= set(report["predicted"][0])
    assert "Reference:" in (finished / "self_correction_cases.md").read_text(encoding="utf-8")


def test_a_second_run_changes_no_byte(
    finished: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = checksums(Path(command[-1]))
    assert run_evidence(command) == 0
    printed = capsys.readouterr().out
    assert printed.count("kept ") == len(standard())
    assert checksums(Path(command[-1])) == before


def test_a_lost_results_file_is_scored_again_to_the_same_results(finished: Path, command: list[str]) -> None:
    kept = json.loads((finished / "main.json").read_text(encoding="utf-8"))
    (finished / "main.json").unlink()
    path, held = EXPERIMENTS["main"].measure(context(command))
    assert (path, held) == (finished / "main.json", False)
    assert json.loads((finished / "main.json").read_text(encoding="utf-8"))["results"] == kept["results"]


def test_the_card_says_what_the_files_say(finished: Path) -> None:
    text = (finished / "README.md").read_text(encoding="utf-8")
    assert ModelCard(text).data.license == "cc-by-nc-4.0"
    found = json.loads((finished / "main.json").read_text(encoding="utf-8"))["results"]
    assert f"**{100 * found['settings'][found['headline']]['mean']['f1']:.1f}**" in text
    # One sentence of each set is no evidence: nothing of it may stand in the model index.
    assert ModelCard(text).data.eval_results is None
    for picture in ("card_f1.png", "card_pareto.png", "card_denoising_aligned.gif"):
        assert f"({picture})" in text
        assert (finished / picture).stat().st_size > 5000


def test_a_baseline_is_scored_beside_the_model(finished: Path) -> None:
    found = json.loads((finished / "main.json").read_text(encoding="utf-8"))["results"]
    oracle = found["baselines"]["oracle"]
    assert oracle["setting"] == "gold answers"
    assert oracle["mean"]["f1"] > 0.9  # misc is not asked for
    assert oracle["against"]["f1_difference"] < 0
    errors = json.loads((finished / "errors.json").read_text(encoding="utf-8"))["results"]
    assert set(errors["baselines"]) == {"oracle"}
    pareto = json.loads((finished / "pareto.json").read_text(encoding="utf-8"))["results"]
    assert pareto["baselines"]["oracle"]["seconds_per_sentence"] == 0.5


def test_shards_cover_everything_once() -> None:
    units = list(range(23))
    shards = [share(units, f"{i}/5") for i in range(1, 6)]  # type: ignore[arg-type]
    assert sorted(unit for own in shards for unit in own) == units
    with pytest.raises(ValueError, match="I/N with I from 1 to N"):
        share([], "6/5")


def test_wrong_numbers_and_missing_data_are_errors_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_evidence(["--data", str(tmp_path), "--limit", "0"])
    assert ended.value.code == 2
    assert "'0' is not a whole number of at least 1" in capsys.readouterr().err
    assert run_evidence(["--data", str(tmp_path), "--runs", str(tmp_path)]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_other_arithmetic_is_another_result(finished: Path, command: list[str]) -> None:
    own = context(command)
    other = context([*command, "--dtype", "bfloat16"])
    assert own.predictor.folder != other.predictor.folder
    assert holds_for(own, finished)
    assert not holds_for(other, finished)


def holds_for(own: Context, folder: Path) -> bool:
    """Whether the results file of the size holds in this context."""
    experiment = EXPERIMENTS["size"]
    identity = {"version": experiment.version, **own.identity(experiment.units(own))}
    return holds(folder, "size", {**identity, "baselines": own.baseline_digests()})


def test_an_experiment_is_added_by_one_entry(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One entry gives the command, the results file that is kept, the table and the block of the card."""
    calls = []

    def run(own: Context) -> dict[str, int]:
        calls.append(own.limit)
        return {"sets": len(own.predictor.benchmarks())}

    def shown(folder: Path) -> str:
        return f"There are {results_of(folder, 'counting')['results']['sets']} sets."

    own = Experiment("counting", "the number of test sets", run, {"counting": shown}, standard=False)
    monkeypatch.setitem(EXPERIMENTS, "counting", own)
    words = ["experiment", "counting", *command, "--results", str(tmp_path)]
    assert main(words) == 0
    assert "There are 7 sets." in capsys.readouterr().out
    assert main(words) == 0
    assert "kept" in capsys.readouterr().out
    assert calls == [1]
    block = "<!-- figures: counting -->\n<!-- /figures -->"
    assert "There are 7 sets." in render(block, tmp_path)
    assert "Not measured yet: `python -m model_card experiment counting`." in render(block, tmp_path / "none")
