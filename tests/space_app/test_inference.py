"""The model that the environment names, and the GPU that ZeroGPU lends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from space_app import inference
from space_app.limits import Query
from tests.modeling.tiny import tiny_dream, toy_tokenizer


@pytest.fixture
def unloaded() -> Iterator[None]:
    inference.extractor.cache_clear()
    yield
    inference.extractor.cache_clear()


@pytest.mark.usefixtures("unloaded")
def test_the_variable_names_the_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(inference.MODEL_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        inference.extractor()
    tokenizer = toy_tokenizer()
    model = tiny_dream(tokenizer, outside_token_id=-1, inside_token_id=-1, first_marker_id=-1)
    model.save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    monkeypatch.setenv(inference.MODEL_VARIABLE, f" {tmp_path / 'tiny'} ")
    assert inference.canvases() == ("completion",)  # the page offers no other
    query = Query("alice met bob .", ("person",), 0.0, 2, "completion")
    last = inference.denoise(query)["passes"][-1][-1]
    assert all("empty" in slot for slot in last["slots"])
    assert last["entities"] == inference.extract(query)["entities"]


@pytest.mark.usefixtures("unloaded")
def test_the_embedded_model_has_both_canvases_its_own_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(inference.MODEL_VARIABLE, raising=False)
    assert inference.canvases() == ("aligned", "completion")


def test_zero_gpu_wraps_the_work_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def work() -> str:
        return "done"

    monkeypatch.setitem(sys.modules, "spaces", None)
    monkeypatch.delitem(sys.modules, "spaces")
    (tmp_path / "spaces.py").write_text("def GPU(function):\n    return lambda *a: ('lent', function(*a))\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert inference._on_gpu()(work)() == ("lent", "done")


@pytest.mark.parametrize("canvas", ["aligned", "completion"])
def test_a_long_text_is_denoised_in_passes_that_cover_it(canvas: str) -> None:
    text = "Ada Lovelace met Charles Babbage in London. " * 40
    query = Query(text[:1900], ("person", "city"), 0.0, 2, canvas)
    passes = inference.denoise(query)["passes"]
    assert len(passes) > 1
    assert all([step["step"] for step in steps] == list(range(1, len(steps) + 1)) for steps in passes)
    assert all(len({len(step["slots"]) for step in steps}) == 1 for steps in passes)
    words = {slot["text"] for steps in passes for slot in steps[-1]["slots"]}
    assert canvas == "completion" or words == set(query.text.replace(".", " .").split())
