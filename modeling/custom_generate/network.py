"""The network as the denoising loop sees it: a prompt encoded once, a canvas read again and again."""

from copy import copy
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from .settings import DiffusionSettings

LONGEST_CONTEXT = 2048  # what Dream was trained on; its position table goes on

MULTIPLE = 8  # lengths that tensor cores like
APPROXIMATE = "approximate"
TYPE_ALIGNED, TYPE_COMPLETION = 3, 4  # token_type_ids of the canvases where the network has such


@dataclass
class Prompt:
    """A batch of prompts.

    ``ids``, ``mask`` (1 = token, 0 = padding), ``positions`` and the optional ``token_types`` are
    ``[batch, length]``; ``sources`` marks, as bool ``[batch, length]``, the tokens a pointer head may
    point to on the completion canvas (default: all), ``markers`` ``[batch, types]`` the indices of the
    type markers, -1 beyond a row's own. ``blocks`` is 0 at shared tokens (the text) and k at those of the
    k-th type's block, int ``[batch, length]``; None: the types are no blocks.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    token_types: torch.Tensor | None = None
    sources: torch.Tensor | None = None
    markers: torch.Tensor | None = None
    blocks: torch.Tensor | None = None

    def select(self, rows: torch.Tensor) -> "Prompt":
        """Return the prompts of some rows."""
        optional = (self.token_types, self.sources, self.markers, self.blocks)
        picked = (None if value is None else value[rows] for value in optional)
        return Prompt(self.ids[rows], self.mask[rows], self.positions[rows], *picked)

    def ends(self) -> torch.Tensor:
        """Return the position at which each prompt's text is continued, int ``[batch]``.

        Blocks of types count their positions by themselves, so that the text's alone decides there.
        """
        if self.blocks is None:
            return self.mask.long().sum(1)
        text = self.mask.bool() & (self.blocks == 0)
        return self.positions.masked_fill(~text, -1).amax(1) + 1


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

    def select(self, rows: torch.Tensor, width: int | None = None) -> "Canvas":
        """Return the canvases of some rows, cut behind ``width`` slots."""
        words = None if self.word_ids is None else self.word_ids[rows, :width]
        return Canvas(self.kind, self.positions[rows, :width], self.mask[rows, :width], words)

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


def cache_argument(encoder: torch.nn.Module) -> str:
    """Return the name of the argument by which an encoder takes kept keys and values.

    transformers calls it ``cache`` from release 5.24 on and ``past_key_values`` before.
    """
    return "cache" if "cache" in signature(encoder.forward).parameters else "past_key_values"


def embed(model: Any, prompt: Prompt, canvas: Canvas, ids: torch.Tensor) -> torch.Tensor:
    """Return the input embeddings ``[batch, slots, hidden]`` of canvas symbols, ``ids`` ``[batch, slots]``.

    Behind a prompt of type blocks, the marker of a type on an aligned canvas is embedded by the type's name:
    its number would tell the order of the types.
    """
    if not hasattr(model, "canvas_embeddings"):
        return model.get_input_embeddings()(ids)
    if prompt.blocks is None or prompt.markers is None or canvas.kind != "aligned":
        return model.canvas_embeddings(ids, canvas.word_ids)
    types = model.type_embeddings(prompt.ids, prompt.blocks, prompt.markers)
    first_marker = prompt.ids.gather(1, prompt.markers[:, :1])
    return model.canvas_embeddings(ids, canvas.word_ids, types, ids - first_marker)


def visibility(
    segment: torch.Tensor, attention: str, blocks: torch.Tensor | None = None, type_attention: str = "joint"
) -> torch.Tensor:
    """Return who sees whom, bool ``[batch, 1, length, length]`` (query, key).

    The prompt sees itself; a canvas sees the prompt and itself, never another canvas. With ``"full"``
    attention everything sees everything. Blocks of types narrow what the prompt sees of itself: a block sees
    no other one, and the shared tokens only with the type attention ``"text"``. Padding is seen by itself
    alone: a row of the softmax without any key would turn into NaN.

    Args:
        segment: what each position belongs to, int ``[batch, length]``: 0 the prompt, 1, 2, ... the canvases,
            -1 padding.
        attention: ``"full"`` or ``"isolated"``.
        blocks: which type each position of the prompt belongs to, int ``[batch, length]``: 0 none (also in
            canvases and padding), 1, 2, ... the types; default: there are no blocks.
        type_attention: ``"joint"``, ``"text"`` or ``"own"``, see DiffusionSettings.
    """
    query, key = segment[:, :, None], segment[:, None, :]
    seen = (query == key) | (key == 0) if attention == "isolated" else key >= 0
    if blocks is not None and type_attention != "joint":
        reader, read = blocks[:, :, None], blocks[:, None, :]
        allowed = (reader == 0) | (reader == read)
        seen = seen & (allowed | (read == 0) if type_attention == "text" else allowed)
    own = torch.eye(segment.shape[1], dtype=torch.bool, device=segment.device)
    return torch.where(query >= 0, seen & (key >= 0), own)[:, None]


def forward_joint(
    model: Any,
    prompt: Prompt,
    canvases: list[Canvas],
    canvas_ids: list[torch.Tensor],
    attention: str,
    type_attention: str = "joint",
    longest: int | None = None,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Run prompt and canvases in one sequence.

    Args:
        model: the network.
        prompt: a batch of prompts.
        canvases: of the same batch size.
        canvas_ids: their symbols, ``[batch, slots]`` each.
        attention: ``"full"`` or ``"isolated"``.
        type_attention: ``"joint"``, ``"text"`` or ``"own"``, see DiffusionSettings.
        longest: the most tokens of prompt and canvases that a row has, if that is known: to count them makes
            the host wait for the device.

    Returns:
        Hidden states of the prompt ``[batch, length, hidden]`` and of each canvas
        ``[batch, slots, hidden]``, not shifted; 0 at padding.

    Raises:
        ValueError: several canvases of one prompt that sees them, or an isolated prompt under an attention
            kernel that takes no mask.
    """
    if attention == "full" and len(canvases) > 1:
        raise ValueError("several canvases can share a prompt only when prompt_attention is 'isolated'")
    encoder = encoder_of(model)
    kernel = getattr(encoder.config, "_attn_implementation", None) or ""
    if attention == "isolated" and "flash" in kernel:
        raise ValueError(
            f"an isolated prompt needs an attention mask, which {kernel!r} does not take; load the model "
            "with attn_implementation='sdpa'"
        )
    pieces = [model.get_input_embeddings()(prompt.ids)]
    pieces += [embed(model, prompt, canvas, ids) for canvas, ids in zip(canvases, canvas_ids, strict=True)]
    masks = [prompt.mask.bool(), *(canvas.mask for canvas in canvases)]
    segment = torch.cat([torch.where(mask, number, -1) for number, mask in enumerate(masks)], dim=1)
    # Prompt and canvases are padded each by itself; together they need only the longest row's sum.
    kept, order = _squeeze(segment, longest)
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
        blocks = None
        if prompt.blocks is not None:
            slots = segment.shape[1] - prompt.blocks.shape[1]
            blocks = torch.nn.functional.pad(prompt.blocks, (0, slots)).gather(1, order)
        mask = visibility(kept, attention, blocks, type_attention)
    output = encoder(
        inputs_embeds=embeddings,
        attention_mask=mask,
        position_ids=positions.gather(1, order),
        use_cache=False,
        **options,
    )
    hidden = output.last_hidden_state
    index = order[..., None].expand(-1, -1, hidden.shape[-1])
    # Padding that was kept lies behind, where nothing else is written.
    spread = hidden.new_zeros(*segment.shape, hidden.shape[-1])
    spread = spread.scatter(1, index, hidden * (kept >= 0)[..., None].to(hidden.dtype))
    first, *rest = spread.split([mask.shape[1] for mask in masks], dim=1)
    return first, rest


def _squeeze(segment: torch.Tensor, longest: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the segments with padding moved behind and cut off, and which positions they come from."""
    if longest is None:
        longest = int((segment >= 0).sum(1).max())
    length = min(segment.shape[1], -(-longest // MULTIPLE) * MULTIPLE)
    order = (segment < 0).sort(dim=1, stable=True).indices[:, :length]
    return segment.gather(1, order), order


def _take(states: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    return states.gather(1, order[..., None].expand(-1, -1, states.shape[-1]))


class Denoiser:
    """The network over one batch of prompts, called with a canvas at each step.

    Args:
        model: the network.
        settings: its diffusion settings.
        prompt: the batch's prompts, padded on either side.
        canvas: one canvas for each.
        use_cache: whether an isolated prompt runs once and its keys and values are kept: exact, because the
            prompt never sees the canvas. A prompt that does (full attention) runs again in every call, unless
            ``"approximate"`` keeps its keys and values from the first one, when the canvas was blank
            (the prefix cache of Fast-dLLM, Wu et al. 2025, arXiv 2505.22618).

    Raises:
        ValueError: ``use_cache`` is none of True, False and ``"approximate"``.
    """

    def __init__(
        self,
        model: Any,
        settings: DiffusionSettings,
        prompt: Prompt,
        canvas: Canvas,
        use_cache: bool | str = True,
    ) -> None:
        if use_cache not in (True, False, APPROXIMATE):
            raise ValueError(f"use_cache must be True, False or {APPROXIMATE!r}, got {use_cache!r}")
        self.model = model
        self.settings = settings
        self.prompt = prompt
        self.canvas = canvas
        self.cache: DynamicCache | None = None
        self.prompt_hidden: torch.Tensor | None = None
        isolated = settings.prompt_attention == "isolated"
        self._keeps_first = use_cache == APPROXIMATE and not isolated
        # The fast path, if the model has one attached: the same function over packed rows.
        engine = getattr(model, "engine", None)
        self.packed = None
        if engine is not None:
            shifted = settings.logits_shift == 1 and canvas.kind != "aligned"
            reuse = bool(use_cache) and (isolated or self._keeps_first)
            self.packed = engine.open(prompt, isolated=isolated, reuse=reuse, shifted=shifted)
            self.prompt_hidden = prompt.ids.new_zeros(len(prompt.ids), 0)  # its output layer reads no prompt
        elif use_cache and isolated:
            self.cache = DynamicCache(config=model.config)
            embeddings = model.get_input_embeddings()(prompt.ids)
            mask = prompt.mask
            if prompt.blocks is not None:
                segment = torch.where(mask.bool(), 0, -1)
                mask = visibility(segment, "isolated", prompt.blocks, settings.type_attention)
            self.prompt_hidden = self._run(embeddings, mask, prompt.positions, prompt.token_types)

    def hidden(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the canvas hidden states ``[batch, slots, hidden]`` that predict each slot."""
        if self.packed is not None:
            return self.packed.hidden(self.canvas, ids)
        prompt, canvas = self.prompt, self.canvas
        if self.cache is None and not self._keeps_first:
            self.prompt_hidden, (hidden,) = forward_joint(
                self.model,
                prompt,
                [canvas],
                [ids],
                self.settings.prompt_attention,
                self.settings.type_attention,
            )
            return self._shift(hidden)
        embeddings, positions, types = embed(self.model, prompt, canvas, ids), canvas.positions, None
        if prompt.token_types is not None:
            types = torch.full_like(ids, canvas.token_type)
        mask = torch.cat([prompt.mask, canvas.mask.to(prompt.mask.dtype)], dim=1)
        if self.cache is not None:
            hidden = self._run(embeddings, mask, positions, types)
        else:
            self.cache = DynamicCache(config=self.model.config)
            embeddings = torch.cat([self.model.get_input_embeddings()(prompt.ids), embeddings], dim=1)
            positions = torch.cat([prompt.positions, positions], dim=1)
            if prompt.token_types is not None and types is not None:
                types = torch.cat([prompt.token_types, types], dim=1)
            both = self._run(embeddings, mask, positions, types)
            self.prompt_hidden, hidden = both.split([prompt.ids.shape[1], ids.shape[1]], dim=1)
        # Keep the prompt alone: every step starts from the same cache.
        self.cache.crop(-ids.shape[1])
        return self._shift(hidden)

    def select(self, rows: torch.Tensor, width: int | None = None) -> "Denoiser":
        """Return the denoiser of some rows, canvases cut behind ``width`` slots; no prompt runs again.

        Args:
            rows: indices into this batch, ``[rows]``; one may come several times.
            width: slots to keep, default all; only slots that exist in none of the rows may be cut.
        """
        chosen = copy(self)
        chosen.prompt, chosen.canvas = self.prompt.select(rows), self.canvas.select(rows, width)
        if self.prompt_hidden is not None:
            chosen.prompt_hidden = self.prompt_hidden[rows]
        if self.packed is not None:
            chosen.packed = self.packed.select(rows)
        if self.cache is not None:
            chosen.cache = copy(self.cache)
            chosen.cache.layers = [copy(layer) for layer in self.cache.layers]
            chosen.cache.batch_select_indices(rows)
        return chosen

    def _run(
        self,
        embeddings: torch.Tensor,
        mask: torch.Tensor,
        positions: torch.Tensor,
        token_types: torch.Tensor | None,
    ) -> torch.Tensor:
        options = {} if token_types is None else {"token_type_ids": token_types}
        encoder = encoder_of(self.model)
        output = encoder(
            inputs_embeds=embeddings,
            attention_mask=None if bool(mask.all()) else mask,
            position_ids=positions,
            use_cache=True,
            **{cache_argument(encoder): self.cache},
            **options,
        )
        return output.last_hidden_state

    def _shift(self, hidden: torch.Tensor) -> torch.Tensor:
        assert self.prompt_hidden is not None  # the prompt has run by now
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


def context_of(model: Any) -> int:
    """Return how many positions a prompt and its canvas can take together."""
    return min(
        int(getattr(model.config, "max_position_embeddings", None) or LONGEST_CONTEXT), LONGEST_CONTEXT
    )
