"""Checkpoint folders: whole or not there, found again after a crash, ready to upload."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, sort_checkpoints
from transformers.utils import logging

from ..backbones.saving import trained_weights

logger = logging.get_logger(__name__)
MANIFEST, TRAINED = "complete.json", "trained_weights.safetensors"
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
)


class CheckpointNotWritten(OSError):
    """A checkpoint could not be written; its folder was removed.

    Args:
        folder: of the checkpoint.
        last: the newest whole checkpoint, if there is one.
        error: what happened.
    """

    def __init__(self, folder: Path, last: Path | None, error: BaseException) -> None:
        kept = f"the last whole one is {last}" if last else "there is no whole one yet"
        super().__init__(
            f"checkpoint {folder} could not be written and was removed ({error}); {kept}. "
            "Make room on the disk and run the same command with --resume"
        )


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
