"""Which device a model is put on."""

from numbers import Integral

import torch

Device = str | int | torch.device


def checked_device(device: Device | None) -> str | None:
    """Return the name of a device if tensors can be put on it; None and ``"auto"`` stay.

    Args:
        device: name, ``torch.device``, or number of a GPU.

    Raises:
        ValueError: they cannot; the message says why.
    """
    if device is None or device == "auto":
        return device
    if isinstance(device, Integral) and not isinstance(device, bool):
        device = f"cuda:{int(device)}"
    elif isinstance(device, torch.device):
        device = str(device)
    try:
        if not isinstance(device, str):
            raise RuntimeError("it is no device")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        what = " ".join(str(error).split())
        raise ValueError(
            f"device {device!r:.80} cannot be used here ({what:.200}); "
            'give "cpu", or "cuda" where there is an NVIDIA GPU and a torch for it'
        ) from error
    return device


def default_device() -> str:
    """Return ``"cuda"`` if there is an NVIDIA GPU, else ``"cpu"``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def default_dtype(device: str) -> torch.dtype:
    """Return the dtype in which weights run on a device: bf16 on a GPU, fp32 elsewhere.

    Args:
        device: as ``checked_device`` returns it; ``"auto"`` fills the GPUs first.
    """
    if device == "auto":
        device = default_device()
    return torch.bfloat16 if device.startswith("cuda") else torch.float32
