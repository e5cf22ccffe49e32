"""The architectures that can be loaded: one entry each, found by ``model_type`` of ``config.json``.

Another architecture is one more :class:`Backbone` given to :func:`register` before a model is loaded. Its
network must be a ``PreTrainedModel`` whose encoder (``base_model_prefix``) takes ``inputs_embeds``,
``attention_mask`` (two-dimensional, or four-dimensional where prompts are isolated), ``position_ids`` and
kept keys and values, and returns ``last_hidden_state``. With a vocabulary head it has
``get_output_embeddings``; a network that points into the prompt has ``canvas_embeddings``, ``source_ids`` and
``source_logits`` as ``PointerBert`` has them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from .dream import causal_problem, dream_settings, dream_to_qwen2
from .pointer_bert import PointerBert, PointerBertConfig


@dataclass(frozen=True)
class Backbone:
    """How one architecture is loaded.

    Args:
        model_type: value of ``model_type`` in ``config.json``.
        network: its class.
        configure: makes the network's config of the content of ``config.json``.
        settings: the fields of ``DiffusionSettings`` that the content of ``config.json`` fixes; those that a
            repository stores in ``generation_config.json`` win.
        dtype: of the weights unless a caller names another; None: as they are stored.
        problem: says why the content of a ``config.json`` is no diffusion network ("is a causal model"), or
            returns None.
    """

    model_type: str
    network: type[PreTrainedModel]
    configure: Callable[[dict[str, Any]], PreTrainedConfig]
    settings: Callable[[dict[str, Any]], dict[str, Any]]
    dtype: torch.dtype | None = None
    problem: Callable[[dict[str, Any]], str | None] = lambda config: None


_BACKBONES: dict[str, Backbone] = {}


def register(backbone: Backbone) -> None:
    """Add an architecture.

    Raises:
        ValueError: its ``model_type`` is taken.
    """
    if backbone.model_type in _BACKBONES:
        raise ValueError(f"model_type {backbone.model_type!r} is registered already")
    _BACKBONES[backbone.model_type] = backbone


def backbone_of(config: dict[str, Any]) -> Backbone:
    """Return the architecture of the content of a ``config.json``.

    Raises:
        ValueError: it is none of those registered; the message begins with a verb.
    """
    kind = config.get("model_type")
    if kind not in _BACKBONES:
        raise ValueError(f"has model_type {kind!r:.80}; supported are {', '.join(map(repr, _BACKBONES))}")
    return _BACKBONES[kind]


def _bert_config(config: dict[str, Any]) -> BertConfig:
    return BertConfig.from_dict({**config, "is_decoder": True, "is_causal": False})


def _bert_settings(config: dict[str, Any]) -> dict[str, Any]:
    return {"logits_shift": 0, "pad_token_id": config.get("pad_token_id", 0)}


register(Backbone("Dream", Qwen2ForCausalLM, dream_to_qwen2, dream_settings))
register(Backbone("qwen2", Qwen2ForCausalLM, Qwen2Config.from_dict, dream_settings, problem=causal_problem))
register(Backbone("bert", BertForMaskedLM, _bert_config, _bert_settings))
register(
    Backbone(
        PointerBertConfig.model_type,
        PointerBert,
        PointerBertConfig.from_dict,
        lambda config: {},
        torch.float32,
    )
)
register(Backbone("dream", Qwen2ForCausalLM, dream_to_qwen2, dream_settings))  # some copies are spelled so
