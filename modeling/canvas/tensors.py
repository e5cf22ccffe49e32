"""Encoded prompts and canvases to padded tensors."""

from collections.abc import Sequence

import torch

from .encoding import EncodedPrompt

MULTIPLE = 8  # lengths that tensor cores like


def pad(
    rows: Sequence[Sequence[int]], value: int, multiple: int = MULTIPLE, left: bool = False
) -> torch.Tensor:
    """Return int64 ``[rows, longest]``, the longest rounded up to a multiple."""
    longest = max((len(row) for row in rows), default=0)
    width = max(multiple, -(-longest // multiple) * multiple)
    table = torch.full((len(rows), width), value)
    for i, row in enumerate(rows):
        if row:
            place = slice(width - len(row), width) if left else slice(0, len(row))
            table[i, place] = torch.tensor(row)
    return table


def prompt_tensors(
    prompts: Sequence[EncodedPrompt], pad_token_id: int, left: bool = False
) -> dict[str, torch.Tensor]:
    """Return the ``prompt_*`` tensors of encoded prompts, padded on the right, or on the left."""
    ids = pad([p.input_ids for p in prompts], pad_token_id, left=left)
    mask = pad([[1] * len(p) for p in prompts], 0, left=left)
    sources = torch.zeros(ids.shape, dtype=torch.bool)
    markers = pad([p.markers for p in prompts], -1, multiple=1)
    for i, prompt in enumerate(prompts):
        offset = ids.shape[1] - len(prompt) if left else 0
        sources[i, [offset + s for s in prompt.sources]] = True
        markers[i, : len(prompt.markers)] += offset
    return {
        "prompt_ids": ids,
        "prompt_mask": mask,
        "prompt_positions": pad([list(range(len(p))) for p in prompts], 0, left=left),
        "prompt_token_types": pad([p.token_types for p in prompts], 0, left=left),
        "prompt_sources": sources,
        "prompt_markers": markers,
    }


def aligned_tensors(prompts: Sequence[EncodedPrompt]) -> dict[str, torch.Tensor]:
    """Return positions, mask and word ids of the aligned canvas: one slot a word."""
    positions = pad([p.word_positions for p in prompts], 0)
    return {
        "aligned_positions": positions,
        "aligned_mask": pad([[1] * len(p.words) for p in prompts], 0).bool(),
        "aligned_word_ids": pad([[p.input_ids[i] for i in p.word_positions] for p in prompts], 0),
    }


def completion_tensors(lengths: Sequence[int], starts: Sequence[int]) -> dict[str, torch.Tensor]:
    """Return positions and mask of completion canvases of these lengths, behind prompts of these lengths."""
    return {
        "completion_positions": pad([list(range(s, s + n)) for s, n in zip(starts, lengths, strict=True)], 0),
        "completion_mask": pad([[1] * n for n in lengths], 0).bool(),
    }
