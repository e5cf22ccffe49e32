"""Smaller numbers for the CPU: the encoder's matrix products in 8-bit integers."""

import warnings
from typing import Any

import torch
from torch import nn

from ..custom_generate.network import encoder_of

QUANTIZATIONS = ("int8",)


def quantize_encoder(model: Any, quantize: str) -> Any:
    """Quantise the encoder's linear layers in place, and return the model; output layers stay as they are.

    ``"int8"`` is torch's dynamic quantisation: weights are stored as 8-bit integers with one scale an output,
    activations are rounded as they come. It runs on the CPU and cannot be trained.

    Raises:
        ValueError: ``quantize`` is unknown, or the model is not in fp32 on the CPU.
    """
    if quantize not in QUANTIZATIONS:
        raise ValueError(f"quantize must be None or one of {QUANTIZATIONS}, got {quantize!r}")
    encoder = encoder_of(model)
    wrong = next(
        (p for p in encoder.parameters() if p.device.type != "cpu" or p.dtype != torch.float32), None
    )
    if wrong is not None:
        raise ValueError(
            f"quantize={quantize!r} needs the model in float32 on the cpu, but it is in {wrong.dtype} on "
            f"{wrong.device.type}; use device='cpu' and leave dtype out, or leave quantize out"
        )
    with warnings.catch_warnings():
        # torch says that this will move to another package some day, and some of its own calls are old.
        warnings.simplefilter("ignore")
        recipe = {nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
        torch.ao.quantization.quantize_dynamic(encoder, recipe, inplace=True)
    return model
