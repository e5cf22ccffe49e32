"""An extractor moved, copied, pickled, shared by threads, saved; devices, limits and numbers of all kinds."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from modeling import EntityExtractor, Limits
from modeling.backbones.devices import checked_device, default_dtype
from modeling.custom_generate.engine import attach_engine
from tests.modeling.tiny import TYPES, tiny_dream, tiny_pointer, toy_rows

TEXTS = [row["text"] for row in toy_rows(6, seed=11)]


@pytest.fixture(scope="module")
def own(tokenizer, tmp_path_factory) -> EntityExtractor:
    """An untrained pointer network: it answers something to every text."""
    torch.manual_seed(5)
    extractor = EntityExtractor(tiny_pointer(tmp_path_factory.mktemp("encoder"), tokenizer), tokenizer)
    assert any(answers(extractor))
    return extractor


def answers(extractor: EntityExtractor) -> list[list[dict]]:
    return extractor.batch_predict_entities(TEXTS, TYPES)


@pytest.mark.parametrize(
    "again",
    [copy.deepcopy, copy.copy, lambda own: pickle.loads(pickle.dumps(own))],
    ids=["deep", "flat", "pickle"],
)
def test_a_copy_answers_alike(own: EntityExtractor, again) -> None:
    assert answers(again(own)) == answers(own)


def test_a_deep_copy_shares_nothing(own: EntityExtractor) -> None:
    expected = answers(own)
    other = copy.deepcopy(own)
    with own.encoder._lock:  # the copy has a lock of its own
        assert answers(other) == expected
    with torch.no_grad():
        for weight in other.model.parameters():
            weight.zero_()
    assert answers(own) == expected


def test_a_quantised_network_is_copied_but_not_saved(trained: Path, tmp_path: Path) -> None:
    extractor = EntityExtractor.from_pretrained(trained, device="cpu", quantize="int8")
    assert answers(copy.deepcopy(extractor)) == answers(extractor)
    assert answers(pickle.loads(pickle.dumps(extractor))) == answers(extractor)
    with pytest.raises(ValueError, match="load it without quantize"):
        extractor.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="load it without quantize"):
        extractor.push_to_hub("acme/quantised")
    with pytest.raises(ValueError, match="without quantize"):
        extractor.to("meta")


def test_a_packed_engine_travels(tokenizer) -> None:
    extractor = EntityExtractor(tiny_dream(tokenizer), tokenizer)
    engine = attach_engine(extractor.model, graph_tokens=64)
    asked = {"text": "alice met bob .", "labels": ["person"], "steps": 1, "decoding": "plain"}
    expected = extractor.predict_entities(**asked)
    for other in (copy.deepcopy(extractor), pickle.loads(pickle.dumps(extractor)), extractor.to("cpu")):
        assert other.model.engine is not engine
        assert other.model.engine.model is other.model
        assert other.predict_entities(**asked) == expected
        assert other.model.engine.graph_tokens == 64


def test_threads_share_an_extractor(own: EntityExtractor) -> None:
    expected = answers(own)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: answers(own), range(8))) == [expected] * 8


def test_a_saved_extractor_loads_by_itself(own: EntityExtractor, tmp_path: Path) -> None:
    own.save_pretrained(tmp_path / "saved")
    assert answers(EntityExtractor.from_pretrained(tmp_path / "saved", device="cpu")) == answers(own)
    files = {path.name for path in (tmp_path / "saved").rglob("*")}
    assert {"config.json", "generation_config.json", "tokenizer.json", "generate.py"} <= files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]
    stored = load_file(tmp_path / "saved/model.safetensors")
    kept = own.model.state_dict()
    assert all(torch.equal(kept[name], weight) for name, weight in stored.items())


def test_it_moves_to_a_device_by_any_name(own: EntityExtractor) -> None:
    other = copy.deepcopy(own)
    assert other.to(torch.device("meta")) is other
    assert other.device.type == "meta"
    assert copy.deepcopy(own).to("cpu").device == torch.device("cpu")
    with pytest.raises(ValueError, match="needs one device"):
        own.to("auto")
    with pytest.raises(ValueError, match="cannot be used here"):
        own.to("nowhere")


def test_devices_are_named_in_every_way() -> None:
    assert checked_device(torch.device("cpu")) == "cpu"
    assert checked_device("auto") == "auto"
    if torch.cuda.is_available():
        assert checked_device(0) == checked_device(np.int64(0)) == "cuda:0"
    else:
        with pytest.raises(ValueError, match="'cuda:0' cannot be used here"):
            checked_device(np.int64(0))
    with pytest.raises(ValueError, match="True"):
        checked_device(True)


@pytest.mark.parametrize("gpu", [True, False])
def test_the_dtype_follows_the_device(gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    on_gpu = torch.bfloat16
    assert default_dtype("cuda:1") == on_gpu
    assert default_dtype("cpu") == torch.float32
    assert default_dtype("auto") == (on_gpu if gpu else torch.float32)


def test_limits_of_the_caller_hold(trained: Path) -> None:
    text = " ".join(TEXTS * 8)
    wide = EntityExtractor.from_pretrained(trained, device="cpu", limits=Limits(prompt_tokens=100_000))
    assert wide.limits.prompt_tokens == wide.decoder.context * 3 // 4
    narrow = EntityExtractor.from_pretrained(trained, device="cpu", limits=Limits(prompt_tokens=64))
    options = narrow.options(None, None, None)
    prompts = [request.prompt for request, _ in narrow.predict([(TYPES, text)], options, 8)]
    assert len(prompts) > 1
    assert max(map(len, prompts)) <= 64
    for wrong in (0, 1.5, True):
        with pytest.raises(ValueError, match="limits: types must be"):
            Limits(types=wrong)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers(own: EntityExtractor) -> None:
    given = own.batch_predict_entities(
        TEXTS,
        TYPES,
        np.float32(0.25),
        np.int64(4),
        steps=np.int32(2),
        temperature=np.float32(0.5),
        seed=np.int64(3),
    )
    assert given == own.batch_predict_entities(TEXTS, TYPES, 0.25, 4, steps=2, temperature=0.5, seed=3)
    with pytest.raises(ValueError, match="threshold"):
        own.predict_entities(TEXTS[0], TYPES, np.float32(1.5))
    with pytest.raises(ValueError, match="batch_size"):
        own.batch_predict_entities(TEXTS, TYPES, batch_size=np.float64(2))
