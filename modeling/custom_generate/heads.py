"""The output layer, over the symbols a canvas can hold and nothing else.

A step of the loop asks for logits of *candidates*: the token ids that may stand in a slot of this row
(the tags of the queried types, the tokens of a grounded completion) or the whole vocabulary.
"""

from typing import Any

import torch

from .network import Canvas, Prompt

NEVER = float("-inf")
VOCABULARY_PIECE = 16384  # rows of an output layer that are cast to fp32 at once


def has_pointer(model: Any) -> bool:
    """Whether the network points into the prompt instead of scoring a vocabulary."""
    return hasattr(model, "source_logits")


def tag_candidates(settings: Any, counts: torch.Tensor, most: int | None = None) -> torch.Tensor:
    """Return the symbols of the aligned canvas, ``[batch, 2 + most types]``: O, I, one marker a type.

    Args:
        settings: the checkpoint's DiffusionSettings.
        counts: how many types each row asks for, ``[batch]``; missing ones are -1.
        most: the largest count, if that is known: to read it makes the host wait for the device.
    """
    if most is None:
        most = int(counts.max()) if len(counts) else 0
    symbols = [settings.outside_token_id, settings.inside_token_id, *settings.marker_ids(most)]
    table = torch.tensor([symbols], device=counts.device).repeat(len(counts), 1)
    index = torch.arange(most + 2, device=counts.device)
    return table.masked_fill(index[None] >= counts[:, None] + 2, -1)


def source_candidates(model: Any, canvas: Canvas, prompt: Prompt) -> torch.Tensor | None:
    """Return every token a free completion can hold, ``[batch, candidates]``; None: the vocabulary.

    A pointer network can only copy, so its candidates are its fixed symbols and the tokens of the
    prompt's sources, each once, in ascending order, padded with -1.
    """
    if not has_pointer(model):
        return None
    ids = model.source_ids(canvas.kind, prompt.ids)
    fixed = ids.shape[1] - prompt.ids.shape[1]
    allowed = torch.cat([torch.ones_like(ids[:, :fixed]).bool(), _sources(prompt)], dim=1)
    rows = [torch.unique(row[keep]) for row, keep in zip(ids, allowed, strict=True)]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)


def candidate_logits(
    model: Any,
    canvas: Canvas,
    prompt: Prompt,
    prompt_hidden: torch.Tensor,
    hidden: torch.Tensor,
    candidates: torch.Tensor | None,
) -> torch.Tensor:
    """Return fp32 logits ``[batch, slots, candidates]``, -inf for padding (-1) among the candidates.

    ``hidden`` are the states that predict the slots, ``[batch, slots, hidden]``. In decoding the products
    themselves are in fp32, because confidences taken in bf16 tie and reorder the unmasking; in training,
    where gradients would hold a second copy of the weights, they are in the layer's dtype.
    """
    if has_pointer(model):
        if canvas.kind == "aligned":
            return _marker_logits(model, canvas, prompt, prompt_hidden, hidden)
        if candidates is None:
            raise ValueError("a pointer network needs the candidates of its completion")
        return _copy_logits(model, canvas, prompt, prompt_hidden, hidden, candidates)
    states, weight, bias = _output_layer(model, hidden)
    exact = states.dtype != torch.float32 and not torch.is_grad_enabled()
    if exact:
        states, bias = states.float(), None if bias is None else bias.float()
    if candidates is None:
        # A vocabulary is cast in pieces: whole, it would take more memory than a small network.
        pieces = (piece.float() for piece in weight.split(VOCABULARY_PIECE)) if exact else (weight,)
        logits = torch.cat([states @ piece.T for piece in pieces], dim=-1)
        return (logits if bias is None else logits + bias).float()
    rows = candidates.clamp(min=0)
    weights = weight[rows].float() if exact else weight[rows]
    logits = torch.einsum("blh,bsh->bls", states, weights)
    if bias is not None:
        logits = logits + bias[rows][:, None]
    return logits.float().masked_fill(candidates[:, None] < 0, NEVER)


def _output_layer(model: Any, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Return the states before the last matrix, that matrix and its bias."""
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    layer = core.get_output_embeddings()
    if hasattr(core, "cls"):  # a BERT-shaped masked LM transforms the states first
        hidden = core.cls.predictions.transform(hidden)
    if hasattr(layer, "unshard"):  # FSDP2 gathers weights for a layer's forward, which is not called here
        layer.unshard()
    return hidden, layer.weight, layer.bias


def _sources(prompt: Prompt) -> torch.Tensor:
    return prompt.mask.bool() if prompt.sources is None else prompt.sources


def _marker_logits(
    model: Any, canvas: Canvas, prompt: Prompt, prompt_hidden: torch.Tensor, hidden: torch.Tensor
) -> torch.Tensor:
    if prompt.markers is None:
        raise ValueError("the aligned canvas needs the positions of the type markers (prompt.markers)")
    present = prompt.markers >= 0
    index = prompt.markers.clamp(min=0)[:, :, None].expand(-1, -1, prompt_hidden.shape[-1])
    return model.source_logits(canvas.kind, hidden, prompt_hidden.gather(1, index), present)


def _copy_logits(
    model: Any,
    canvas: Canvas,
    prompt: Prompt,
    prompt_hidden: torch.Tensor,
    hidden: torch.Tensor,
    candidates: torch.Tensor,
) -> torch.Tensor:
    """Sum the probability of all the sources that hold the same token (in the log domain)."""
    logits = model.source_logits(canvas.kind, hidden, prompt_hidden, _sources(prompt))
    same = model.source_ids(canvas.kind, prompt.ids)[:, :, None] == candidates[:, None, :]
    top = logits.amax(dim=-1, keepdim=True)
    mass = (logits - top).exp() @ same.to(logits.dtype)
    return (mass.log() + top).masked_fill(candidates[:, None] < 0, NEVER)
