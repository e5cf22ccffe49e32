"""Segments of a packed batch: which rows belong together, and attention among them."""

from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Segments:
    """Which rows of one run see which keys.

    ``queries`` and ``keys`` are the bounds (int32 ``[segments + 1]``) of the segments among the rows of the
    run and among the keys; ``longest_query`` and ``longest_key`` bound their lengths. A run without a cache
    takes its keys from its own rows ``gather``, and those from ``kept_from`` on are the cache; a run with one
    writes its keys there, at ``places``.
    """

    queries: torch.Tensor
    keys: torch.Tensor
    longest_query: int
    longest_key: int
    gather: torch.Tensor | None = None
    kept_from: int = 0
    places: torch.Tensor | None = None

    def to(self, device: torch.device) -> "Segments":
        """Return the same on a device."""
        gather = None if self.gather is None else self.gather.to(device)
        places = None if self.places is None else self.places.to(device)
        bounds = self.queries.to(device), self.keys.to(device)
        return Segments(*bounds, self.longest_query, self.longest_key, gather, self.kept_from, places)


@dataclass(frozen=True)
class Packing:
    """How the rows of a batch are laid out: first all prompts, then all canvases.

    ``joint`` runs everything, ``alone`` the canvases over the cache of an isolated prompt, in which each
    prompt is followed by its canvas. ``ends`` are the rows of each prompt's last token.
    """

    joint: Segments
    alone: Segments
    ends: torch.Tensor

    @classmethod
    def of(
        cls, prompts: torch.Tensor, slots: torch.Tensor, isolated: bool, longest: int | None = None
    ) -> "Packing":
        """Return the packing of a batch.

        Args:
            prompts, slots: the lengths of its prompts and canvases, int ``[batch]`` on the CPU.
            isolated: whether prompts see only themselves.
            longest: a bound on both, if it must not depend on the batch.
        """
        prompt_bounds, slot_bounds = _bounds(prompts), _bounds(slots)
        bounds = prompt_bounds + slot_bounds
        tokens, numbers = int(prompt_bounds[-1]), torch.arange(len(prompts))
        # Where each row stands once every prompt is followed by its canvas, and the inverse of that.
        first = torch.arange(tokens) + slot_bounds[:-1][numbers.repeat_interleave(prompts)]
        second = torch.arange(int(slot_bounds[-1])) + prompt_bounds[1:][numbers.repeat_interleave(slots)]
        order = torch.cat([first, second]).argsort()
        queries = torch.cat([prompt_bounds, tokens + slot_bounds[1:]])
        if isolated:  # a prompt's keys are the prompt's, a canvas's are both
            gather = torch.cat([torch.arange(tokens), order])
            keys = torch.cat([prompt_bounds, tokens + bounds[1:]])
        else:
            gather = torch.cat([order, order])
            keys = torch.cat([bounds, bounds[-1] + bounds[1:]])
        widest = longest or int(slots.max())
        deepest = 2 * longest if longest else int((prompts + slots).max())
        joint = Segments(
            queries.int(),
            keys.int(),
            longest or max(int(prompts.max()), widest),
            deepest,
            gather,
            len(gather) - len(order),
        )
        alone = Segments(slot_bounds.int(), bounds.int(), widest, deepest, places=second)
        return cls(joint, alone, (prompt_bounds[1:] - 1).clamp(min=0))

    def to(self, device: torch.device) -> "Packing":
        """Return the same on a device."""
        return Packing(self.joint.to(device), self.alone.to(device), self.ends.to(device))


def flash_attention(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, segments: Segments
) -> torch.Tensor:
    """Return attention by segment, ``[rows, heads, size]`` (Dao 2023, arXiv 2307.08691); 16 bits, GPU only.

    Args:
        queries: ``[rows, heads, size]``.
        keys, values: ``[keys, shared heads, size]``.
        segments: who sees whom.
    """
    # The operator below torch.nn.attention.varlen, whose signature changes from release to release.
    return torch.ops.aten._flash_attention_forward(
        queries,
        keys,
        values,
        segments.queries,
        segments.keys,
        segments.longest_query,
        segments.longest_key,
        0.0,
        False,
        False,
    )[0]


def padded_attention(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, segments: Segments
) -> torch.Tensor:
    """Return the same on any device and in any precision, padded within the attention only."""
    row, key = _places(segments.queries, segments.longest_query), _places(segments.keys, segments.longest_key)
    known = segments.keys.diff()[:, None] > torch.arange(segments.longest_key, device=keys.device)
    padded = functional.scaled_dot_product_attention(
        queries[row.clamp(max=len(queries) - 1)].transpose(1, 2),
        keys[key.clamp(max=len(keys) - 1)].transpose(1, 2),
        values[key.clamp(max=len(values) - 1)].transpose(1, 2),
        attn_mask=known[:, None, None],
        enable_gqa=True,
    ).transpose(1, 2)
    index = torch.arange(len(queries), device=queries.device)
    segment = torch.searchsorted(segments.queries.long(), index, right=True) - 1
    return padded[segment, index - segments.queries[segment]]


def _places(bounds: torch.Tensor, longest: int) -> torch.Tensor:
    """Return the rows of each segment, ``[segments, longest]``; beyond its end, others'."""
    return bounds[:-1, None].long() + torch.arange(longest, device=bounds.device)


def _bounds(lengths: torch.Tensor) -> torch.Tensor:
    return functional.pad(lengths.cumsum(0), (1, 0))
