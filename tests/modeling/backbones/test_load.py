"""Loading networks: every form a checkpoint comes in, and what is said when it cannot be one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Qwen2ForCausalLM

from modeling import load_model, load_tokenizer
from modeling.backbones.dream import DREAM_FIRST_MARKER, DREAM_ROWS, dream_to_qwen2
from modeling.backbones.load import check_bidirectional
from modeling.backbones.sources import read_json
from modeling.custom_generate.settings import DiffusionSettings
from tests.modeling.tiny import as_published, edit, tiny_bert, tiny_dream, tiny_pointer

IDS = torch.tensor([[70, 80, 90, 64, 64]])


@torch.no_grad()
def outputs(model: Any) -> torch.Tensor:
    output = model(input_ids=IDS)
    return output.logits if hasattr(output, "logits") else output.last_hidden_state


def copy(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to, dirs_exist_ok=True))


@pytest.fixture(scope="module")
def dream(tokenizer) -> Qwen2ForCausalLM:
    return tiny_dream(tokenizer)


@pytest.fixture(scope="module")
def published(dream, tmp_path_factory) -> Path:
    """A folder as Dream is published: its own model type, remote code, no word of causality."""
    folder = tmp_path_factory.mktemp("published")
    dream.save_pretrained(folder)
    as_published(folder)
    # Sampling defaults that must not reach our generate.
    edit(folder, "generation_config.json", temperature=0.2, top_k=50)
    return folder


@pytest.fixture(scope="module")
def native(dream, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("native")
    dream.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def lora(published, tmp_path_factory) -> tuple[Path, PeftModel]:
    """An adapter folder over the published base, trained with an isolated prompt, and its model."""
    torch.manual_seed(3)
    base = load_model(published)
    config = LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    wrapped = get_peft_model(base, config).eval()
    replace(DiffusionSettings.of(base), prompt_attention="isolated").apply(wrapped)
    folder = tmp_path_factory.mktemp("adapter")
    wrapped.save_pretrained(folder)
    wrapped.generation_config.save_pretrained(folder)
    edit(folder, "adapter_config.json", base_model_name_or_path=str(published))
    return folder, wrapped


def test_dream_as_published(published, dream):
    model = load_model(published)
    assert torch.equal(outputs(model), outputs(dream))
    assert model.config.model_type == "qwen2"
    assert model.config.is_causal is False
    assert not model.training
    assert DiffusionSettings.of(model) == DiffusionSettings(mask_token_id=64, pad_token_id=0)
    assert model.generation_config.temperature is None
    assert model.generation_config.top_k is None


def test_the_native_form_keeps_its_settings(native, dream):
    model = load_model(native)
    assert torch.equal(outputs(model), outputs(dream))
    assert DiffusionSettings.of(model) == DiffusionSettings.of(dream)


def test_a_dream_of_full_size_names_the_symbols_of_its_aligned_canvas():
    config = {
        "model_type": "Dream",
        "vocab_size": DREAM_ROWS,
        "mask_token_id": 151666,
        "pad_token_id": 151643,
    }
    native = dream_to_qwen2({**config, "hidden_size": 64, "rope_theta": 1e6})
    assert (native.model_type, native.is_causal, native.tie_word_embeddings) == ("qwen2", False, False)
    assert native.pad_token_id == 151643
    from modeling.backbones.dream import dream_settings

    settings = DiffusionSettings(**dream_settings(config))
    assert settings.has_aligned
    assert settings.marker_ids(200)[-1] == DREAM_FIRST_MARKER + 199 < DREAM_ROWS


def test_a_bert_shaped_masked_lm(tokenizer, tmp_path):
    bert = tiny_bert(tokenizer)
    bert.save_pretrained(tmp_path)
    bert.generation_config.save_pretrained(tmp_path)
    # As published: nothing says that it is to be run as a bidirectional decoder.
    edit(tmp_path, "config.json", is_decoder=None, is_causal=None)
    model = load_model(tmp_path)
    assert torch.equal(outputs(model), outputs(bert))
    assert DiffusionSettings.of(model) == DiffusionSettings.of(bert)
    assert DiffusionSettings.of(model).logits_shift == 0


def test_a_pointer_network(tokenizer, tmp_path):
    pointer = tiny_pointer(tmp_path / "encoder", tokenizer)
    pointer.save_pretrained(tmp_path / "pointer", max_shard_size="20KB")
    assert len(list((tmp_path / "pointer").glob("*.safetensors"))) > 1
    model = load_model(tmp_path / "pointer")
    assert torch.equal(outputs(model), outputs(pointer))
    assert DiffusionSettings.of(model) == DiffusionSettings.of(pointer)
    for name, weight in pointer.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight), name


def test_a_pointer_network_stored_in_half_precision_runs_in_full(tokenizer, tmp_path):
    tiny_pointer(tmp_path / "encoder", tokenizer).bfloat16().save_pretrained(tmp_path)
    assert load_model(tmp_path).dtype == torch.float32
    assert load_model(tmp_path, dtype=torch.bfloat16).dtype == torch.bfloat16


@pytest.mark.parametrize("kind", ["published", "native"])
def test_a_round_trip_changes_nothing(kind, request, tmp_path):
    first = load_model(request.getfixturevalue(kind))
    first.save_pretrained(tmp_path)
    second = load_model(tmp_path)
    assert torch.equal(outputs(first), outputs(second))
    assert DiffusionSettings.of(first) == DiffusionSettings.of(second)


def test_an_adapter_over_dream(lora, published):
    folder, trained = lora
    model = load_model(folder)
    assert isinstance(model, PeftModel)
    torch.testing.assert_close(outputs(model), outputs(trained))
    assert not torch.allclose(outputs(model), outputs(load_model(published)))
    # An adapter does not carry the base's config: nothing else would keep the base from turning causal.
    check_bidirectional(model)
    # What was trained may differ from the base.
    assert DiffusionSettings.of(model).prompt_attention == "isolated"
    assert DiffusionSettings.of(model).mask_token_id == 64


def test_a_merged_adapter(lora, tmp_path):
    model = load_model(lora[0])
    before, settings = outputs(model), DiffusionSettings.of(model)
    merged = model.merge_and_unload()
    settings.apply(merged)
    merged.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    torch.testing.assert_close(outputs(loaded), before, atol=1e-5, rtol=1e-5)
    assert DiffusionSettings.of(loaded) == settings


@pytest.mark.parametrize("named", ["DreamTokenizer", "Qwen2Tokenizer"])
def test_dreams_tokenizer_needs_no_remote_code(named, shared, tmp_path):
    folder = copy(shared / "tokenizers/dream", tmp_path)
    edit(
        folder,
        "tokenizer_config.json",
        tokenizer_class=named,
        auto_map={"AutoTokenizer": ["tokenization_dream.X", None]},
    )
    tokenizer = load_tokenizer(folder)
    assert tokenizer.is_fast
    assert (tokenizer.mask_token_id, tokenizer.pad_token_id) == (151666, 151643)
    text = "Zoë's  naïve café: 東京 👩🏽"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_an_adapters_tokenizer_is_its_bases(lora, published, tokenizer, tmp_path):
    base, adapter = copy(published, tmp_path / "base"), copy(lora[0], tmp_path / "adapter")
    tokenizer.save_pretrained(base)
    edit(adapter, "adapter_config.json", base_model_name_or_path=str(base))
    assert load_tokenizer(adapter).get_vocab() == tokenizer.get_vocab()
    tokenizer.save_pretrained(adapter)
    assert load_tokenizer(adapter).get_vocab() == tokenizer.get_vocab()


# What cannot be loaded is refused with the value and the fix.


def test_a_causal_qwen2_is_refused(native, tmp_path):
    edit(copy(native, tmp_path), "config.json", is_causal=None)
    with pytest.raises(ValueError, match=r"is a causal Qwen2 model .*set is_causal to false in config.json"):
        load_model(tmp_path)


def test_a_network_that_turned_causal_is_noticed(tokenizer):
    model = tiny_dream(tokenizer)
    check_bidirectional(model)
    for layer in model.model.layers:
        layer.self_attn.is_causal = True
    model.config.is_causal = True
    with pytest.raises(ValueError, match=r"the model is causal.*needs config.is_causal = False"):
        check_bidirectional(model)


def test_a_model_without_a_mask_token_is_refused(published, tmp_path):
    edit(copy(published, tmp_path), "config.json", mask_token_id=None)
    with pytest.raises(ValueError, match=r"names no mask token.*add mask_token_id to generation_config.json"):
        load_model(tmp_path)
    edit(tmp_path, "generation_config.json", mask_token_id=64)
    assert DiffusionSettings.of(load_model(tmp_path)).mask_token_id == 64


def test_an_unknown_architecture_is_refused(native, tmp_path):
    edit(copy(native, tmp_path), "config.json", model_type="gpt2")
    with pytest.raises(ValueError, match=r"has model_type 'gpt2'; supported are 'Dream', 'qwen2'"):
        load_model(tmp_path)


@pytest.mark.parametrize("load", [load_model, load_tokenizer])
@pytest.mark.parametrize("name", ["./no/such", "/no/such", "~/no-such", "nosuch", "no/such/folder"])
def test_a_missing_folder_is_named(load, name):
    with pytest.raises(
        FileNotFoundError, match=r"there is no model folder '.*such.*'; give an existing folder or"
    ):
        load(name)


def test_a_folder_in_the_home_is_found(native, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    copy(native, tmp_path / "model")
    assert load_model("~/model").config.model_type == "qwen2"


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(
        OSError, match=r"has neither config.json nor adapter_config.json; give a model folder"
    ):
        load_model(tmp_path)
    with pytest.raises(
        OSError, match=r"has no tokenizer_config.json; give a checkpoint that holds its tokenizer"
    ):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is not valid JSON"), ("[]", "is not a JSON object"), ("\xff", "is not valid JSON")],
)
def test_a_broken_config_is_named(native, tmp_path, content, message):
    (copy(native, tmp_path) / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"config.json of .* {message}.*download it again"):
        load_model(tmp_path)


def test_weights_that_are_not_numbers_are_noticed(native, tmp_path):
    file = copy(native, tmp_path) / "model.safetensors"
    weights = load_file(file)
    weights["model.layers.1.mlp.up_proj.weight"][0, 0] = float("nan")
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"not finite: its weights hold NaN or infinity; download it again"):
        load_model(tmp_path)


def test_missing_weights_are_not_made_up(native, tmp_path):
    file = copy(native, tmp_path) / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match=r"lacks 1 weights .*'model.layers.1.mlp.up_proj.weight'.*would stay random"
    ):
        load_model(tmp_path)


@pytest.mark.parametrize("dtype", [torch.bfloat16, "bfloat16", "torch.bfloat16"])
def test_a_dtype_may_be_named(native, dtype):
    assert load_model(native, dtype=dtype).dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.int8, "float8", "zeros", 3])
def test_a_dtype_that_weights_cannot_have_is_refused(native, dtype):
    with pytest.raises(ValueError, match=r"dtype must be one of float32, bfloat16, float16, float64"):
        load_model(native, dtype=dtype)


def test_the_symbols_of_another_vocabulary_are_refused():
    settings = DiffusionSettings(
        5, 0, outside_token_id=6, inside_token_id=7, first_marker_id=8, max_markers=2
    )
    settings.check_vocabulary(10)
    with pytest.raises(ValueError, match=r"first_marker_id \+ max_markers - 1 is 9, but the network has 9"):
        settings.check_vocabulary(9)
    with pytest.raises(ValueError, match=r"mask_token_id is 5, but the network has 5 embeddings"):
        settings.check_vocabulary(5)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_a_download_cut_short_is_noticed(native, tmp_path, share):
    file = copy(native, tmp_path) / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(OSError, match=r"weights of .* are incomplete or damaged .*; download them again"):
        load_model(tmp_path)


def test_pickled_weights_are_not_read(native, tmp_path):
    file = copy(native, tmp_path) / "model.safetensors"
    torch.save(load_file(file), tmp_path / "pytorch_model.bin")
    file.unlink()
    with pytest.raises(OSError, match=r"no weights in the safetensors format .*pickled ones .*can run code"):
        load_model(tmp_path)


def test_an_adapter_without_a_base_is_refused(lora, tmp_path):
    edit(copy(lora[0], tmp_path), "adapter_config.json", base_model_name_or_path=None)
    with pytest.raises(ValueError, match=r"names no base_model_name_or_path; add the base's Hub id"):
        load_model(tmp_path)
    edit(tmp_path, "adapter_config.json", base_model_name_or_path="/no/such/base")
    with pytest.raises(FileNotFoundError, match=r"no model folder '/no/such/base'"):
        load_model(tmp_path)


@pytest.mark.parametrize("load", [load_model, load_tokenizer])
def test_a_hub_model_without_a_network_says_how_to_get_it(load):
    # The suite runs with HF_HUB_OFFLINE=1.
    with pytest.raises(OSError, match=r"cannot reach the Hugging Face Hub .* \(hf download no-such/model\)"):
        load("no-such/model")


def test_what_a_repository_does_not_have_is_known_without_a_network(tmp_path, monkeypatch):
    commit = f"{1:040d}"
    folder = tmp_path / "models--org--model"
    for part in ("refs", f"snapshots/{commit}", f".no_exist/{commit}"):
        (folder / part).mkdir(parents=True)
    (folder / "refs/main").write_text(commit)
    (folder / f"snapshots/{commit}/config.json").write_text('{"a": 1}')
    (folder / f".no_exist/{commit}/adapter_config.json").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert read_json("org/model", "config.json") == {"a": 1}
    assert read_json("org/model", "adapter_config.json") is None
    with pytest.raises(OSError, match=r"cannot reach the Hugging Face Hub for 'generation_config.json'"):
        read_json("org/model", "generation_config.json")


def test_a_name_that_the_hub_cannot_have_is_refused():
    with pytest.raises(OSError, match=r"there is no model repository 'a b/c'.*check the spelling"):
        load_model("a b/c")
