"""What stops a run, with what is needed to find out why."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file


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


def stop_at_bad_loss(loss: torch.Tensor, inputs: Mapping[str, Any], folder: Path, step: int) -> None:
    """Stop before a loss that is NaN or infinite reaches the weights, and save its batch.

    Args:
        loss: scalar.
        inputs: the batch; its tensors are written as safetensors, its place in the step as metadata.
        folder: where ``bad_batch/step-{step}-process-{rank}.safetensors`` goes.
        step: how many optimiser steps were done.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    if bool(torch.isfinite(loss.detach())):
        return
    rank = dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
    path = folder / "bad_batch" / f"step-{step}-process-{rank}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in inputs.items() if isinstance(v, torch.Tensor)}
    others = {k: repr(v) for k, v in inputs.items() if not isinstance(v, torch.Tensor)}
    save_file(tensors, path, metadata={"loss": str(loss.item()), "step": str(step), **others})
    raise FloatingPointError(
        f"the loss of step {step + 1} is {loss.item()}; training stopped before the weights changed. "
        f"The batch is in {path}: look for a row that is odd, or lower learning_rate or max_weight, "
        "and go on with --resume"
    )
