"""Merge an adapter into its base, and check that the merged model answers alike.

The logits of a fixed prompt, before merging and after the written folder is loaded again, must agree. In 16
bits a merged weight is rounded once more than its two parts, so they then agree less closely.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from ..canvas.encoding import PromptEncoder
from ..custom_generate.settings import DiffusionSettings
from .load import load_model
from .saving import is_adapted, write_model
from .tokenizer import load_tokenizer

RECORD = "merge.json"
# The largest difference of two logits, as a share of the largest logit.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
PROBE_TYPES = ("person", "organization", "date")
PROBE_TEXT = "Ronaldo plays for Al Nassr since January 2023"
PROBE_SLOTS = 16


class MergeError(ValueError):
    """The merged model does not answer as the adapter does."""


def merge(
    adapter: str | Path,
    output: Path,
    dtype: torch.dtype | None = None,
    device: str | None = None,
    revision: str | None = None,
) -> dict[str, Any]:
    """Write the merged model and return the record kept in ``merge.json``.

    Args:
        adapter: Hub id or folder of an adapter.
        output: folder to write; it must not exist.
        dtype: of the merged weights; default: as the base is stored.
        device: that computes; default: the CPU.
        revision: of a Hub repository.

    Raises:
        MergeError: the logits differ by more than the tolerance of the dtype; nothing is written then.
        ValueError: it is no adapter, or ``output`` exists.
        OSError: the adapter or its base cannot be found or reached.
    """
    if output.exists():
        raise ValueError(f"{output} exists; name a new folder, or remove it")
    model: Any = load_model(adapter, dtype=dtype, device_map=device or "cpu", revision=revision)
    if not is_adapted(model):
        raise ValueError(f"{str(adapter)!r} is no adapter (it has no adapter_config.json): nothing to merge")
    tokenizer = load_tokenizer(adapter, revision)
    settings = DiffusionSettings.of(model)
    probe = _probe(PromptEncoder(tokenizer, settings))
    before = _outputs(model, probe)
    base = model.peft_config[model.active_adapter].base_model_name_or_path
    merged: Any = model.merge_and_unload(safe_merge=True)
    settings.apply(merged)
    draft = output.with_name(f".{output.name}.part")
    shutil.rmtree(draft, ignore_errors=True)  # of a run that was cut off
    write_model(merged, tokenizer, draft)
    kind = merged.dtype
    del model, merged
    after = _outputs(load_model(draft, dtype=kind, device_map=device or "cpu"), probe)
    difference = float((after - before).abs().max() / before.abs().max())
    allowed = TOLERANCE.get(kind, TOLERANCE[torch.float32])
    if not difference <= allowed:
        shutil.rmtree(draft)
        raise MergeError(
            f"merged, the logits differ by {difference:.2g} of the largest one, more than {allowed:.2g} for "
            f"{kind}: merge in --dtype float32"
        )
    record = {
        "command": "diffusion-ner merge",
        "adapter": _name(adapter),
        "base": _name(base or ""),
        "dtype": str(kind).removeprefix("torch."),
        "difference": float(f"{difference:.3g}"),
    }
    (draft / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    draft.rename(output)
    return record


def _probe(encoder: PromptEncoder) -> torch.Tensor:
    ids = encoder.encode(PROBE_TYPES, PROBE_TEXT).input_ids
    return torch.tensor([[*ids, *[encoder.settings.mask_token_id] * PROBE_SLOTS]])


@torch.no_grad()
def _outputs(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Return the logits in fp32 (of a pointer network, which has none by itself, the hidden states)."""
    output = model(input_ids=ids.to(model.get_input_embeddings().weight.device))
    return (output.logits if hasattr(output, "logits") else output.last_hidden_state).float().cpu()


def _name(source: str | Path) -> str:
    """Return a Hub id as it is and of a folder its name: no path of a machine is kept."""
    return Path(source).name if Path(source).is_dir() else str(source)
