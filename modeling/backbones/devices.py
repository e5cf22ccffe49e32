"""Which device a model is put on."""

import torch


def checked_device(device: str | None) -> str | None:
    """Return the device if tensors can be put on it; None and ``"auto"`` (spread by accelerate) stay.

    Raises:
        ValueError: they cannot; the message says why.
    """
    if device is None or device == "auto":
        return device
    try:
        if not isinstance(device, str):
            raise RuntimeError("it is no string")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        what = " ".join(str(error).split())
        raise ValueError(
            f"device {device!r:.80} cannot be used here ({what:.200}); "
            'give "cpu", or "cuda" where there is an NVIDIA GPU and a torch for it'
        ) from error
    return device
