"""Dream's network over packed tokens: the tokens of a batch in one row, none of them padding.

The plain path (``network.Denoiser`` without this) pads every row and starts hundreds of small kernels a
forward. Here all matrix products run over the real tokens alone, q, k, v and gate, up are one product each,
the parts between them are compiled, and attention goes by segment. The first call runs prompts and canvases
together and keeps their keys and values; further ones run the canvases alone where the prompt is isolated.
The weights are the model's own, so both paths compute the same function; they differ by rounding only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from .segments import Segments, flash_attention, padded_attention

E4M3_MAX = 448.0  # the largest value of float8_e4m3fn
Cache = list[tuple[torch.Tensor, torch.Tensor]]  # keys and values of each layer


@dataclass(frozen=True)
class Matrix:
    """A weight ``[out, in]``; with ``scale`` (fp32 ``[1, out]``) in float8, to be multiplied by it."""

    weight: torch.Tensor
    scale: torch.Tensor | None = None
    bias: torch.Tensor | None = None

    def quantised(self) -> "Matrix":
        """Return the weight in float8 (e4m3), each output row with its own scale."""
        grain = self.weight.float().abs().amax(1, keepdim=True).clamp(min=1e-12) / E4M3_MAX
        rounded = (self.weight.float() / grain).to(torch.float8_e4m3fn)
        return Matrix(rounded, grain.T.contiguous(), self.bias)


@dataclass(frozen=True)
class Layer:
    """One decoder layer: two norms and four products."""

    attention_norm: torch.Tensor
    qkv: Matrix
    out: Matrix
    mlp_norm: torch.Tensor
    gate_up: Matrix
    down: Matrix


class PackedNetwork:
    """A Dream-shaped network that runs packed rows.

    Args:
        model: ``Qwen2ForCausalLM`` with merged adapters. Its projections become views of fused tensors, so
            that both paths share one copy of the weights: move or convert the model before, not after.
        compiled: whether the parts between the products are compiled; default: on a GPU.
        float8: whether weights and activations of the products are rounded to float8 (e4m3), with a scale for
            each output row and each token. Faster, not exact, and the weights are held twice.

    Raises:
        ValueError: the model has another shape.
    """

    def __init__(self, model: Any, *, compiled: bool | None = None, float8: bool = False) -> None:
        reason = unsupported(model)
        if reason is not None:
            raise ValueError(f"this model cannot run packed: {reason}")
        core = model.get_base_model() if hasattr(model, "get_base_model") else model
        config = core.config
        self.device = core.model.embed_tokens.weight.device
        self.compiled = self.device.type == "cuda" if compiled is None else compiled
        self.float8 = float8
        self._embedding = core.model.embed_tokens
        self._rotary = core.model.rotary_emb
        self._norm = core.model.norm.weight
        self._eps = float(config.rms_norm_eps)
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._shape = (int(config.num_attention_heads), int(config.num_key_value_heads), int(size))
        self._layers = [_fused(layer, float8) for layer in core.model.layers]
        self._enter: Callable[..., Any] = torch.compile(_enter) if self.compiled else _enter
        self._leave: Callable[..., Any] = torch.compile(_leave) if self.compiled else _leave

    @torch.no_grad()
    def run(
        self,
        ids: torch.Tensor,
        positions: torch.Tensor,
        segments: Segments,
        keep: torch.Tensor | None = None,
        cache: Cache | None = None,
    ) -> tuple[torch.Tensor, Cache]:
        """Return the last hidden states of the rows ``keep`` (all of them if None), and the keys and values.

        Args:
            ids, positions: of the rows, ``[rows]``.
            segments: who sees whom.
            keep: rows whose states are wanted, in the order wanted.
            cache: of an earlier run; written in place.
        """
        hidden = self._embedding(ids)
        cos, sin = self._rotary(hidden[None], positions[None])
        cos, sin = cos[0][:, None], sin[0][:, None]
        attend = flash_attention if _has_flash(hidden) else padded_attention
        kept: Cache = []
        for number, layer in enumerate(self._layers):
            # One piece of machine code for any number of rows.
            self._mark(hidden, cos, sin)
            queries, keys, values = self._enter(
                hidden, layer.attention_norm, self._eps, *_parts(layer.qkv), cos, sin, self._shape
            )
            if cache is None:
                assert segments.gather is not None
                keys, values = keys[segments.gather], values[segments.gather]
                kept.append((keys[segments.kept_from :], values[segments.kept_from :]))
            else:
                assert segments.places is not None
                for old, new in zip(cache[number], (keys, values), strict=True):
                    old.index_copy_(0, segments.places, new)
                keys, values = cache[number]
            attended = attend(queries, keys, values, segments)
            if keep is not None and number + 1 == len(self._layers):
                # Nobody looks at the other rows any more.
                hidden, attended = hidden[keep], attended[keep]
            self._mark(hidden, attended)
            hidden = self._leave(
                hidden,
                attended,
                *_parts(layer.out),
                layer.mlp_norm,
                self._eps,
                *_parts(layer.gate_up),
                *_parts(layer.down),
            )
        return _rms_norm(hidden, self._norm, self._eps), kept if cache is None else cache

    def _mark(self, *tensors: torch.Tensor) -> None:
        if self.compiled:
            for tensor in tensors:
                torch._dynamo.maybe_mark_dynamic(tensor, 0)


def unsupported(model: Any) -> str | None:
    """Return why a model cannot run packed, or None if it can."""
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = core.config
    if config.model_type != "qwen2":
        return f"its type is {config.model_type!r}, not Dream's ('qwen2')"
    if getattr(config, "is_causal", True):
        return "it is causal"
    if config.hidden_act != "silu":
        return f"its activation is {config.hidden_act!r}, not 'silu'"
    if "sliding_attention" in (getattr(config, "layer_types", None) or ()):
        return "it has layers of sliding attention"
    linear = core.model.layers[0].self_attn.q_proj
    if type(linear) is not torch.nn.Linear:
        return f"its projections are {type(linear).__name__}; merge the adapter first (merge_and_unload())"
    return None


def _has_flash(hidden: torch.Tensor) -> bool:
    return hidden.is_cuda and hidden.dtype in (torch.bfloat16, torch.float16)


def _fused(layer: Any, float8: bool) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    qkv = _joined([attention.q_proj, attention.k_proj, attention.v_proj])
    gate_up = _joined([mlp.gate_proj, mlp.up_proj])
    matrices = [qkv, Matrix(attention.o_proj.weight.data), gate_up, Matrix(mlp.down_proj.weight.data)]
    if float8:
        matrices = [matrix.quantised() for matrix in matrices]
    first, out, second, down = matrices
    return Layer(
        layer.input_layernorm.weight.data,
        first,
        out,
        layer.post_attention_layernorm.weight.data,
        second,
        down,
    )


def _joined(linears: list[torch.nn.Linear]) -> Matrix:
    """Put the weights of several products into one tensor, of which they become views."""
    sizes = [linear.out_features for linear in linears]
    weight = torch.cat([linear.weight.data for linear in linears])
    for linear, part in zip(linears, weight.split(sizes), strict=True):
        linear.weight.data = part
    biases = [linear.bias.data for linear in linears if linear.bias is not None]
    return Matrix(weight, bias=torch.cat(biases) if biases else None)


def _parts(matrix: Matrix) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    return matrix.weight, matrix.scale, matrix.bias


def _linear(
    states: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor | None, bias: torch.Tensor | None
) -> torch.Tensor:
    if scale is None:
        return functional.linear(states, weight, bias)
    grain = states.float().abs().amax(-1, keepdim=True).clamp(min=1e-12) / E4M3_MAX
    rounded = (states.float() / grain).to(torch.float8_e4m3fn)
    product = torch._scaled_mm(
        rounded, weight.t(), scale_a=grain, scale_b=scale, out_dtype=torch.bfloat16, use_fast_accum=True
    )
    product = product.to(states.dtype)
    return product if bias is None else product + bias


def _rms_norm(states: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    wide = states.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return weight * wide.to(states.dtype)


def _rotated(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = states.chunk(2, dim=-1)
    return states * cos + torch.cat([-second, first], dim=-1) * sin


def _enter(
    hidden: torch.Tensor,
    norm: torch.Tensor,
    eps: float,
    weight: torch.Tensor,
    scale: torch.Tensor | None,
    bias: torch.Tensor | None,
    cos: torch.Tensor,
    sin: torch.Tensor,
    shape: tuple[int, int, int],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return queries, keys and values: what stands before the attention of a layer."""
    heads, shared, size = shape
    mixed = _linear(_rms_norm(hidden, norm, eps), weight, scale, bias)
    queries, keys, values = mixed.split([heads * size, shared * size, shared * size], dim=-1)
    return (
        _rotated(queries.unflatten(-1, (heads, size)), cos, sin),
        _rotated(keys.unflatten(-1, (shared, size)), cos, sin),
        values.unflatten(-1, (shared, size)),
    )


def _leave(
    hidden: torch.Tensor,
    attended: torch.Tensor,
    out: torch.Tensor,
    out_scale: torch.Tensor | None,
    out_bias: torch.Tensor | None,
    norm: torch.Tensor,
    eps: float,
    gate_up: torch.Tensor,
    gate_up_scale: torch.Tensor | None,
    gate_up_bias: torch.Tensor | None,
    down: torch.Tensor,
    down_scale: torch.Tensor | None,
    down_bias: torch.Tensor | None,
) -> torch.Tensor:
    """Return the layer's output: what stands behind its attention."""
    hidden = hidden + _linear(attended.flatten(1), out, out_scale, out_bias)
    gate, up = _linear(_rms_norm(hidden, norm, eps), gate_up, gate_up_scale, gate_up_bias).chunk(2, dim=-1)
    return hidden + _linear(functional.silu(gate) * up, down, down_scale, down_bias)
