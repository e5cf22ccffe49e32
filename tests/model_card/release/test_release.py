"""Assembling and checking the artefacts, without a Hub."""

from __future__ import annotations

import json
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from safetensors.numpy import save_file

from dataset_builder.benchmarks import BENCHMARKS
from model_card.evidence.provenance import weights_sha256
from model_card.release.__main__ import main
from model_card.release.artefact import KINDS, Artefact
from model_card.release.assembly import AssemblyError, Sources, assemble
from model_card.release.bundle import MODELING, BundleError, check_imports, flat_modules, write_bundle
from model_card.release.card import mini_card
from model_card.release.validation import problems

MINI = MODELING / "mini"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A results file for the embedded model's weights, whatever they are now, and one for others."""
    scores = {name: {"precision": 0.5, "recall": 0.4, "f1": 0.4444} for name in BENCHMARKS}
    report = {
        "weights_sha256": weights_sha256("mini"),
        "split": "test",
        "date": "2026-01-01",
        "hardware": "a machine",
        "command": "python -m model_card.evaluate",
        "results": {"aligned, T=1": scores, "completion, plain, T=8": scores},
    }
    folder = tmp_path_factory.mktemp("results")
    (folder / "own.json").write_text(json.dumps(report))
    (folder / "a_other.json").write_text(json.dumps({**report, "weights_sha256": "0" * 64}))
    return folder


@pytest.fixture(scope="module")
def mini(tmp_path_factory, results) -> Artefact:
    sources = Sources("acme", results=tuple(sorted(results.glob("*.json"))))
    return assemble("mini", sources, tmp_path_factory.mktemp("work"))


@pytest.fixture
def spoilt(mini, tmp_path) -> Artefact:
    """A copy to spoil; the weights are the same files."""
    folder = tmp_path / "mini"
    shutil.copytree(mini.folder, folder, copy_function=lambda a, b: Path(b).hardlink_to(a))
    return Artefact(mini.kind, mini.namespace, folder)


def write(path: Path, content: str | bytes) -> None:
    """Write a file of its own, not through a link."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def edit(path: Path, **changes) -> None:
    write(path, json.dumps({**json.loads(path.read_text()), **changes}))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    write(path, text.replace(old, new, 1))


def test_the_flat_modules_are_the_sources_but_for_their_imports():
    found = flat_modules(("integrations/pipeline",))
    assert {"pipeline", "extractor", "template", "encoding", "prediction"} <= set(found)
    assert not {"load", "run", "generate"} & set(found)
    for name, flat in found.items():
        (path,) = MODELING.glob(f"*/{name}.py")
        source = path.read_text(encoding="utf-8").splitlines()
        for own, copied in zip(source, flat.splitlines(), strict=True):
            if own != copied:
                imported = re.match(r"\s*from \.+(?:\w+\.)?(\w+) import (.*)", own)
                assert imported is not None, own
                assert copied.strip() == f"from .{imported[1]} import {imported[2]}".strip()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import numpy", "imports numpy, which a model repository may not need"),
        ("from .nowhere import x", r"imports \.nowhere, which is no file beside it"),
        ("from ..x import y", r"imports \.\.x"),
        ("def f():\n    import peft.tuners", "imports peft"),
    ],
)
def test_what_a_repository_does_not_have_is_not_imported(tmp_path, source, message):
    write_bundle(tmp_path)
    for path in (tmp_path / "custom_generate").glob("*.py"):
        check_imports(path)
    write(tmp_path / "custom_generate" / "strange.py", source)
    with pytest.raises(BundleError, match=message):
        check_imports(tmp_path / "custom_generate" / "strange.py")


def test_the_mini_is_whole_and_right(mini):
    assert problems(mini, [mini]) == []
    files = mini.files
    assert {p.name for p in MINI.glob("*.safetensors")} <= set(files)
    assert "custom_generate/pointer_bert.py" in files
    config = json.loads(files["config.json"].read_text())
    assert config["auto_map"]["AutoConfig"] == "custom_generate/pointer_bert.PointerBertConfig"
    assert config["custom_pipelines"]["zero-shot-ner"]["pt"] == ["AutoModelForCausalLM"]
    assert config["dtype"] == "float32"
    original = json.loads((MINI / "config.json").read_text())
    assert {k: v for k, v in config.items() if k in original and k != "dtype"} == {
        k: v for k, v in original.items() if k != "dtype"
    }


def test_its_card_is_that_of_the_evidence_and_how_to_use_it(mini):
    card = ModelCard(mini.files["README.md"].read_text(encoding="utf-8"))
    source = ModelCard((MINI / "README.md").read_text(encoding="utf-8"))
    scores = [r for r in card.data.eval_results if r.metric_type == "f1"]
    assert [r.dataset_type for r in scores] == list(BENCHMARKS)
    assert card.data.eval_results == source.data.eval_results
    kept = [line for line in source.text.strip().splitlines() if line not in card.text.splitlines()]
    assert kept == []
    assert 'pipeline("zero-shot-ner", model="acme/diffusion-ner-zero-mini"' in card.text


@pytest.mark.parametrize(("name", "scores"), [("own.json", {0.4444}), ("a_other.json", set())])
def test_a_card_without_evidence_takes_the_scores_of_its_own_weights(tmp_path, results, name, scores):
    for path in MINI.iterdir():
        if path.suffix in (".safetensors", ".json"):
            (tmp_path / path.name).symlink_to(path)
    source = ModelCard((MINI / "README.md").read_text(encoding="utf-8"))
    source.data.eval_results = source.data.model_name = None
    write(tmp_path / "README.md", str(source))
    card = ModelCard(mini_card(tmp_path, [results / name]))
    found = [r for r in card.data.eval_results or () if r.metric_type == "f1"]
    assert {r.metric_value for r in found} == scores
    assert {r.metric_name for r in found} <= {"Strict micro F1 (aligned, T=1)"}


def test_every_name_of_an_artefact_gets_the_namespace(tmp_path):
    artefact = assemble("metric", Sources("other-org"), tmp_path)
    texts = {name: path.read_text(encoding="utf-8") for name, path in artefact.files.items()}
    assert 'evaluate.load("other-org/entity_f1", "text")' in texts["README.md"]
    assert not [name for name, text in texts.items() if "diffusion-ner/" in text]
    assert problems(artefact, [artefact]) == []


def test_the_metric_and_the_demo_are_spaces_that_start(tmp_path):
    artefacts = [assemble(key, Sources("acme"), tmp_path) for key in ("metric", "demo")]
    for artefact in artefacts:
        assert problems(artefact, artefacts) == []
        head = yaml.safe_load(artefact.files["README.md"].read_text(encoding="utf-8").split("---\n")[1])
        assert (artefact.folder / head["app_file"]).is_file()
        assert head["sdk"] == "gradio"
    demo = artefacts[1].files
    assert "modeling/mini/config.json" in demo
    assert "modeling/extraction/extractor.py" in demo
    assert not [name for name in demo if "__pycache__" in name or name.startswith("modeling/configs")]


def changed_card(old: str, new: str):
    return lambda folder: replace(folder / "README.md", old, new)


SPOILS = {
    "a pickle by name": (
        lambda folder: write(folder / "training_args.bin", b"x"),
        "training_args.bin may be a pickle",
    ),
    "a pickle by content": (
        lambda folder: write(folder / "notes.dat", pickle.dumps({"a": 1})),
        "notes.dat may be a pickle",
    ),
    "a path of a machine": (
        lambda folder: edit(folder / "config.json", _name_or_path="/home/someone/model"),
        "config.json names a path of a machine, '/home/someone'",
    ),
    "a token": (
        lambda folder: write(folder / "notes.txt", "hf_" + "a1B2" * 9),
        "notes.txt holds what looks like a Hub token",
    ),
    "a stray name": (
        lambda folder: write(folder / "notes.md", "see diffusion-ner/elsewhere"),
        "notes.md names 'diffusion-ner/elsewhere', which is no artefact",
    ),
    "a missing file": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing"),
    "an empty file": (lambda folder: write(folder / "tokenizer.json", ""), "tokenizer.json is empty"),
    "broken JSON": (lambda folder: write(folder / "config.json", "{"), "config.json cannot be read"),
    "broken Python": (
        lambda folder: write(folder / "custom_generate" / "loop.py", "def"),
        "custom_generate/loop.py: ",
    ),
    "a causal network": (
        lambda folder: edit(folder / "config.json", is_causal=True),
        "config.json does not say is_causal: false",
    ),
    "a class that is not there": (
        lambda folder: edit(folder / "config.json", auto_map={"AutoConfig": "custom_generate/loop.Nothing"}),
        "config.json refers to custom_generate/loop.Nothing, which custom_generate/loop.py does not define",
    ),
    "no diffusion settings": (
        lambda folder: write(folder / "generation_config.json", "{}"),
        "generation_config.json holds no diffusion settings",
    ),
    "settings that transformers drops": (
        lambda folder: edit(folder / "generation_config.json", _from_model_config=True),
        "generation_config.json says _from_model_config",
    ),
    "a damaged weight file": (
        lambda folder: write(folder / "more.safetensors", b"\xff" * 40),
        "more.safetensors is incomplete or damaged",
    ),
    "a weight file that is not there": (
        lambda folder: write(
            folder / "model.safetensors.index.json",
            '{"weight_map": {"a": "model-00002-of-00002.safetensors"}}',
        ),
        "says that model-00002-of-00002.safetensors holds a, which it does not",
    ),
    "another licence": (
        changed_card("license: cc-by-nc-4.0", "license: mit"),
        "README.md names the licence 'mit'; it must be 'cc-by-nc-4.0'",
    ),
    "no head": (lambda folder: write(folder / "README.md", "# Card"), "README.md: it does not begin with"),
    "a head that is not YAML": (
        lambda folder: write(folder / "README.md", "---\na: [\n---\n"),
        "README.md: its metadata is not YAML",
    ),
    "no pipeline tag": (
        changed_card("pipeline_tag: token-classification\n", ""),
        "README.md: pipeline_tag is missing",
    ),
    "a score in percent": (changed_card("value: 0.", "value: 50."), "not a share in [0, 1]"),
    "a model index without a task": (
        changed_card("  - task:\n      type: token-classification\n", "  - task:\n      kind: x\n"),
        "README.md: its model-index cannot be read",
    ),
    "a dead relative link": (
        changed_card("## Limits", "[x](no/such.md)\n\n## Limits"),
        "README.md links to no/such.md, which is no file of this artefact",
    ),
    "a dead link to the Hub": (
        changed_card("## Limits", "[x](https://huggingface.co/acme/nothing)\n\n## Limits"),
        "README.md links to https://huggingface.co/acme/nothing, which is no artefact of this release",
    ),
    "a link to a file that an artefact lacks": (
        changed_card(
            "## Limits",
            "[x](https://huggingface.co/acme/diffusion-ner-zero-mini/blob/main/x.py)\n\n## Limits",
        ),
        "which is no artefact of this release, or no file of it",
    ),
    "a foreign import": (
        lambda folder: write(folder / "custom_generate" / "loop.py", "import requests"),
        "custom_generate/loop.py: loop.py imports requests",
    ),
}


@pytest.mark.parametrize("name", SPOILS)
def test_what_is_wrong_is_found_and_named(spoilt, name):
    spoil, message = SPOILS[name]
    spoil(spoilt.folder)
    found = problems(spoilt, [spoilt])
    assert any(message in problem for problem in found), found


def test_a_pickle_in_an_archive_is_found(spoilt):
    with zipfile.ZipFile(spoilt.folder / "archive.dat", "w") as archive:
        archive.writestr("model/data.pkl", b"x")
    assert any("archive.dat may be a pickle" in problem for problem in problems(spoilt, [spoilt]))


def test_several_weight_files_need_an_index(spoilt):
    save_file({"a": np.zeros(1)}, spoilt.folder / "more.safetensors")
    (spoilt.folder / "model.safetensors.index.json").unlink(missing_ok=True)
    assert "it has several weight files and no model.safetensors.index.json" in problems(spoilt, [spoilt])


def test_data_set_configs_must_match_their_files(tmp_path):
    head = {
        "license": "cc-by-nc-4.0",
        "language": ["en"],
        "task_categories": ["token-classification"],
        "configs": [
            {
                "config_name": "a",
                "default": True,
                "data_files": [{"split": "train", "path": "a/train-*.parquet"}],
            },
            {"config_name": "b", "data_files": [{"split": "train", "path": "b/train-*.parquet"}]},
        ],
    }
    write(tmp_path / "README.md", f"---\n{yaml.safe_dump(head)}---\n# Data\n")
    for name in ("a/train-0.parquet", "c/train-0.parquet", "report.json"):
        write(tmp_path / name, "{}")
    artefact = Artefact(KINDS["dataset"], "acme", tmp_path)
    assert problems(artefact, [artefact]) == [
        "README.md: config b, split train: no file matches 'b/train-*.parquet'",
        "README.md: no config lists c/train-0.parquet",
    ]


def test_a_space_must_name_what_it_runs(tmp_path):
    artefact = assemble("metric", Sources("acme"), tmp_path)
    card = artefact.folder / "README.md"
    for old, new in (
        ("app_file: app.py", "app_file: main.py"),
        ("colorFrom: indigo", "colorFrom: mauve"),
        ('python_version: "3.11"', "python_version: 3.10"),
        ("short_description: ", "short_description: " + "very " * 12),
        ("sdk_version: 6.31.0", "sdk_version: 6.3"),
    ):
        replace(card, old, new)
    found = "\n".join(problems(artefact, [artefact]))
    for message in (
        "no file of the Space",
        "'mauve'; use one of",
        "reads 3.10 as 3.1",
        "longer than 60",
        "is 6.3;",
    ):
        assert message in found


def test_an_adapter_is_written_for_its_base(tmp_path):
    source = tmp_path / "source"
    for name in ("tokenizer.json", "tokenizer_config.json", "training_log.json"):
        write(source / name, "{}")
    write(source / "optimizer.pt", b"x")
    write(source / "checkpoint-10" / "adapter_model.safetensors", b"x")
    config = {
        "base_model_name_or_path": "/home/me/dream",
        "r": 8,
        "lora_alpha": 16,
        "target_modules": ["q_proj"],
    }
    write(source / "adapter_config.json", json.dumps(config))
    settings = {"mask_token_id": 1, "pad_token_id": 0, "logits_shift": 1, "prompt_attention": "full"}
    write(source / "generation_config.json", json.dumps(settings))
    save_file({}, source / "adapter_model.safetensors")
    artefact = assemble("adapter", Sources("acme", {"adapter": source}), tmp_path / "work")
    assert artefact.left_out == ("checkpoint-10/adapter_model.safetensors", "optimizer.pt")
    written = json.loads(artefact.files["adapter_config.json"].read_text())
    assert written["base_model_name_or_path"] == "acme/dream-v0-base-7b-qwen2"
    assert written["task_type"] == "CAUSAL_LM"
    assert problems(artefact, [artefact]) == []
    card = artefact.files["README.md"].read_text(encoding="utf-8")
    assert 'custom_generate="acme/diffusion-ner-zero-lora", trust_remote_code=True' in card
    assert "Not measured on these weights yet." in card
    assert "LoRA of rank 8, alpha\n16, on q_proj." in card


def test_a_network_in_another_form_is_refused(tmp_path):
    write(tmp_path / "source" / "config.json", '{"model_type": "Dream"}')
    with pytest.raises(
        AssemblyError, match=r"model_type 'Dream', not of the native form 'qwen2'.*convert_dream"
    ):
        assemble("base", Sources("acme", {"base": tmp_path / "source"}), tmp_path / "work")


def test_the_command_says_what_it_needs(tmp_path, capsys):
    assert main(["--namespace", "acme", "--only", "dataset", "--dry-run"]) == 1
    assert (
        "the dataset is not part of this repository: name its folder with --dataset DIR"
        in capsys.readouterr().err
    )
    missing = str(tmp_path / "none")
    assert main(["--namespace", "acme", "--only", "full", "--full", missing, "--dry-run"]) == 1
    assert "there is no such folder" in capsys.readouterr().err
    assert main(["--namespace", "acme", "--only", "metric", "--dry-run", "--work", str(tmp_path)]) == 1
    assert "File exists" in capsys.readouterr().err


def test_an_offline_dry_run_assembles_and_checks(tmp_path, capsys):
    work = tmp_path / "work"
    assert main(["--namespace", "acme", "--only", "metric", "--dry-run", "--work", str(work)]) == 0
    output = capsys.readouterr().out
    assert "space acme/entity_f1" in output
    assert "not compared with the Hub" in output
    assert (work / "metric" / "entity_f1.py").is_file()
