"""Load the networks of the registry, adapters and merged models; no remote code runs."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors import SafetensorError, safe_open
from transformers import GenerationConfig, PreTrainedModel

from ..custom_generate.network import encoder_of
from ..custom_generate.settings import DiffusionSettings
from .registry import backbone_of
from .sources import base_of, file_of, read_json, resolve
from .weights import (
    WEIGHTS,
    check_config,
    check_finite,
    check_stored,
    config_of,
    skeleton_of,
    weight_files,
)

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_LAYER = re.compile(r"\.layers?\.\d+\.")


def load_model(
    path_or_id: str | Path | None = None,
    *,
    dtype: torch.dtype | str | None = None,
    device_map: str | dict[str, Any] | None = None,
    revision: str | None = None,
) -> PreTrainedModel | PeftModel:
    """Return a network that carries its diffusion settings in ``model.generation_config``, in eval mode.

    Args:
        path_or_id: folder or Hub id of a Dream repository as published, its native Qwen2 form, a
            BERT-shaped masked LM, a merged model or an adapter; None is the embedded default.
        dtype: of the weights; default as stored (fp32 for the embedded default, which is stored in bf16).
        device_map: as in transformers.
        revision: of a Hub repository. An adapter's revision is not applied to its base.

    Raises:
        OSError: no such folder or repository, the Hub cannot be reached, or weights are missing or damaged.
        ValueError: not a masked-diffusion network: unknown architecture, no mask token, or causal; a file of
            it is not what it must be (see ``backbones.weights``); or ``dtype`` is none that weights can have.
    """
    dtype = checked_dtype(dtype)
    source = resolve(path_or_id)
    adapter = read_json(source, "adapter_config.json", revision)
    if adapter is not None:
        return _load_adapter(source, adapter, dtype, device_map, revision)
    config = read_json(source, "config.json", revision)
    if config is None:
        raise OSError(
            f"{source!r} has neither config.json nor adapter_config.json; give a model folder or repository"
        )
    check_config(source, config)
    read_json(source, "generation_config.json", revision)  # a broken one fails here, not within transformers
    with _weights_of(source):
        model, defaults = _load_network(source, config, dtype, device_map, revision)
    _settle(model, source, revision, defaults)
    check_finite(source, model)
    check_bidirectional(model)
    return model.eval()


def checked_dtype(dtype: torch.dtype | str | None) -> torch.dtype | str | None:
    """Return the dtype of weights, by itself or by its name; None and ``"auto"`` stay.

    Raises:
        ValueError: weights cannot have it.
    """
    if dtype is None or dtype == "auto":
        return dtype
    chosen = getattr(torch, dtype.removeprefix("torch."), None) if isinstance(dtype, str) else dtype
    if chosen not in DTYPES:
        names = ", ".join(str(one).removeprefix("torch.") for one in DTYPES)
        raise ValueError(f"dtype must be one of {names}, as torch.dtype or its name, got {dtype!r:.80}")
    return chosen


@contextmanager
def _weights_of(source: str) -> Iterator[None]:
    """Explain weights that cannot be read."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(
            f"the weights of {source!r} are incomplete or damaged ({error}); download them again"
        ) from error


def _load_network(
    source: str,
    config: dict[str, Any],
    dtype: torch.dtype | str | None,
    device_map: str | dict[str, Any] | None,
    revision: str | None,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Return a full model and the diffusion settings of its architecture."""
    try:
        backbone = backbone_of(config)
    except ValueError as error:
        raise ValueError(f"{source!r} {error}") from None
    if (problem := backbone.problem(config)) is not None:
        raise ValueError(f"{source!r} {problem}")
    files = weight_files(source, revision)
    dtype = dtype or backbone.dtype
    described = config_of(source, backbone.configure, config)
    skeleton = skeleton_of(source, backbone.network, described)
    if Path(source).is_dir():
        check_stored(source, files, skeleton)
    try:
        model, loading = backbone.network.from_pretrained(
            source,
            config=described,
            dtype=dtype or "auto",
            device_map=device_map,
            revision=revision,
            use_safetensors=True,
            output_loading_info=True,
        )
    except RuntimeError:
        check_stored(source, files or [WEIGHTS], skeleton, revision)  # of the Hub's, which are here by now
        raise
    missing = sorted(loading["missing_keys"])
    if missing:
        raise ValueError(
            f"{source!r} lacks {len(missing)} weights of its architecture, for example {missing[0]!r}, which "
            "would stay random; download it again, or give the whole model and not a part of it"
        )
    beyond = sorted(name for name in loading["unexpected_keys"] if _LAYER.search(name))
    if beyond:
        raise ValueError(
            f"{source!r} has weights of layers that its config.json does not describe, for example "
            f"{beyond[0]!r:.120}; config and weights are of different models: download both"
        )
    return model, backbone.settings(config)


def _load_adapter(
    source: str,
    adapter: dict[str, Any],
    dtype: torch.dtype | str | None,
    device_map: str | dict[str, Any] | None,
    revision: str | None,
) -> PeftModel:
    base_id = base_of(source, adapter)
    if adapter.get("peft_type") != "LORA" or adapter.get("megatron_config") is not None:
        raise ValueError(
            f"adapter_config.json of {source!r} has peft_type {adapter.get('peft_type')!r:.80}"
            f"{' with a megatron_config' if adapter.get('megatron_config') is not None else ''}; only plain "
            "'LORA' adapters are supported: merge the adapter into its base and give the merged model"
        )
    base = load_model(base_id, dtype=dtype, device_map=device_map, revision=adapter.get("revision"))
    with _weights_of(source):
        model = _wrapped(base, source, revision)
    # What was trained may differ from the base: prompt attention, canvas, shift.
    _settle(model, source, revision, {})
    check_finite(source, model)
    return model.eval()


def _wrapped(base: Any, source: str, revision: str | None) -> PeftModel:
    """Return the base with its adapter, all of whose weights come from the adapter's file."""
    file = file_of(source, SAFETENSORS_WEIGHTS_NAME, revision)
    if file is None:
        raise OSError(
            f"the adapter {source!r} has no weights in the safetensors format ({SAFETENSORS_WEIGHTS_NAME}); "
            "pickled ones (*.bin) can run code when they are read, so they are not: convert them where you "
            "trust them"
        )
    with safe_open(file, framework="pt") as weights:
        stored = set(weights.keys())
    try:
        model = PeftModel.from_pretrained(base, source, revision=revision, use_safetensors=True)
    except (RuntimeError, TypeError, ValueError) as error:  # how peft meets a shape, a field, a module name
        what = " ".join(str(error).split())
        raise ValueError(
            f"the adapter {source!r} does not fit its base ({what:.300}); "
            "give the base it was trained on as base_model_name_or_path, or download both again"
        ) from error
    missing = sorted(set(get_peft_model_state_dict(model)) - stored)
    if missing:
        raise ValueError(
            f"the adapter {source!r} lacks {len(missing)} weights, for example {missing[0]!r}, which would "
            "stay as they are made; download it again"
        )
    return model


def _settle(model: Any, source: str, revision: str | None, defaults: dict[str, Any]) -> None:
    """Give the model its diffusion settings: those its repository stores, else the architecture's."""
    stored = read_json(source, "generation_config.json", revision) or {}
    known = {
        name: stored[name] for name in DiffusionSettings.__dataclass_fields__ if stored.get(name) is not None
    }
    current = getattr(model, "generation_config", None)  # a BERT-shaped masked LM has none of its own
    inherited = {
        name: getattr(current, name)
        for name in DiffusionSettings.__dataclass_fields__
        if getattr(current, name, None) is not None
    }
    merged = {**inherited, **{k: v for k, v in defaults.items() if v is not None}, **known}
    if merged.get("mask_token_id") is None:
        raise ValueError(
            f"{source!r} names no mask token: no mask_token_id in generation_config.json or config.json. "
            "It is not a masked-diffusion model, or its config is incomplete; add mask_token_id to "
            "generation_config.json"
        )
    if merged.get("pad_token_id") is None:
        raise ValueError(
            f"{source!r} names no padding: no pad_token_id in generation_config.json or config.json; "
            "add it to generation_config.json"
        )
    try:
        settings = DiffusionSettings(**merged)
        settings.check_vocabulary(model.get_input_embeddings().weight.shape[0])
    except ValueError as error:
        raise ValueError(f"generation_config.json of {source!r}: {error}") from None
    if not isinstance(model, PeftModel):
        # Sampling defaults that a base brings (temperature, top_k) would reach generate silently.
        model.generation_config = GenerationConfig(
            bos_token_id=model.config.bos_token_id, eos_token_id=model.config.eos_token_id
        )
    settings.apply(model)


@torch.no_grad()
def check_bidirectional(model: Any) -> None:
    """Check by a forward that the first position sees the last.

    A base that turned causal answers silently and badly, so this is checked at load.

    Raises:
        ValueError: changing the last token does not change the first position's output.
    """
    embeddings = model.get_input_embeddings()
    if embeddings.weight.device.type == "meta":
        return
    device = embeddings.weight.device
    pair = torch.tensor([[1, 2, 3, 4], [1, 2, 3, 5]], device=device)
    training = model.training
    model.eval()
    first = encoder_of(model)(input_ids=pair, use_cache=False).last_hidden_state[:, 0].float()
    model.train(training)
    if not torch.isfinite(first).all():
        raise ValueError(
            "the model's outputs are not finite: its weights hold NaN or infinity; download it again"
        )
    if torch.equal(first[0], first[1]):
        raise ValueError(
            "the model is causal: changing the last token leaves the first output unchanged. "
            "A masked-diffusion model needs config.is_causal = False; load it with modeling.load_model"
        )
