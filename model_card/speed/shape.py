"""Does the code carry Dream-7B's full shape? Random weights, written to disk under Dream's names.

    python -m model_card speed shape --tokenizer FOLDER --work FOLDER --output FILE.json

Writes a checkpoint as the published repository has it (``model_type: "Dream"``, sharded safetensors), loads
it through ``load_model``, extracts from one sentence, wraps it in LoRA and runs one backward pass. It
measures memory and time; with random weights, what is extracted means nothing. ``--layers 2 --hidden 64``
rehearses on a CPU.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import Qwen2ForCausalLM

from model_card.evidence.files import write_json
from model_card.evidence.provenance import provenance
from model_card.flags import add_output
from modeling import EntityExtractor, load_model, load_tokenizer
from modeling.backbones.dream import dream_to_qwen2
from modeling.canvas.template import render_completion, render_prompt
from modeling.custom_generate.generate import generate
from modeling.custom_generate.settings import DiffusionSettings
from modeling.training.collator import CompletionCollator
from modeling.training.loss import DiffusionLoss, TrainingBatch

# config.json of Dream-org/Dream-v0-Base-7B, the fields that matter.
DREAM_7B: dict[str, Any] = {
    "model_type": "Dream",
    "architectures": ["DreamModel"],
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "max_position_embeddings": 131072,
    "rope_theta": 1000000.0,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "hidden_act": "silu",
    "mask_token_id": 151666,
    "pad_token_id": 151643,
    "bos_token_id": 151643,
    "eos_token_id": 151643,
    "torch_dtype": "bfloat16",
}
LORA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TEXT = "Ronaldo plays for Al Nassr since January 2023 and lives in Riyadh."
TYPES = ["person", "organization", "date", "location"]
ENTITIES = [
    ("person", "Ronaldo"),
    ("organization", "Al Nassr"),
    ("date", "January 2023"),
    ("location", "Riyadh"),
]


def write_checkpoint(
    config: dict[str, Any], folder: Path, device: torch.device, shard_bytes: int
) -> dict[str, Any]:
    """Write random bf16 weights of this shape in shards, and return their number, names and bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.device("meta"):
        shapes = {
            name: tensor.shape
            for name, tensor in Qwen2ForCausalLM(dream_to_qwen2(config)).state_dict().items()
        }
    generator = torch.Generator(device).manual_seed(0)
    shards: list[dict[str, torch.Tensor]] = [{}]
    sizes = [0]
    index: dict[str, str] = {}

    def flush() -> None:
        name = f"model-{len(shards):05d}.safetensors"
        save_file(shards[-1], folder / name, metadata={"format": "pt"})
        index.update(dict.fromkeys(shards[-1], name))
        shards[-1] = {}

    for name, shape in shapes.items():
        size = 2 * shape.numel()
        if shards[-1] and sizes[-1] + size > shard_bytes:
            flush()
            shards.append({})
            sizes.append(0)
        weight = (
            torch.ones(shape)
            if "norm" in name
            else torch.randn(shape, generator=generator, device=device) * 0.02
        )
        shards[-1][name] = weight.to(torch.bfloat16).cpu()
        sizes[-1] += size
    flush()
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": sum(sizes)}, "weight_map": index})
    )
    (folder / "config.json").write_text(json.dumps(config))
    return {"tensors": len(shapes), "shards": len(shards), "bytes": sum(sizes)}


@contextmanager
def measured(results: dict[str, Any], name: str, device: torch.device) -> Iterator[None]:
    """Record wall seconds and, on a GPU, peak memory of a block under ``name``."""
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    yield
    if cuda:
        torch.cuda.synchronize()
    entry = {"seconds": round(time.perf_counter() - start, 4)}
    if cuda:
        entry["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    results[name] = entry
    print(f"{name}: {entry}", flush=True)


def training_batch(
    tokenizer: Any, settings: DiffusionSettings, rows: int, device: torch.device
) -> TrainingBatch:
    """Return a batch of ``rows`` equal prompts with canvases of 128 slots."""
    row = {"prompt": render_prompt(TYPES, TEXT), "completion": render_completion(ENTITIES)}
    tensors = CompletionCollator(tokenizer, settings, truncate=False)([row] * rows)
    return TrainingBatch.from_tensors({name: value.to(device) for name, value in tensors.items()})


def measure(
    config: dict[str, Any], tokenizer_folder: str, work: Path, device: torch.device, shard_bytes: int
) -> dict:
    """Run every step and return what was measured."""
    results: dict[str, Any] = {}
    folder = work / "dream"
    with measured(results, "write", device):
        results["checkpoint"] = write_checkpoint(config, folder, device, shard_bytes)
    print(f"checkpoint: {results['checkpoint']}", flush=True)
    load_tokenizer(tokenizer_folder).save_pretrained(folder)
    with measured(results, "load", device):
        model = load_model(folder, dtype=torch.bfloat16, device_map=str(device))
    results["parameters"] = sum(p.numel() for p in model.parameters())
    tokenizer = load_tokenizer(folder)
    extractor = EntityExtractor(model, tokenizer)
    prompt = tokenizer(render_prompt(TYPES, TEXT), return_tensors="pt", add_special_tokens=False).to(device)
    calls: dict[str, Callable[[], Any]] = {
        "generate_128_slots_8_steps": lambda: generate(
            prompt["input_ids"], model=model, max_new_tokens=128, steps=8, seed=0
        ),
        "extract_plain_8_steps": lambda: extractor.predict_entities(TEXT, TYPES, decoding="plain", steps=8),
        "extract_grounded_8_steps": lambda: extractor.predict_entities(TEXT, TYPES, steps=8),
    }
    for name, call in calls.items():
        call()  # the first call compiles kernels
        with measured(results, name, device):
            call()
    wrapped = get_peft_model(
        model,
        LoraConfig(
            r=64, lora_alpha=128, lora_dropout=0.05, target_modules=LORA_TARGETS, task_type="CAUSAL_LM"
        ),
    )
    results["trainable_parameters"] = sum(p.numel() for p in wrapped.parameters() if p.requires_grad)
    settings = DiffusionSettings.of(wrapped)
    wrapped.train()
    for rows in (1, 8):
        batch = training_batch(tokenizer, settings, rows, device)
        torch.manual_seed(0)
        with measured(results, f"forward_backward_batch_{rows}", device):
            output = DiffusionLoss()(wrapped, settings, batch)
            loss = output.loss / sum(int(t.canvas.mask.sum()) for t in batch.targets)
            loss.backward()
        gradients = [p.grad for p in wrapped.parameters() if p.grad is not None]
        results[f"forward_backward_batch_{rows}"] |= {
            "loss": round(float(loss.detach()), 4),
            "gradients": len(gradients),
            "finite": all(bool(torch.isfinite(g).all()) for g in gradients),
        }
        wrapped.zero_grad(set_to_none=True)
    return results


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.add_argument("--tokenizer", default="Dream-org/Dream-v0-Base-7B", help="folder or Hub id")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for the checkpoint (15 GB), removed after"
    )
    add_output(parser)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add_shape(parser)


def run(args: argparse.Namespace) -> int:
    """Write the checkpoint, load it, extract and train a step."""
    config = {**DREAM_7B, **changes_of(args)}
    device = torch.device(args.device)
    try:
        results = measure(config, args.tokenizer, args.work, device, shard_bytes=4 * 10**9)
    finally:
        shutil.rmtree(args.work / "dream", ignore_errors=True)
    if args.output:
        report = {
            "what": "Dream-7B's full shape, random weights: loading, extraction, LoRA, a backward pass",
            "layers": args.layers,
            "hidden": args.hidden,
            **provenance(device, {}),
            "results": results,
        }
        write_json(args.output, report)
    return 0


def add_shape(parser: argparse.ArgumentParser) -> None:
    """Add the changes of the shape, for a rehearsal."""
    parser.add_argument("--layers", type=int, default=DREAM_7B["num_hidden_layers"])
    parser.add_argument("--hidden", type=int, default=DREAM_7B["hidden_size"])


def changes_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return what ``--layers`` and ``--hidden`` change in Dream-7B's configuration."""
    changes: dict[str, Any] = {"num_hidden_layers": args.layers}
    if args.hidden != DREAM_7B["hidden_size"]:
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
        changes |= {"hidden_size": args.hidden, "intermediate_size": 2 * args.hidden, **heads}
    return changes
