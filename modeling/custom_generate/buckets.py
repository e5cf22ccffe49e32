"""Recorded runs for small batches: one CUDA graph for every batch that fits its bucket.

A forward of one sentence is some three hundred kernels of microseconds; starting them one by one takes longer
than running them. A recorded graph starts them all at once but has fixed shapes, so a batch is put into a
bucket of so many prompt tokens, slots and segments, and what is left over forms segments of padding that
nobody looks at.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from .packed import Cache, PackedNetwork
from .segments import Packing

TOKEN_STEP, SLOT_STEP = 32, 16  # sizes of buckets are multiples of these
T = TypeVar("T")


class Bucket:
    """Static tensors of one size, and the joint and the canvas-only run recorded over them.

    Args:
        network: that runs.
        tokens, slots, segments: the sizes; a batch of n rows takes n + 1 segments at least.
        isolated: whether prompts see only themselves.
    """

    def __init__(
        self, network: PackedNetwork, tokens: int, slots: int, segments: int, isolated: bool
    ) -> None:
        self.tokens, self.slots, self.segments, self.isolated = tokens, slots, segments, isolated
        self.owner: Any = None  # whose keys and values the cache holds
        device = network.device
        self._ids = torch.zeros(tokens + slots, dtype=torch.long, device=device)
        self._positions = torch.zeros_like(self._ids)
        self._packing = self._padded(torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)).to(
            device
        )
        keep = torch.arange(tokens, tokens + slots, device=device)
        self._keep = torch.cat([keep, self._packing.ends])
        self._cache: Cache = []

        def joint() -> torch.Tensor:
            states, self._cache = network.run(self._ids, self._positions, self._packing.joint, self._keep)
            return states

        def alone() -> torch.Tensor:
            ids, positions = self._ids[tokens:], self._positions[tokens:]
            return network.run(ids, positions, self._packing.alone, cache=self._cache)[0]

        self._joint, self._alone = recorded(joint, device), recorded(alone, device)

    @staticmethod
    def sizes(tokens: int, slots: int, rows: int) -> tuple[int, int, int]:
        """Return the sizes of the smallest bucket for a batch: prompt tokens, slots, segments."""
        segments = 1 << rows.bit_length()  # a power of two above the number of rows
        return -(-tokens // TOKEN_STEP) * TOKEN_STEP, -(-slots // SLOT_STEP) * SLOT_STEP, segments

    def joint(
        self,
        owner: Any,
        ids: torch.Tensor,
        positions: torch.Tensor,
        prompts: torch.Tensor,
        slots: torch.Tensor,
    ) -> torch.Tensor:
        """Run prompts and canvases, and keep their keys and values for ``owner``.

        Args:
            owner: the batch.
            ids, positions: of its rows, prompts before canvases, ``[rows]``.
            prompts, slots: the lengths of its prompts and canvases, int ``[batch]`` on the CPU.

        Returns:
            States of the slots and, behind ``self.slots`` rows, of each prompt's last token. They are
            overwritten by the next run.
        """
        tokens = int(prompts.sum())
        for static, given in ((self._ids, ids), (self._positions, positions)):
            static.zero_()
            static[:tokens] = given[:tokens]
            static[self.tokens : self.tokens + len(given) - tokens] = given[tokens:]
        packing, fresh = self._packing, self._padded(prompts, slots)
        pairs = [
            (packing.joint.queries, fresh.joint.queries),
            (packing.joint.keys, fresh.joint.keys),
            (packing.joint.gather, fresh.joint.gather),
            (packing.alone.queries, fresh.alone.queries),
            (packing.alone.keys, fresh.alone.keys),
            (packing.alone.places, fresh.alone.places),
            (self._keep[self.slots :], fresh.ends),
        ]
        for static_part, part in pairs:
            assert static_part is not None  # a Packing has all of them
            assert part is not None
            static_part.copy_(part)
        self.owner = owner
        return self._joint()

    def alone(self, ids: torch.Tensor) -> torch.Tensor:
        """Run the owner's canvases with other symbols, ``[slots of all rows]``; see ``joint``."""
        self._ids[self.tokens : self.tokens + len(ids)] = ids
        return self._alone()

    def _padded(self, prompts: torch.Tensor, slots: torch.Tensor) -> Packing:
        """Return the packing of a batch and one segment of padding behind it, then empty ones."""
        empty = [0] * (self.segments - len(prompts) - 1)
        prompts = torch.cat([prompts, torch.tensor([self.tokens - int(prompts.sum()), *empty])])
        slots = torch.cat([slots, torch.tensor([self.slots - int(slots.sum()), *empty])])
        return Packing.of(prompts, slots, self.isolated, longest=max(self.tokens, self.slots))


def recorded(run: Callable[[], T], device: torch.device) -> Callable[[], T]:
    """Return a function that repeats ``run`` over the same tensors: as a CUDA graph on a GPU."""
    if device.type != "cuda":
        run()
        return run
    # The first runs compile and allocate, which a recording must not.
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(2):
            run()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = run()

    def replay() -> T:
        graph.replay()
        return result

    return replay
