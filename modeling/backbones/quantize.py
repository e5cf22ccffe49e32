"""Smaller numbers for the CPU: the encoder's matrix products in 8-bit integers."""

import warnings
from typing import Any

import torch
from torch import nn
from torch.ao.nn.quantized.dynamic import Linear
from torch.ao.quantization import per_channel_dynamic_qconfig

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
    for name, layer in list(encoder.named_modules()):
        if type(layer) is nn.Linear:
            setattr(layer, "qconfig", per_channel_dynamic_qconfig)  # noqa: B010 - a module has no such attribute
            parent = encoder.get_submodule(name.rpartition(".")[0])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch announces another storage for such weights
                setattr(parent, name.rpartition(".")[2], Linear.from_float(layer))
    return model
