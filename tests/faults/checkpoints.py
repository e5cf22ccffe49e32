"""Checkpoints that are broken, or made to harm."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from modeling import EntityExtractor, load_model
from modeling.backbones.weights import INDEX, LONGEST_INDEX
from tests.faults.case import Fault, Place, Provoke, Seen, exact, not_loaded, told

EMBEDDINGS = "word_embeddings"
CODE = "import pathlib\npathlib.Path({canary!r}).touch()\n"


class _Hostile:
    """Pickled, it makes a file when it is read."""

    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.canary,)


def _after(change: Callable[[Place], object]) -> Provoke:
    """A checkpoint that is refused after this change."""

    def provoke(place: Place) -> Seen:
        EntityExtractor.from_pretrained(place.checkpoint, device="cpu")  # whole, it loads
        change(place)
        return not_loaded(place)

    return provoke


def _config(**fields: object) -> Provoke:
    return _after(lambda place: place.edit("config.json", lambda config: {**config, **fields}))


def _generation(**fields: object) -> Provoke:
    return _after(lambda place: place.edit("generation_config.json", lambda config: {**config, **fields}))


def _weights(part: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Provoke:
    return _after(lambda place: place.edit_weights(part, change))


def _shard(name: str) -> Provoke:
    """An index that has its first file under another name."""

    def change(place: Place) -> None:
        outside = place.folder / "outside.safetensors"
        files = sorted(place.checkpoint.glob("*.safetensors"))
        shutil.copy(files[0], outside)
        (place.checkpoint / "pickled.bin").write_bytes(pickle.dumps(_Hostile(str(place.folder / "executed"))))
        wanted = name.format(folder=place.folder)

        def renamed(index: dict) -> dict:
            places = {t: wanted if f == files[0].name else f for t, f in index["weight_map"].items()}
            return {**index, "weight_map": places}

        place.edit(INDEX, renamed)

    return _after(change)


def _first_wrong(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        tensor.view(-1)[0] = value
        return tensor

    return change


def _huge_index(place: Place) -> None:
    path = place.checkpoint / INDEX
    with path.open("r+b") as file:  # valid JSON, but for its length
        file.truncate(LONGEST_INDEX + 1)


def _missing_file(place: Place) -> None:
    sorted(place.checkpoint.glob("*.safetensors"))[1].unlink()


def _cut_short(place: Place) -> None:
    largest = max(place.checkpoint.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-100])


def _missing_tensor(place: Place) -> None:
    path = sorted(place.checkpoint.glob("*.safetensors"))[0]
    weights = load_file(path)
    name = sorted(weights)[0]
    del weights[name]
    save_file(weights, path, metadata={"format": "pt"})


def _pickled(place: Place) -> None:
    for path in place.checkpoint.glob("*.safetensors"):
        path.unlink()
    (place.checkpoint / "pytorch_model.bin").write_bytes(
        pickle.dumps(_Hostile(str(place.folder / "executed")))
    )


def _code(place: Place, *names: str) -> None:
    for name in names:
        (place.checkpoint / name).write_text(CODE.format(canary=str(place.folder / "executed")))


def _model_code(place: Place) -> Seen:
    """Its own code is not needed, so it is not run, and the model loads."""
    _code(place, "hostile.py")
    auto_map = {"AutoConfig": "hostile.Config", "AutoModel": "hostile.Model"}
    place.edit("config.json", lambda config: {**config, "auto_map": auto_map})
    extractor = EntityExtractor.from_pretrained(place.checkpoint, device="cpu")
    exact("alice met bob", ["person"], extractor.predict_entities("alice met bob", ["person"]))
    assert not (place.folder / "executed").exists()
    return Seen("no error: the code is not run, the weights are read by this library's own", "yes")


def _tokenizer_code(place: Place) -> None:
    _code(place, "hostile.py")
    fields = {"auto_map": {"AutoTokenizer": ["hostile.T", "hostile.T"]}, "tokenizer_class": "T"}
    place.edit("tokenizer_config.json", lambda config: {**config, **fields})


def _no_vocabulary(place: Place) -> None:
    (place.checkpoint / "tokenizer.json").unlink()


def _other_tokenizer(place: Place) -> None:
    def longer(tokenizer: dict) -> dict:
        vocabulary = tokenizer["model"]["vocab"]
        return {**tokenizer, "model": {**tokenizer["model"], "vocab": {**vocabulary, "zzz": 10**6}}}

    place.edit("tokenizer.json", longer)


def _adapter(place: Place) -> None:
    """Turn the checkpoint into an adapter over a copy of itself."""
    base = shutil.copytree(place.checkpoint, place.folder / "base")
    model = load_model(base)
    lora = get_peft_model(model, LoraConfig(target_modules=["value"]))
    for path in place.checkpoint.glob("model*"):
        path.unlink()
    (place.checkpoint / "config.json").unlink()
    lora.save_pretrained(str(place.checkpoint))
    config = json.loads((place.checkpoint / "adapter_config.json").read_text())
    config = {**config, "base_model_name_or_path": str(base)}
    (place.checkpoint / "adapter_config.json").write_text(json.dumps(config))


def _adapter_after(change: Callable[[Place], object], **fields: object) -> Provoke:
    def provoke(place: Place) -> Seen:
        _adapter(place)
        EntityExtractor.from_pretrained(place.checkpoint, device="cpu")  # whole, it loads
        place.edit("adapter_config.json", lambda config: {**config, **fields})
        change(place)
        return not_loaded(place)

    return provoke


def _adapter_over_adapter(place: Place) -> None:
    (place.folder / "base" / "adapter_config.json").write_text("{}")


def _adapter_lacks(place: Place) -> None:
    path = place.checkpoint / "adapter_model.safetensors"
    weights = load_file(path)
    del weights[sorted(weights)[0]]
    save_file(weights, path, metadata={"format": "pt"})


def _adapter_of_another(place: Place) -> None:
    path = place.checkpoint / "adapter_model.safetensors"
    save_file({name: torch.zeros(3, 5) for name in load_file(path)}, path, metadata={"format": "pt"})


def _overflow(place: Place) -> Seen:
    """Weights that are finite, but whose products are not."""
    place.edit_weights("aligned_head.query", lambda tensor: tensor + 3e38)
    extractor = EntityExtractor.from_pretrained(place.checkpoint, device="cpu")
    message = told(lambda: extractor.predict_entities("alice met bob", ["person"]), ValueError)
    return Seen(message, "yes: no answer is made up")


FAULTS = [
    Fault("pickled weights", "not read: a pickle can run code", _after(_pickled)),
    Fault("an index that names a pickle", "refused, not opened", _shard("pickled.bin")),
    Fault("an index that leads out of the folder", "refused, not opened", _shard("../outside.safetensors")),
    Fault("an index with an absolute path", "refused, not opened", _shard("{folder}/outside.safetensors")),
    Fault("an index of over 32 MiB", "refused, not parsed", _after(_huge_index)),
    Fault("an index without its table", "refused", _after(lambda p: p.edit(INDEX, lambda index: {}))),
    Fault("a weight file that is missing", "refused", _after(_missing_file)),
    Fault("a weight file cut short", "refused", _after(_cut_short)),
    Fault("a tensor that is missing", "refused: it would stay random", _after(_missing_tensor)),
    Fault(
        "a tensor of another shape", "refused before weights are read", _weights(EMBEDDINGS, lambda t: t[:9])
    ),
    Fault(
        "a weight that is NaN, anywhere", "refused", _weights("completion_head", _first_wrong(float("nan")))
    ),
    Fault("a weight that is infinite, anywhere", "refused", _weights(EMBEDDINGS, _first_wrong(float("inf")))),
    Fault("weights in 8-bit integers", "refused", _weights(EMBEDDINGS, lambda t: t.to(torch.int8))),
    Fault("finite weights whose outputs overflow", "refused when it happens", _overflow),
    Fault(
        "a config that names attention code on the Hub",
        "refused, not fetched",
        _config(_attn_implementation="evil/kernel"),
    ),
    Fault("a config that names model code of its own", "loaded without that code", _model_code),
    Fault("a tokenizer that is code of its own", "refused, not run", _after(_tokenizer_code)),
    Fault(
        "a config with a quantisation",
        "refused",
        _config(quantization_config={"quant_method": "bitsandbytes"}),
    ),
    Fault(
        "a config of a hundred thousand layers",
        "refused before anything is built",
        _config(num_hidden_layers=10**5),
    ),
    Fault("a config of fewer layers than the weights have", "refused", _config(num_hidden_layers=1)),
    Fault(
        "a config with a vocabulary of a trillion",
        "refused before memory is taken",
        _config(vocab_size=10**12),
    ),
    Fault("a config with a field of another type", "refused", _config(layer_norm_eps="small")),
    Fault("a config that divides by zero", "refused", _config(num_attention_heads=0)),
    Fault("a config of another kind of model", "refused", _config(model_type="gpt2")),
    Fault(
        "a config that is no JSON",
        "refused",
        _after(lambda p: (p.checkpoint / "config.json").write_text("{")),
    ),
    Fault("no mask token", "refused", _after(lambda p: (p.checkpoint / "generation_config.json").unlink())),
    Fault("a mask token beyond the vocabulary", "refused", _generation(mask_token_id=10**6)),
    Fault("markers beyond the vocabulary", "refused", _generation(max_markers=10**6)),
    Fault("a bias that is no number", "refused", _generation(outside_bias="x")),
    Fault("a tokenizer without a vocabulary", "refused: it would find nothing", _after(_no_vocabulary)),
    Fault("a tokenizer of another model", "refused", _after(_other_tokenizer)),
    Fault("an adapter over an adapter", "refused", _adapter_after(_adapter_over_adapter)),
    Fault("an adapter that lacks weights", "refused", _adapter_after(_adapter_lacks)),
    Fault("an adapter of another base", "refused", _adapter_after(_adapter_of_another)),
    Fault(
        "an adapter that imports a module",
        "refused",
        _adapter_after(lambda p: None, megatron_config={}, megatron_core="evil"),
    ),
]
