"""A network with its tokenizer: moved to a device, saved, pushed to the Hub."""

from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import torch

from ..backbones.devices import Device, checked_device
from ..canvas.encoding import PromptEncoder
from ..custom_generate.engine import attach_engine

Holder = TypeVar("Holder", bound="ModelHolder")


class ModelHolder:
    """Holds a network and the encoder of its prompts. It can be copied, pickled and used after a fork."""

    model: Any
    encoder: PromptEncoder

    @property
    def device(self) -> torch.device:
        """The device of the network's input embeddings."""
        return self.model.get_input_embeddings().weight.device

    def to(self: Holder, device: Device) -> Holder:
        """Move the network to a device, and return self; the dtype of its weights stays.

        Args:
            device: name, ``torch.device``, or number of a GPU.

        Raises:
            ValueError: the device cannot be used here, or the network cannot leave where it is.
        """
        chosen = checked_device(device)
        if chosen is None or chosen == "auto":
            raise ValueError(f"to() needs one device, such as 'cpu' or 'cuda', got {device!r}")
        if len(set((getattr(self.model, "hf_device_map", None) or {}).values())) > 1:
            raise ValueError("this model is spread over several devices and cannot move; load it on one")
        if is_quantised(self.model) and not chosen.startswith("cpu"):
            raise ValueError(
                f"a model with quantize='int8' runs on the CPU, not on {chosen!r}; load it without quantize"
            )
        self.model.to(chosen)
        engine = getattr(self.model, "engine", None)
        if engine is not None:  # its tensors and recorded runs belong to the old device
            attach_engine(self.model, **engine.options)
        return self

    def save_pretrained(self, folder: str | Path, *, max_shard_size: str = "5GB") -> None:
        """Write a folder that ``from_pretrained`` and ``load_model`` load.

        It holds the weights as safetensors (of an adapter the adapter alone), the diffusion settings, the
        tokenizer and the denoising loop (``custom_generate/``). The extractor's own ``canvas`` and ``limits``
        are no part of a model: give them again.

        Args:
            folder: made if missing.
            max_shard_size: the most bytes of one weight file, such as ``"5GB"``.

        Raises:
            ValueError: the weights are quantised.
        """
        self._check_saved()
        saving = import_module("..backbones.saving", __package__)
        saving.write_model(self.model, self.encoder.tokenizer, Path(folder), max_shard_size=max_shard_size)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        revision: str | None = None,
        commit_message: str | None = None,
    ) -> str:
        """Upload what ``save_pretrained`` writes to the Hugging Face Hub, and return the commit's address.

        The token is that of the environment (``HF_TOKEN``) or of ``hf auth login``.

        Args:
            repo_id: ``"organisation/name"`` of a model repository, made if missing.
            private: of a repository made here; default: as the account has it.
            revision: branch to commit to, which exists; default: the main one.
            commit_message: default: "Upload model".

        Raises:
            ValueError: the weights are quantised.
            OSError: the Hub cannot be reached, or refuses.
        """
        self._check_saved()
        saving = import_module("..backbones.saving", __package__)
        return saving.push_model(
            self.model,
            self.encoder.tokenizer,
            repo_id,
            private=private,
            revision=revision,
            commit_message=commit_message,
        )

    def _check_saved(self) -> None:
        if is_quantised(self.model):
            raise ValueError(
                "a model with quantize='int8' cannot be saved: load it without quantize, save that, and "
                "quantise when you load it"
            )


def is_quantised(model: torch.nn.Module) -> bool:
    """Return whether a layer of the network holds 8-bit integers."""
    return any(isinstance(part, torch.ao.nn.quantized.dynamic.Linear) for part in model.modules())
