"""What the files of a checkpoint hold, checked before anything is built from them.

A checkpoint is somebody's files: an index may point out of its folder or at a pickle, a config may name code
to fetch or a network that its weights do not have, weights may be no numbers. Each is refused with what is
wrong and what to do, instead of being run, or answered with nonsense.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from .sources import file_of, read_json

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
LONGEST_INDEX = 32 * 2**20  # bytes; that of a model with ten thousand tensors has one million
MOST_LAYERS = 1000
# A kernel, unlike a built-in attention, is named "organisation/name": code of another repository.
_ATTENTION = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
_FLOATING = ("F64", "F32", "F16", "BF16")


def check_config(source: str, config: Mapping[str, Any]) -> None:
    """Refuse what a config can ask for beyond a network of a known shape.

    Args:
        source: the checkpoint, for the message.
        config: the content of its ``config.json``.

    Raises:
        ValueError: it names code to fetch, a quantisation, or a number of layers that no network has.
    """
    for name in _ATTENTION:
        value = config.get(name)
        if value is not None and (not isinstance(value, str) or not value.isidentifier()):
            raise ValueError(
                f"config.json of {source!r} has {name} {value!r:.80}, which names code to fetch and run; "
                f"remove {name} from it if you trust the rest"
            )
    if config.get("quantization_config") is not None:
        raise ValueError(
            f"config.json of {source!r} has a quantization_config; quantised checkpoints are not supported: "
            "give the weights in float32, bfloat16 or float16"
        )
    layers = config.get("num_hidden_layers", 1)
    if isinstance(layers, bool) or not isinstance(layers, int) or not 1 <= layers <= MOST_LAYERS:
        raise ValueError(
            f"config.json of {source!r} has num_hidden_layers {layers!r:.80}; "
            f"it must be a whole number from 1 to {MOST_LAYERS}: download it again"
        )


def skeleton_of(source: str, architecture: Any, config: Any) -> nn.Module:
    """Return the network that a config describes, without weights: its tensors are on the meta device.

    Raises:
        ValueError: it describes none.
    """
    try:
        with torch.device("meta"):
            return architecture(config)
    except Exception as error:  # a field may be anything, and each fails in its own way
        raise ValueError(_no_network(source, error)) from error


def config_of(source: str, make: Any, config: Mapping[str, Any]) -> Any:
    """Return ``make(config)``, a config object.

    Raises:
        ValueError: a field has the wrong type or value.
    """
    try:
        return make(dict(config))
    except Exception as error:  # see skeleton_of
        raise ValueError(_no_network(source, error)) from error


def _no_network(source: str, error: Exception) -> str:
    what = " ".join(str(error).split()) or type(error).__name__
    return (
        f"config.json of {source!r} does not describe a network ({type(error).__name__}: {what:.200}); "
        "download it again"
    )


def weight_files(source: str, revision: str | None = None) -> list[str]:
    """Return the names of the weight files of a full model, in order.

    Args:
        source: folder or Hub id.
        revision: of a Hub repository.

    Raises:
        OSError: the folder has no weights in the safetensors format, or lacks a file that its index names.
        ValueError: the index cannot be read, or names what is no weight file of this checkpoint.
    """
    here = Path(source)
    if here.is_dir():
        if not any(here.glob("*.safetensors")):
            raise OSError(
                f"{source!r} has no weights in the safetensors format (*.safetensors); pickled ones (*.bin) "
                "can run code when they are read, so they are not: convert them where you trust them"
            )
        if (here / WEIGHTS).is_file():
            return [WEIGHTS]
    index = file_of(source, INDEX, revision)
    if index is None:  # a repository with one file, or a folder whose weights have another name
        return []
    if index.stat().st_size > LONGEST_INDEX:
        raise ValueError(
            f"{INDEX} of {source!r} has {index.stat().st_size:,} bytes, more than the {LONGEST_INDEX:,} that "
            "the index of any model needs; download it again"
        )
    named = (read_json(source, INDEX, revision) or {}).get("weight_map")
    if not isinstance(named, dict) or not named:
        raise ValueError(f"{INDEX} of {source!r} has no weight_map of tensors to files; download it again")
    names: list[str] = []
    for tensor, name in named.items():
        plain = isinstance(name, str) and name.endswith(".safetensors")
        if not plain or any(sign in name for sign in ("/", "\\", "\0")):
            raise ValueError(
                f"{INDEX} of {source!r} has {tensor!r:.80} in {name!r:.120}, which is no safetensors file of "
                "this checkpoint's own folder; do not use it, or correct the index if you trust the rest"
            )
        names.append(name)
    names = sorted(set(names))
    missing = next((name for name in names if here.is_dir() and not (here / name).is_file()), None)
    if missing is not None:
        raise OSError(
            f"{source!r} lacks the weight file {missing!r:.120} that its index names; download it again"
        )
    return names


def check_stored(source: str, names: Sequence[str], skeleton: nn.Module, revision: str | None = None) -> None:
    """Compare the headers of weight files with a network, before a tensor of them is read.

    Raises:
        ValueError: a tensor has another shape than the network's, or its numbers are not floating-point.
        safetensors.SafetensorError: a file is incomplete or damaged.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in skeleton.state_dict().items()}
    for tensor, shape, kind in _headers(source, names, revision):
        if tensor in wanted and shape != wanted[tensor]:
            raise ValueError(
                f"{tensor!r} of {source!r} has the shape {shape}, but its config.json describes "
                f"{wanted[tensor]}; config and weights are of different models, or damaged: download both"
            )
        if tensor in wanted and kind not in _FLOATING:
            raise ValueError(
                f"{tensor!r} of {source!r} is stored as {kind}; quantised checkpoints are not supported: "
                "give the weights in float32, bfloat16 or float16"
            )


def _headers(
    source: str, names: Sequence[str], revision: str | None
) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Yield name, shape and number format of every tensor in the files."""
    for name in names:
        path = file_of(source, name, revision)
        if path is None:
            continue
        with safe_open(path, framework="pt") as file:
            for tensor in file.keys():  # noqa: SIM118 - a file is no mapping
                part = file.get_slice(tensor)
                yield tensor, tuple(part.get_shape()), part.get_dtype()


@torch.no_grad()
def check_finite(source: str, model: nn.Module) -> None:
    """Refuse weights that hold NaN or infinity: every answer that meets them would be nonsense.

    Raises:
        ValueError: names the first such tensor.
    """
    for name, tensor in model.named_parameters():
        if tensor.device.type == "meta" or not tensor.numel() or not tensor.is_floating_point():
            continue
        # The bounds take no memory of the tensor's size, as a mask of finite entries would.
        if not torch.isfinite(torch.stack(tensor.aminmax())).all():
            raise ValueError(
                f"{name!r} of {source!r} is not finite: its weights hold NaN or infinity; download it again"
            )
