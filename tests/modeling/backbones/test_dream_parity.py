"""Dream without remote code: equal to the official code's logits and to its generations, step by step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel

from modeling import load_model
from modeling.custom_generate.generate import generate
from tests.conftest import REPOSITORY

ALGORITHMS = ("maskgit_plus", "topk_margin", "entropy")
STEPS = (1, 4, 8)
# The official loop: its own schedule, no penalty on padding, no grammar.
OFFICIAL = {"max_new_tokens": 16, "schedule": "dream", "decoding": "plain", "pad_penalty": 0.0}
TENSORS = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TENSORS]:
    """A folder as Dream is published, and what the official code made of it."""
    folder = tmp_path_factory.mktemp("dream")
    with safe_open(REPOSITORY / "tests/fixtures/dream_tiny.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        config = json.loads(file.metadata()["meta"])["config"]
    weights = {name.removeprefix("weights."): t for name, t in tensors.items() if name.startswith("weights.")}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    published = {
        **config,
        "model_type": "Dream",
        "architectures": ["DreamModel"],
        "auto_map": {
            "AutoModel": "modeling_dream.DreamModel",
            "AutoConfig": "configuration_dream.DreamConfig",
        },
    }
    (folder / "config.json").write_text(json.dumps(published))
    return folder, tensors


@pytest.fixture(scope="module")
def model(reference: tuple[Path, TENSORS]) -> PreTrainedModel:
    return load_model(reference[0], dtype=torch.float32)


@pytest.fixture(scope="module")
def tensors(reference: tuple[Path, TENSORS]) -> TENSORS:
    return reference[1]


@torch.no_grad()
def test_logits(model, tensors):
    logits = model(input_ids=tensors["full.input_ids"]).logits
    torch.testing.assert_close(logits, tensors["full.logits"], atol=1e-4, rtol=0)


@torch.no_grad()
def test_logits_with_left_padding(model, tensors):
    mask = tensors["padded.attention_mask"]
    logits = model(
        input_ids=tensors["padded.input_ids"],
        attention_mask=mask,
        position_ids=tensors["padded.position_ids"],
    ).logits
    real = mask.bool()
    assert 0 < int(real.sum()) < real.numel()
    torch.testing.assert_close(logits[real], tensors["padded.logits"][real], atol=1e-4, rtol=0)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_generation(model, tensors, algorithm, steps):
    output = generate(
        tensors["gen.prompt"],
        model=model,
        steps=steps,
        algorithm=algorithm,
        output_history=True,
        return_dict_in_generate=True,
        **OFFICIAL,
    )
    assert torch.equal(output.sequences, tensors[f"gen.{algorithm}.{steps}.sequences"])
    assert torch.equal(output.history, tensors[f"gen.{algorithm}.{steps}.history"])


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_generation_of_a_left_padded_batch(model, tensors, algorithm, steps):
    output = generate(
        tensors["gen.batch_prompt"],
        model=model,
        attention_mask=tensors["gen.batch_attention_mask"],
        steps=steps,
        algorithm=algorithm,
        output_history=True,
        return_dict_in_generate=True,
        **OFFICIAL,
    )
    assert torch.equal(output.sequences, tensors[f"gen_batch.{algorithm}.{steps}.sequences"])
    assert torch.equal(output.history, tensors[f"gen_batch.{algorithm}.{steps}.history"])


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_generation_through_transformers(model, tensors, algorithm, steps):
    output = model.generate(
        tensors["gen.batch_prompt"],
        attention_mask=tensors["gen.batch_attention_mask"],
        steps=steps,
        algorithm=algorithm,
        output_history=True,
        return_dict_in_generate=True,
        custom_generate=str(REPOSITORY / "modeling"),
        trust_remote_code=True,
        **OFFICIAL,
    )
    assert torch.equal(output.sequences, tensors[f"gen_batch.{algorithm}.{steps}.sequences"])
    assert torch.equal(output.history, tensors[f"gen_batch.{algorithm}.{steps}.history"])


@pytest.mark.parametrize("schedule", ["uniform", "dream"])
def test_what_is_revealed_stays_though_rows_have_unequal_masks(model, tensors, schedule):
    # The official count is the batch's mean: a row with fewer masks has known tokens masked over by it.
    canvas = torch.ones(2, 16, dtype=torch.bool)
    canvas[1, 5:] = False
    prompt, mask = tensors["gen.batch_prompt"], tensors["gen.batch_attention_mask"]
    start = mask.sum(1, keepdim=True)
    output = generate(
        prompt,
        model=model,
        attention_mask=mask,
        steps=6,
        schedule=schedule,
        canvas_positions=start + torch.arange(16),
        canvas_mask=canvas,
        output_history=True,
        return_dict_in_generate=True,
    )
    absorbing = model.generation_config.mask_token_id
    before = torch.full_like(output.history[0], absorbing)
    for after in output.history:
        known = before != absorbing
        assert torch.equal(after[known], before[known])
        before = after
    width = prompt.shape[1]
    assert (before[:, width:] != absorbing).all()
    revealed = (output.history[:, :, width:] != absorbing) & canvas
    counts = revealed.sum(-1).diff(dim=0, prepend=torch.zeros(1, 2, dtype=torch.long))
    assert counts.sum(0).tolist() == [16, 5]
    assert (counts >= 0).all()


def test_unequal_rows_are_those_of_a_batch_of_one(model, tensors):
    prompt, mask = tensors["gen.batch_prompt"], tensors["gen.batch_attention_mask"]
    together = generate(prompt, model=model, attention_mask=mask, max_new_tokens=12, steps=5)
    for row in range(len(prompt)):
        own = mask[row].bool()
        alone = generate(prompt[row : row + 1, own], model=model, max_new_tokens=12, steps=5)
        assert torch.equal(together[row, prompt.shape[1] :], alone[0, int(own.sum()) :])
