"""Checkpoint folders: whole or not there, found again after a crash, ready to upload."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerBase
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, sort_checkpoints
from transformers.utils import logging

logger = logging.get_logger(__name__)
GENERATION = Path(__file__).resolve().parents[1] / "custom_generate"
MANIFEST, TRAINED, DENSITY = "complete.json", "trained_weights.safetensors", "time_density.json"
# What a run needs to go on and nobody else does: leave it out of an upload (upload_folder's ignore_patterns).
RESUME_ONLY = (
    MANIFEST,
    "optimizer*",
    "scheduler.pt",
    "scaler.pt",
    "rng_state*",
    "trainer_state.json",
    "pytorch_model_fsdp*",
    TRAINED,
    DENSITY,
)


def write_model(
    model: Any,
    tokenizer: PreTrainedTokenizerBase | None,
    folder: Path,
    state_dict: Mapping[str, torch.Tensor] | None = None,
    max_shard_size: str = "5GB",
    adapter_dtype: torch.dtype | None = None,
) -> None:
    """Write a folder that loads by itself: weights, diffusion settings, tokenizer, the denoising loop.

    An adapter is written alone. No file is a pickle.

    Args:
        model: a transformers model or a PEFT one.
        tokenizer: the model's; None writes none.
        folder: made if missing.
        state_dict: the weights, if the model's own are spread over processes.
        max_shard_size: the most bytes of one weight file.
        adapter_dtype: in which an adapter's weights are stored; default as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {}
    if isinstance(model, PeftModel):
        # The vocabulary never changes here, and peft would ask the Hub whether it did.
        options["save_embedding_layers"] = False
        if adapter_dtype is not None:
            weights = trained_weights(model) if state_dict is None else state_dict
            state_dict = {name: weight.to(adapter_dtype) for name, weight in weights.items()}
    else:
        options["max_shard_size"] = max_shard_size
    model.save_pretrained(folder, state_dict=state_dict, **options)
    model.generation_config.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    write_generation(folder)


def write_generation(folder: Path) -> None:
    """Put the denoising loop where transformers looks for it in a checkpoint."""
    shutil.copytree(
        GENERATION,
        folder / "custom_generate",
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__"),
    )


def trained_weights(model: Any) -> dict[str, torch.Tensor]:
    """Return the weights that training changes, by their names in the state dict."""
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}


def save_trained(model: Any, folder: Path) -> None:
    """Write the trained weights as they are, to go on from where the model is stored in less precision."""
    save_file(
        {name: weight.contiguous() for name, weight in trained_weights(model).items()}, folder / TRAINED
    )


def load_trained(model: Any, folder: Path) -> None:
    """Load what ``save_trained`` wrote, if it is there."""
    if (folder / TRAINED).is_file():
        stored = load_file(folder / TRAINED)
        with torch.no_grad():
            for name, weight in trained_weights(model).items():
                weight.copy_(stored[name])


def mark_complete(folder: Path) -> None:
    """Record every file of a checkpoint with its size; without this record it counts as half-written."""
    sizes = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    # Written beside and renamed: the record itself is never half there.
    draft = folder / f"{MANIFEST}.part"
    draft.write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")
    draft.replace(folder / MANIFEST)


def fault(folder: Path) -> str | None:
    """Return what is wrong with a checkpoint, in words, or None if it is whole."""
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"it has no {MANIFEST}, so it was not written to its end"
    except (OSError, ValueError) as error:
        return f"its {MANIFEST} cannot be read ({error})"
    for name, size in sizes.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size:,} bytes instead of {size:,}"
    return None


def last_whole(output_dir: Path) -> Path | None:
    """Return the newest whole checkpoint of a run; each broken one that is newer is reported."""
    if not output_dir.is_dir():
        return None
    for name in reversed(sort_checkpoints(str(output_dir))):
        problem = fault(Path(name))
        if problem is None:
            return Path(name)
        logger.warning(f"{name} is not used: {problem}")
    return None


def discard(folder: Path) -> None:
    """Remove a checkpoint folder, if it is there."""
    if folder.name.startswith(PREFIX_CHECKPOINT_DIR):
        shutil.rmtree(folder, ignore_errors=True)
