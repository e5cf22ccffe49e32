"""Conversion of a Dream repository as published to its native form."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from modeling import load_model, load_tokenizer
from modeling.cli.convert_dream import convert, main
from modeling.custom_generate.settings import DiffusionSettings
from tests.modeling.tiny import as_published, edit, tiny_dream

IDS = torch.tensor([[70, 80, 90, 64, 64]])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def published(tokenizer, tmp_path_factory) -> Path:
    """A folder as Dream is published, in several weight files."""
    folder = tmp_path_factory.mktemp("dream")
    tiny_dream(tokenizer).save_pretrained(folder, max_shard_size="20KB")
    tokenizer.save_pretrained(folder)
    as_published(folder)
    return folder


@pytest.fixture(scope="module")
def native(published, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "native"
    assert main([str(published), str(folder)]) == 0
    return folder


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(input_ids=IDS).logits


def test_every_weight_file_is_the_sources_byte_for_byte(published, native):
    shards = sorted(path.name for path in published.glob("*.safetensors"))
    assert len(shards) > 2
    assert [digest(native / name) for name in shards] == [digest(published / name) for name in shards]
    record = json.loads((native / "conversion.json").read_text())
    assert record["sha256"] == {name: digest(published / name) for name in shards}
    assert str(published) not in (native / "conversion.json").read_text()


def test_transformers_alone_loads_it_bidirectional_with_the_same_logits(published, native):
    expected = logits(load_model(published))
    model = AutoModelForCausalLM.from_pretrained(native)
    assert type(model).__module__.startswith("transformers.models.qwen2")
    assert model.config.is_causal is False
    assert torch.equal(logits(model), expected)
    assert torch.equal(logits(load_model(native)), expected)
    assert DiffusionSettings.of(model) == DiffusionSettings.of(load_model(published))


def test_the_loop_comes_along_and_nothing_unfinished(native):
    assert (native / "custom_generate" / "generate.py").is_file()
    assert not list(native.rglob("*.part"))


def test_dreams_tokenizer_loses_its_remote_code(published, shared, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(published, source, ignore=shutil.ignore_patterns("tokenizer*"))
    shutil.copytree(shared / "tokenizers/dream", source, dirs_exist_ok=True)
    edit(
        source,
        "tokenizer_config.json",
        tokenizer_class="DreamTokenizer",
        auto_map={"AutoTokenizer": ["tokenization_dream.DreamTokenizer", None]},
    )
    convert(source, tmp_path / "native")
    tokenizer, original = AutoTokenizer.from_pretrained(tmp_path / "native"), load_tokenizer(source)
    assert tokenizer.get_vocab() == original.get_vocab()
    assert (tokenizer.mask_token_id, tokenizer.pad_token_id) == (151666, 151643)
    text = "Zoë's  naïve café: 東京 <|mask|>"
    assert tokenizer(text)["input_ids"] == original(text)["input_ids"]


def test_a_second_run_keeps_what_is_whole_and_mends_what_is_not(published, native, tmp_path):
    shutil.copytree(native, tmp_path / "native")
    shards = sorted((tmp_path / "native").glob("*.safetensors"))
    shards[0].write_bytes(shards[0].read_bytes()[:-1])
    shards[1].unlink()
    lines: list[str] = []
    convert(published, tmp_path / "native", progress=lines.append)
    assert ["(kept)" in line for line in lines] == [False, False, *[True] * (len(shards) - 2)]
    for path in shards:
        assert digest(path) == digest(published / path.name)


def test_a_native_model_is_not_converted_again(native, tmp_path, capsys):
    assert main([str(native), str(tmp_path / "again")]) == 1
    assert "is no Dream repository as published: model_type 'qwen2'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("lm_head.weight"), "the weights lack 'lm_head.weight'"),
        (
            lambda weights: weights.update(extra=torch.zeros(1)),
            "hold 'extra', which the architecture does not",
        ),
        (
            lambda weights: weights.update({"model.norm.weight": torch.ones(5)}),
            r"'model.norm.weight' has shape \(5,\), the config says \(32,\)",
        ),
    ],
)
def test_weights_of_another_architecture_are_refused(published, tmp_path, tokenizer, change, message):
    shutil.copytree(published, tmp_path / "source", ignore=shutil.ignore_patterns("*.safetensors*"))
    tiny_dream(tokenizer).save_pretrained(tmp_path / "whole")
    weights = load_file(tmp_path / "whole" / "model.safetensors")
    change(weights)
    save_file(weights, tmp_path / "source" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / "source", tmp_path / "native")


def test_an_index_that_leaves_its_folder_is_refused(published, tmp_path):
    shutil.copytree(published, tmp_path / "source")
    index = tmp_path / "source" / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["lm_head.weight"] = "../secret.safetensors"
    index.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="names files outside its folder"):
        convert(tmp_path / "source", tmp_path / "native")


def test_a_missing_weight_file_is_named(published, tmp_path):
    shutil.copytree(published, tmp_path / "source")
    name = sorted((tmp_path / "source").glob("*.safetensors"))[0]
    name.unlink()
    with pytest.raises(FileNotFoundError, match=f"{name.name} is missing"):
        convert(tmp_path / "source", tmp_path / "native")
