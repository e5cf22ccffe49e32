"""How well the network predicts each masked slot: the output layer and the cross-entropy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from ..custom_generate.heads import candidate_logits, has_pointer, tag_candidates
from ..custom_generate.network import Canvas, Prompt
from ..custom_generate.settings import DiffusionSettings
from .batch import CanvasTargets, TrainingBatch

# Logits that may live at once: 256 MiB in fp32, 441 slots of Dream's vocabulary of 152,064.
LOGITS = 2**26
NEVER = float("-inf")


@dataclass(frozen=True)
class SlotScores:
    """What the network says about masked slots, fp32 ``[batch, slots]``, 0 where nothing is masked.

    ``nll`` is -log p(target) in nats; ``entropy`` that of the slot's distribution in nats where its most
    probable symbol is the target and 0 elsewhere (None unless asked for).
    """

    nll: torch.Tensor
    entropy: torch.Tensor | None = None


def score_slots(
    model: Any,
    settings: DiffusionSettings,
    batch: TrainingBatch,
    target: CanvasTargets,
    prompt_hidden: torch.Tensor,
    states: torch.Tensor,
    masked: torch.Tensor,
    entropy: bool = False,
    logits: int = LOGITS,
) -> SlotScores:
    """Score the masked slots of one canvas.

    Over a vocabulary the output layer runs on the masked slots only, some at a time: their logits are
    computed again for the gradient, so that neither ``[batch, slots, vocabulary]`` nor the logits of all
    masked slots ever exist.

    Args:
        model: the network.
        settings: its diffusion settings.
        batch: the whole batch; ``target`` is one of its canvases.
        prompt_hidden: ``[batch, length, hidden]``.
        states: the states that predict the slots, ``[batch, slots, hidden]``.
        masked: which slots to score, bool ``[batch, slots]``.
        entropy: whether to compute the entropy too.
        logits: how many may live at once.

    Raises:
        ValueError: an aligned canvas without type counts.
    """
    canvas, prompt = target.canvas, batch.prompt
    if canvas.kind == "aligned":
        if batch.type_counts is None:
            raise ValueError("an aligned canvas needs type_counts in the batch")
        candidates = tag_candidates(settings, batch.type_counts)
        table = candidate_logits(model, canvas, prompt, prompt_hidden, states, candidates)
        index = (target.ids[:, :, None] == candidates[:, None]).long().argmax(-1)
        found = _scores(table, index, entropy)
    elif has_pointer(model):
        found = _copy_scores(model, canvas, prompt, prompt_hidden, states, target.ids, entropy)
    else:

        def output_layer(chunk: torch.Tensor) -> torch.Tensor:
            return candidate_logits(model, canvas, prompt, prompt_hidden, chunk[None], None)[0]

        rows = max(1, logits // model.get_output_embeddings().weight.shape[0])
        values = _chunked_scores(output_layer, states[masked], target.ids[masked], entropy, rows)
        spread = torch.zeros(target.ids.shape, dtype=torch.float32, device=states.device)
        found = tuple(spread.masked_scatter(masked, value) for value in values)
    nll, *rest = (value.masked_fill(~masked, 0.0) for value in found)
    return SlotScores(nll, *rest)


def _scores(logits: torch.Tensor, index: torch.Tensor, entropy: bool) -> tuple[torch.Tensor, ...]:
    """Return nll, and entropy where right, of logits ``[..., symbols]`` and targets ``[...]``."""
    flat = logits.flatten(0, -2)
    nll = F.cross_entropy(flat, index.flatten(), reduction="none").view(index.shape)
    if not entropy:
        return (nll,)
    log_probs = flat.log_softmax(-1)
    # 0 log 0 is 0: a symbol that cannot be is left out, or its -inf would turn into NaN.
    terms = log_probs.exp() * log_probs.masked_fill(log_probs == NEVER, 0.0)
    right = flat.argmax(-1) == index.flatten()
    return nll, (-terms.sum(-1) * right).view(index.shape)


def _chunked_scores(
    output_layer: Callable[[torch.Tensor], torch.Tensor],
    states: torch.Tensor,
    targets: torch.Tensor,
    entropy: bool,
    rows: int,
) -> tuple[torch.Tensor, ...]:
    """Score states ``[slots, hidden]`` some rows at a time.

    torch 2.13 has ``linear_cross_entropy`` with chunks of its own, but no entropy, and torch 2.11 has not.
    """

    def score(chunk: torch.Tensor, index: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return _scores(output_layer(chunk), index, entropy)

    if len(states) <= rows:
        return score(states, targets)
    parts = [
        checkpoint(score, chunk, index, use_reentrant=False, preserve_rng_state=False)
        for chunk, index in zip(states.split(rows), targets.split(rows), strict=True)
    ]
    return tuple(torch.cat(columns) for columns in zip(*parts, strict=True))


def _copy_scores(
    model: Any,
    canvas: Canvas,
    prompt: Prompt,
    prompt_hidden: torch.Tensor,
    states: torch.Tensor,
    targets: torch.Tensor,
    entropy: bool,
) -> tuple[torch.Tensor, ...]:
    """A token's probability is that of all its sources; one that nothing holds is left out (nll 0)."""
    allowed = prompt.mask.bool() if prompt.sources is None else prompt.sources
    logits = model.source_logits(canvas.kind, states, prompt_hidden, allowed)
    sources = model.source_ids(canvas.kind, prompt.ids)
    same = sources[:, None, :] == targets[:, :, None]
    # A large finite value, not -inf: the gradient of logsumexp over nothing but -inf is NaN.
    right = logits.masked_fill(~same, torch.finfo(logits.dtype).min).clamp(min=-1e9)
    reachable = (same & (logits > NEVER)).any(-1)
    nll = logits.logsumexp(-1) - right.logsumexp(-1)
    nll = torch.where(reachable, nll, torch.zeros_like(nll))
    if not entropy:
        return (nll,)
    # Over tokens, not sources: sum over sources of p(source) log p(token of that source).
    probabilities = logits.softmax(-1)
    alike = (sources[:, :, None] == sources[:, None, :]).to(probabilities.dtype)
    mass = probabilities @ alike
    certainty = -(probabilities * mass.clamp(min=torch.finfo(mass.dtype).tiny).log()).sum(-1)
    best = sources.gather(1, mass.argmax(-1))
    return nll, torch.where(reachable & (best == targets), certainty, torch.zeros_like(certainty))
