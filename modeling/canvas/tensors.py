"""Encoded prompts and canvases to padded tensors."""

from collections.abc import Iterable, Sequence
from itertools import chain

import torch

from .encoding import EncodedPrompt

MULTIPLE = 8  # lengths that tensor cores like


def pad(
    rows: Sequence[Sequence[int]], value: int, multiple: int = MULTIPLE, left: bool = False
) -> torch.Tensor:
    """Return int64 ``[rows, longest]``, the longest rounded up to a multiple."""
    lengths = [len(row) for row in rows]
    place = _places(lengths, multiple, left)
    return torch.full(place.shape, value).masked_scatter(place, _flat(rows))


def existing(lengths: Sequence[int], left: bool = False) -> torch.Tensor:
    """Return which places of rows of these lengths exist once they are padded, bool ``[rows, longest]``."""
    return _places(lengths, MULTIPLE, left)


def _places(lengths: Sequence[int], multiple: int, left: bool) -> torch.Tensor:
    width = max(multiple, -(-max(lengths, default=0) // multiple) * multiple)
    index, own = torch.arange(width), torch.tensor(lengths, dtype=torch.long)[:, None]
    return index >= width - own if left else index < own


def _flat(rows: Iterable[Sequence[int]]) -> torch.Tensor:
    return torch.tensor(list(chain.from_iterable(rows)), dtype=torch.long)


def prompt_tensors(
    prompts: Sequence[EncodedPrompt], pad_token_id: int, left: bool = False
) -> dict[str, torch.Tensor]:
    """Return the ``prompt_*`` tensors of encoded prompts, padded on the right, or on the left."""
    ids = pad([p.input_ids for p in prompts], pad_token_id, left=left)
    lengths = torch.tensor([len(p) for p in prompts])[:, None]
    offsets = ids.shape[1] - lengths if left else torch.zeros_like(lengths)
    sources = torch.zeros(ids.shape, dtype=torch.bool)
    row = torch.arange(len(prompts)).repeat_interleave(torch.tensor([len(p.sources) for p in prompts]))
    column = _flat(p.sources for p in prompts)
    sources[row, column + offsets[row, 0]] = True
    markers = pad([p.markers for p in prompts], -1, multiple=1)
    tensors = {
        "prompt_ids": ids,
        "prompt_mask": existing([len(p) for p in prompts], left).long(),
        "prompt_positions": pad([p.positions for p in prompts], 0, left=left),
        "prompt_token_types": pad([p.token_types for p in prompts], 0, left=left),
        "prompt_sources": sources,
        "prompt_markers": torch.where(markers >= 0, markers + offsets, markers),
    }
    if all(p.blocks for p in prompts):
        tensors["prompt_blocks"] = pad([p.blocks for p in prompts], 0, left=left)
    return tensors


def aligned_tensors(prompts: Sequence[EncodedPrompt]) -> dict[str, torch.Tensor]:
    """Return positions, mask and word ids of the aligned canvas: one slot a word."""
    return {
        "aligned_positions": pad([[p.positions[i] for i in p.word_positions] for p in prompts], 0),
        "aligned_mask": existing([len(p.words) for p in prompts]),
        "aligned_word_ids": pad([[p.input_ids[i] for i in p.word_positions] for p in prompts], 0),
    }


def completion_tensors(lengths: Sequence[int], starts: Sequence[int]) -> dict[str, torch.Tensor]:
    """Return positions and mask of completion canvases of these lengths that begin at these positions."""
    return {
        "completion_positions": pad([range(s, s + n) for s, n in zip(starts, lengths, strict=True)], 0),
        "completion_mask": existing(lengths),
    }
