"""Every command and every Python block of the README and of the evidence does what it says."""

import argparse
import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from itertools import islice
from pathlib import Path

import pytest
from datasets import load_dataset

import train_sft
from model_card.experiments import finetune, zero_shot
from model_card.experiments.protocol import flags as shared_flags
from model_card.figures import render
from model_card.speed import scale
from modeling.cli.main import main
from tests.hub.models import make_models
from tests.model_card.release.test_card import anchors
from tests.modeling.tiny import save_encoder, toy_tokenizer

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EVIDENCE = (ROOT / "model_card" / "EVIDENCE.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = {ROOT / "README.md": README, ROOT / "model_card" / "EVIDENCE.md": EVIDENCE}
COMMANDS = list(dict.fromkeys(re.findall(r"^\$ (python .+)$", README + EVIDENCE, re.MULTILINE)))


def run(command: str, cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a README command with this interpreter, from the repository's modules."""
    words = shlex.split(command)
    assert words[0] == "python"
    return subprocess.run(
        [sys.executable, *words[1:]],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        **options,  # type: ignore[call-overload]
    )


def command_with(*words: str) -> str:
    """Return the one command of the pages that holds all the words."""
    found = [command for command in COMMANDS if all(word in command for word in words)]
    assert len(found) == 1, (words, COMMANDS)
    return found[0]


def test_every_command_is_covered_here() -> None:
    kinds = (
        "modeling annotate",
        "modeling convert",
        "modeling data",
        "modeling evaluate",
        "modeling extract",
        "modeling merge",
        "modeling mix",
        "model_card experiment",
        "model_card release",
        "model_card speed scale",
        "train_sft.py",
    )
    assert COMMANDS
    assert all(any(kind in command for kind in kinds) for command in COMMANDS)


def test_first_command_prints_what_the_readme_shows() -> None:
    result = run(command_with("modeling extract", "Ronaldo"), ROOT)
    assert result.returncode == 0, result.stderr
    shown = re.search(r"<!-- example: cli -->\n```\n(.*?)```\n<!-- /example -->", README, re.DOTALL)
    assert shown is not None
    # Scores may differ in the last digit between processors.
    score = re.compile(r"0\.\d+")
    assert score.sub("0", result.stdout).split() == score.sub("0", shown[1]).split()


def test_python_blocks_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for page in PAGES.values():
        blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        assert blocks
        for block in blocks:
            exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "Ronaldo person" in printed
    assert "'label': 'PER'" in printed
    assert "of 10 runs find Ronaldo" in printed
    assert "'recall': 0.5" in printed


def test_files_go_in_and_out(tmp_path: Path) -> None:
    rows = [{"text": "Ann Smith lives in Oslo ."}, {"text": "Bob took aspirin .", "labels": ["medication"]}]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = run(command_with("modeling extract", "--input"), tmp_path)
    assert result.returncode == 0, result.stderr
    lines = (tmp_path / "entities.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == [row["text"] for row in rows]


def test_a_corpus_is_annotated_and_checked(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (pip install -r requirements-ray.txt)")
    rows = [{"id": n, "text": text} for n, text in enumerate(["Ann Smith lives in Oslo .", "It rained ."])]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    result = run(command_with("modeling annotate", "--input"), tmp_path)
    assert result.returncode == 0, result.stderr
    result = run(command_with("modeling annotate", "--check"), tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "every id is there once" in result.stdout


def test_data_set_command(shared: Path, tmp_path: Path) -> None:
    subset = shared / "data" / "pile_ner" / "pile_ner_type_subset.json.gz"
    records = json.loads(gzip.decompress(subset.read_bytes()))
    source = tmp_path / "few.json"
    source.write_text(json.dumps(records[:40]), encoding="utf-8")
    build = command_with("modeling data", "--source").replace("FILE", str(source))
    result = run(build.replace("DIR", str(shared / "tokenizers" / "dream")), tmp_path)
    assert result.returncode == 0, result.stderr
    rows = load_dataset(
        str(tmp_path / "runs" / "pile_ner"), "sft", split="train", cache_dir=str(tmp_path / "cache")
    )
    assert {"prompt", "completion"} <= set(rows.column_names)


def test_evaluate_command(shared: Path) -> None:
    command = command_with("modeling evaluate").replace("DIR", str(shared / "data" / "benchmarks"))
    result = run(f"{command} --limit 3", ROOT)
    assert result.returncode == 0, result.stderr
    assert "mean" in result.stdout


def test_own_data_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = next(b for b in re.findall(r"```json\n(.*?)```", README, re.DOTALL) if "entities" in b)
    (tmp_path / "my.jsonl").write_text(block, encoding="utf-8")
    words = shlex.split(command_with("train_sft.py", "my.jsonl"))
    monkeypatch.chdir(tmp_path)
    assert train_sft.main([*words[2:], "--max_steps", "1", "--use_cpu"]) == 0
    assert (tmp_path / "runs" / "mine" / "config.json").is_file()
    result = run(command_with("modeling extract", "runs/mine"), tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Keir Starmer leads Labour." in result.stdout


NAMES = {finetune: "experiment finetune", scale: "speed scale", zero_shot: "experiment zero_shot"}


def test_commands_that_measure_the_model_know_their_flags() -> None:
    for module in NAMES:
        words = shlex.split(command_with(f"model_card {NAMES[module]} "))
        parser = argparse.ArgumentParser()
        if module is not scale:
            shared_flags(parser)
        module.flags(parser)
        assert parser.parse_args(words[5:]).data == Path("DIR")


def test_mix_and_mini_training_commands(shared: Path, tmp_path: Path) -> None:
    tiny_encoder = save_encoder(tmp_path / "encoder", toy_tokenizer())
    mix = command_with("modeling mix")
    for name, word in (("ner_mix2", "DIR2"), ("ner_mix", "DIR")):
        sets = tmp_path / name
        shutil.copytree(shared / "data" / name, sets, ignore=shutil.ignore_patterns("*.gz"))
        for source in sorted((shared / "data" / name).glob("*.jsonl.gz")):  # the first rows of each will do
            with (
                gzip.open(source, "rt", encoding="utf-8") as rows,
                gzip.open(sets / source.name, "wt", encoding="utf-8") as few,
            ):
                few.writelines(islice(rows, 60))
        mix = mix.replace(word, str(sets))
    mix = mix.replace("FILE", str(shared / "data" / "pile_ner" / "pile_ner_type_subset.json.gz"))
    result = run(mix, tmp_path)
    assert result.returncode == 0, result.stderr
    first = command_with("train_mini.yaml").replace(
        "sentence-transformers/all-MiniLM-L6-v2", str(tiny_encoder)
    )
    second = f"{command_with('train_mini_final.yaml')} --average_runs 2"
    for train, folder in ((first, "mini_first"), (second, "mini")):
        train = train.replace("train_sft.py", str(ROOT / "train_sft.py"))
        train = train.replace("modeling/configs", str(ROOT / "modeling" / "configs"))
        result = run(
            f"{train} --max_steps 1 --tokens_per_batch 400 --use_cpu --bf16 False --dataloader_num_workers 0 "
            "--dataloader_persistent_workers False --dataloader_prefetch_factor None",
            tmp_path,
        )
        assert result.returncode == 0, result.stderr
        assert (tmp_path / "runs" / folder / "config.json").is_file()


def test_dream_training_command_says_what_it_cannot_reach(tmp_path: Path) -> None:
    train = command_with("python train_sft.py", "train_dream_sft.yaml")
    train = train.replace("train_sft.py", str(ROOT / "train_sft.py"))
    train = train.replace("modeling/configs", str(ROOT / "modeling" / "configs"))
    # No network here: the weights of Dream-7B cannot be had, and the message must say so.
    result = run(f"{train} --use_cpu --bf16 False", tmp_path)
    assert result.returncode != 0
    assert "Dream-org/Dream-v0-Base-7B" in result.stderr
    assert "cannot reach the Hugging Face Hub" in result.stderr


def test_release_commands(tmp_path: Path) -> None:
    models = make_models(tmp_path)
    conversion = command_with("modeling convert").replace("Dream-org/Dream-v0-Base-7B", str(models.published))
    assert main(shlex.split(conversion.replace("runs/", f"{tmp_path}/runs/"))[3:]) == 0
    assert (tmp_path / "runs" / "dream" / "conversion.json").is_file()
    merging = command_with("modeling merge").replace("runs/sft", str(models.adapter))
    assert main(shlex.split(merging.replace("runs/", f"{tmp_path}/runs/"))[3:]) == 0
    assert (tmp_path / "runs" / "merged" / "merge.json").is_file()
    result = run(command_with("model_card release"), ROOT)
    assert result.returncode == 0, result.stderr
    assert "not compared with the Hub" in result.stdout


def test_integrations_command(shared: Path) -> None:
    command = command_with("experiment integrations").replace("DIR", str(shared / "data" / "benchmarks"))
    result = run(f"{command} --limit 1 --only mit_movie", ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "pipeline differs in 0" in result.stdout


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README + EVIDENCE, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_figures_are_those_of_the_results_files() -> None:
    for path in render.FILES:
        text = path.read_text(encoding="utf-8")
        assert render.render(text) == text, f"{path.name} is stale: run python -m model_card.render"


def test_relative_links_and_their_headings_resolve() -> None:
    for page, text in {**PAGES, ROOT / "CONTRIBUTING.md": CONTRIBUTING}.items():
        for target, heading in re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]+))?\)", text):
            path = page.parent / target if target else page
            assert path.exists(), (page.name, target)
            if heading:
                assert heading in anchors(path.read_text(encoding="utf-8")), (page.name, target, heading)


def test_contributing_names_what_exists() -> None:
    for name in re.findall(r"`([\w/]+(?:\.py|\.yaml|/))`", CONTRIBUTING):
        assert (ROOT / name).exists(), name
    for path, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", CONTRIBUTING):
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), test
    for module, name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)\.([A-Z]\w+|register)`", CONTRIBUTING):
        assert hasattr(import_module(module), name), (module, name)


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 220
