"""The network as the denoising loop sees it: a prompt encoded once, a canvas read again and again."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from .settings import DiffusionSettings

MULTIPLE = 8  # lengths that tensor cores like
TYPE_ALIGNED, TYPE_COMPLETION = 3, 4  # token_type_ids of the canvases where the network has such


@dataclass
class Prompt:
    """A batch of prompts.

    ``ids``, ``mask`` (1 = token, 0 = padding), ``positions`` and the optional ``token_types`` are
    ``[batch, length]``; ``sources`` marks, as bool ``[batch, length]``, the tokens a pointer head may
    point to on the completion canvas (default: all), ``markers`` ``[batch, types]`` the indices of the
    type markers, -1 beyond a row's own.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    token_types: torch.Tensor | None = None
    sources: torch.Tensor | None = None
    markers: torch.Tensor | None = None

    def select(self, rows: torch.Tensor) -> "Prompt":
        """Return the prompts of some rows."""
        optional = (self.token_types, self.sources, self.markers)
        picked = (None if value is None else value[rows] for value in optional)
        return Prompt(self.ids[rows], self.mask[rows], self.positions[rows], *picked)


@dataclass
class Canvas:
    """A batch of canvases: ``positions`` and ``mask`` (bool, True = a slot) are ``[batch, slots]``.

    ``kind`` is ``"completion"`` or ``"aligned"``; ``word_ids`` (aligned only) holds the first token of
    each slot's word.
    """

    kind: str
    positions: torch.Tensor
    mask: torch.Tensor
    word_ids: torch.Tensor | None = None

    @property
    def token_type(self) -> int:
        """The token type of this canvas's slots in a network that has token types."""
        return TYPE_ALIGNED if self.kind == "aligned" else TYPE_COMPLETION


def position_ids(mask: torch.Tensor) -> torch.Tensor:
    """Return positions that count from 0 at each row's first token, whatever side the padding is on."""
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


def encoder_of(model: Any) -> Any:
    """Return the network below the output layer (through a PEFT wrapper)."""
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    return getattr(core, core.base_model_prefix)


def embed(model: Any, canvas: Canvas, ids: torch.Tensor) -> torch.Tensor:
    """Return the input embeddings ``[batch, slots, hidden]`` of canvas symbols."""
    if hasattr(model, "canvas_embeddings"):
        return model.canvas_embeddings(ids, canvas.word_ids)
    return model.get_input_embeddings()(ids)


def visibility(block: torch.Tensor, attention: str) -> torch.Tensor:
    """Return who sees whom, bool ``[batch, 1, length, length]`` (query, key).

    The prompt sees itself; a canvas sees the prompt and itself, never another canvas. With ``"full"``
    attention everything sees everything. Padding is seen by itself alone: a row of the softmax without any
    key would turn into NaN.

    Args:
        block: what each position belongs to, int ``[batch, length]``: 0 the prompt, 1, 2, ... the canvases,
            -1 padding.
        attention: ``"full"`` or ``"isolated"``.
    """
    query, key = block[:, :, None], block[:, None, :]
    seen = (query == key) | (key == 0) if attention == "isolated" else key >= 0
    own = torch.eye(block.shape[1], dtype=torch.bool, device=block.device)
    return torch.where(query >= 0, seen & (key >= 0), own)[:, None]


def forward_joint(
    model: Any, prompt: Prompt, canvases: list[Canvas], canvas_ids: list[torch.Tensor], attention: str
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Run prompt and canvases in one sequence.

    Returns:
        Hidden states of the prompt ``[batch, length, hidden]`` and of each canvas
        ``[batch, slots, hidden]``, not shifted; 0 at padding.

    Raises:
        ValueError: several canvases of one prompt that sees them.
    """
    if attention == "full" and len(canvases) > 1:
        raise ValueError("several canvases can share a prompt only when prompt_attention is 'isolated'")
    pieces = [model.get_input_embeddings()(prompt.ids)]
    pieces += [embed(model, canvas, ids) for canvas, ids in zip(canvases, canvas_ids, strict=True)]
    masks = [prompt.mask.bool(), *(canvas.mask for canvas in canvases)]
    block = torch.cat([torch.where(mask, number, -1) for number, mask in enumerate(masks)], dim=1)
    # Prompt and canvases are padded each by itself; together they need only the longest row's sum.
    kept, order = _squeeze(block)
    embeddings = _take(torch.cat(pieces, dim=1), order)
    positions = torch.cat([prompt.positions, *(canvas.positions for canvas in canvases)], dim=1)
    options: dict[str, Any] = {}
    if prompt.token_types is not None:
        types = [torch.full_like(ids, c.token_type) for c, ids in zip(canvases, canvas_ids, strict=True)]
        options["token_type_ids"] = torch.cat([prompt.token_types, *types], dim=1).gather(1, order)
    mask: torch.Tensor | None
    if attention == "full":
        # Two-dimensional, and none at all where nothing is padded: the fastest kernels take no mask.
        mask = None if bool((kept >= 0).all()) else (kept >= 0).long()
    else:
        mask = visibility(kept, attention)
    output = encoder_of(model)(
        inputs_embeds=embeddings,
        attention_mask=mask,
        position_ids=positions.gather(1, order),
        use_cache=False,
        **options,
    )
    hidden = output.last_hidden_state
    index = order[..., None].expand(-1, -1, hidden.shape[-1])
    # Padding that was kept lies behind, where nothing else is written.
    spread = hidden.new_zeros(*block.shape, hidden.shape[-1])
    spread = spread.scatter(1, index, hidden * (kept >= 0)[..., None].to(hidden.dtype))
    first, *rest = spread.split([mask.shape[1] for mask in masks], dim=1)
    return first, rest


def _squeeze(block: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the blocks with padding moved behind and cut off, and which positions they come from."""
    longest = int((block >= 0).sum(1).max())
    length = min(block.shape[1], -(-longest // MULTIPLE) * MULTIPLE)
    order = (block < 0).sort(dim=1, stable=True).indices[:, :length]
    return block.gather(1, order), order


def _take(states: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    return states.gather(1, order[..., None].expand(-1, -1, states.shape[-1]))


class Denoiser:
    """The network over one batch of prompts, called with a canvas at each step.

    With an isolated prompt the prompt runs once and its keys and values are kept: exact, because the
    prompt never sees the canvas. Otherwise every call runs prompt and canvas together.
    """

    def __init__(
        self, model: Any, settings: DiffusionSettings, prompt: Prompt, canvas: Canvas, use_cache: bool = True
    ) -> None:
        self.model = model
        self.settings = settings
        self.prompt = prompt
        self.canvas = canvas
        self.forwards = 0
        self.cached = use_cache and settings.prompt_attention == "isolated"
        if self.cached:
            self.cache = DynamicCache(config=model.config)
            self.prompt_hidden = self._run(
                model.get_input_embeddings()(prompt.ids), prompt.mask, prompt.positions, prompt.token_types
            )

    def hidden(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the canvas hidden states ``[batch, slots, hidden]`` that predict each slot."""
        self.forwards += 1
        if self.cached:
            types = None
            if self.prompt.token_types is not None:
                types = torch.full_like(ids, self.canvas.token_type)
            mask = torch.cat([self.prompt.mask, self.canvas.mask.to(self.prompt.mask.dtype)], dim=1)
            hidden = self._run(embed(self.model, self.canvas, ids), mask, self.canvas.positions, types)
            # Keep the prompt alone: every step starts from the same cache.
            self.cache.crop(-ids.shape[1])
        else:
            self.prompt_hidden, (hidden,) = forward_joint(
                self.model, self.prompt, [self.canvas], [ids], self.settings.prompt_attention
            )
        return self._shift(hidden)

    def _run(
        self,
        embeddings: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        token_types: torch.Tensor | None,
    ) -> torch.Tensor:
        options = {} if token_types is None else {"token_type_ids": token_types}
        output = encoder_of(self.model)(
            inputs_embeds=embeddings,
            attention_mask=None if bool(mask.all()) else mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            **options,
        )
        return output.last_hidden_state

    def _shift(self, hidden: torch.Tensor) -> torch.Tensor:
        return shift(self.settings, self.canvas, self.prompt, self.prompt_hidden, hidden)


def shift(
    settings: DiffusionSettings,
    canvas: Canvas,
    prompt: Prompt,
    prompt_hidden: torch.Tensor,
    hidden: torch.Tensor,
) -> torch.Tensor:
    """Return, for each canvas slot, the hidden state that predicts it.

    Dream predicts token i from hidden state i - 1, the first completion token from the prompt's last.
    An aligned slot is not a continuation: it is read from its own state.
    """
    if settings.logits_shift == 0 or canvas.kind == "aligned":
        return hidden
    last = prompt.mask.long().cumsum(1).argmax(1)  # the first index that reaches the full count
    before = prompt_hidden[torch.arange(len(last), device=last.device), last]
    return torch.cat([before[:, None], hidden[:, :-1]], dim=1)
