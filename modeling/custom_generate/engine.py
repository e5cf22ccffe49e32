"""The fast path of a Dream-shaped model: packed rows, and recorded runs where the batch is small.

    attach_engine(model)

From then on every denoiser of the model runs packed; ``detach_engine`` goes back to the plain path.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch

from .buckets import Bucket
from .forking import ForkSafeLock
from .network import Canvas, Prompt
from .packed import Cache, PackedNetwork, unsupported
from .segments import Packing

GRAPH_TOKENS = 512  # above it the GPU has enough to do in each kernel
BUCKETS = 48  # recorded at a time; each holds some tens of megabytes


class Engine:
    """A packed network and its recorded runs; may be shared between threads.

    A copied or unpickled engine belongs to the copied model: it makes its network again at its first use.

    Args:
        model: see ``PackedNetwork``.
        compiled, float8: see ``PackedNetwork``.
        graph_tokens: batches of at most so many tokens, canvases included, run in recorded buckets; default:
            512 on a GPU, 0 (never) elsewhere.
    """

    def __init__(
        self,
        model: Any,
        *,
        compiled: bool | None = None,
        float8: bool = False,
        graph_tokens: int | None = None,
    ) -> None:
        self.__setstate__(
            {
                "model": model,
                "options": {"compiled": compiled, "float8": float8, "graph_tokens": graph_tokens},
            }
        )
        self._build()

    def __getstate__(self) -> dict[str, Any]:
        # Neither recorded runs nor compiled code travel, and the weights are the model's.
        return {"model": self.model, "options": self.options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.model, self.options = state["model"], state["options"]
        self.lock = ForkSafeLock()
        self._network: PackedNetwork | None = None  # the model of a copy is not whole yet
        self._buckets: OrderedDict[tuple[int, int, int, bool], Bucket] = OrderedDict()

    def _build(self) -> None:
        with self.lock:
            if self._network is not None:
                return
            network = PackedNetwork(
                self.model, compiled=self.options["compiled"], float8=self.options["float8"]
            )
            given = self.options["graph_tokens"]
            on_gpu = network.device.type == "cuda"
            self.graph_tokens: int = (GRAPH_TOKENS if on_gpu else 0) if given is None else given
            self._network = network

    @property
    def network(self) -> PackedNetwork:
        """The packed network."""
        if self._network is None:
            self._build()
        assert self._network is not None
        return self._network

    def open(self, prompt: Prompt, *, isolated: bool, reuse: bool, shifted: bool) -> "EngineBatch":
        """Return a batch to be run.

        Args:
            prompt: a batch of prompts, padded on any side.
            isolated: whether prompts see only themselves.
            reuse: whether keys and values of the prompts are kept from the first run.
            shifted: whether a slot is predicted from the state before it.

        Raises:
            ValueError: the prompts' types are blocks, which packed rows cannot keep apart.
        """
        if prompt.blocks is not None:
            raise ValueError(
                "the packed engine runs prompts whose types are one list (type_attention='joint'), not "
                "blocks; load the model with engine='plain'"
            )
        self._build()
        return EngineBatch(self, prompt, isolated=isolated, reuse=reuse, shifted=shifted)

    def bucket(self, tokens: int, slots: int, rows: int, isolated: bool) -> Bucket:
        """Return the bucket of a batch, made at its first use; the one not used for longest makes room."""
        key = (*Bucket.sizes(tokens, slots, rows), isolated)
        if key not in self._buckets:
            if len(self._buckets) >= BUCKETS:
                self._buckets.popitem(last=False)
            self._buckets[key] = Bucket(self.network, *key)
        self._buckets.move_to_end(key)
        return self._buckets[key]


@dataclass(frozen=True)
class Layout:
    """Where the rows of one batch lie: lengths on the CPU, the rest on the network's device.

    ``prompts`` and ``slots`` are lengths, ``[batch]``; ``tokens`` the prompts' ids without padding;
    ``places`` where the slots stand in the padded canvas, flattened; ``positions`` position ids of all rows.
    """

    prompts: torch.Tensor
    slots: torch.Tensor
    tokens: torch.Tensor
    places: torch.Tensor
    positions: torch.Tensor

    @classmethod
    def of(cls, prompt: Prompt, canvas: Canvas) -> "Layout":
        """Return the layout of a padded batch."""
        device = prompt.ids.device
        prompt_mask, canvas_mask = prompt.mask.bool().cpu(), canvas.mask.cpu()
        kept = prompt_mask.flatten().nonzero()[:, 0].to(device)
        places = canvas_mask.flatten().nonzero()[:, 0].to(device)
        positions = torch.cat([prompt.positions.flatten()[kept], canvas.positions.flatten()[places]])
        tokens = prompt.ids.flatten()[kept]
        return cls(prompt_mask.sum(1), canvas_mask.sum(1), tokens, places, positions)

    @property
    def starts(self) -> torch.Tensor:
        """Where each prompt begins once every prompt is followed by its canvas, ``[batch]``."""
        lengths = self.prompts + self.slots
        return lengths.cumsum(0) - lengths


class EngineBatch:
    """One batch of prompts; the arguments are those of ``Engine.open``."""

    def __init__(self, engine: Engine, prompt: Prompt, *, isolated: bool, reuse: bool, shifted: bool) -> None:
        self.engine, self.prompt = engine, prompt
        self.isolated, self.reuse, self.shifted = isolated, reuse, shifted
        # Keys that a canvas has left its mark on can be kept, but not made again.
        self._recordable = isolated or not reuse
        self._canvas: Canvas | None = None
        self._layout: Layout | None = None
        self._packing: Packing | None = None
        # Keys and values of the prompts, and where each begins there; None: as in this batch's own layout.
        self._cache: Cache | None = None
        self._origins: torch.Tensor | None = None
        self._before: torch.Tensor | None = None  # states of the prompts' last tokens

    def hidden(self, canvas: Canvas, ids: torch.Tensor) -> torch.Tensor:
        """Return the states ``[batch, slots, hidden]`` that predict each slot; 0 where there is none.

        Args:
            canvas: the canvases, one for each prompt; another one than before starts no prompt again.
            ids: what stands on them, ``[batch, slots]``.
        """
        layout = self._laid_out(canvas)
        symbols = ids.flatten()[layout.places]
        small = self._recordable and self._cache is None
        if small and len(layout.positions) <= self.engine.graph_tokens:
            with self.engine.lock:  # the bucket's tensors are overwritten by its next run
                states = self._spread(layout, ids, self._small(layout, symbols))
        else:
            states = self._spread(layout, ids, self._large(layout, symbols))
        if not self.shifted:
            return states
        assert self._before is not None  # the prompts have run
        return torch.cat([self._before[:, None], states[:, :-1]], dim=1)

    def select(self, rows: torch.Tensor) -> "EngineBatch":
        """Return the batch of some rows, an index ``[rows]``; one may come several times."""
        chosen = EngineBatch(
            self.engine,
            self.prompt.select(rows),
            isolated=self.isolated,
            reuse=self.reuse,
            shifted=self.shifted,
        )
        if self._before is not None:
            chosen._before = self._before[rows]
        if self._cache is not None:
            assert self._layout is not None  # it was written by a run
            origins = self._layout.starts if self._origins is None else self._origins
            chosen._cache, chosen._origins = self._cache, origins[rows.cpu()]
        return chosen

    def _laid_out(self, canvas: Canvas) -> Layout:
        if canvas is not self._canvas or self._layout is None:
            if self._layout is not None and self._origins is None:
                self._origins = self._layout.starts
            self._canvas, self._packing = canvas, None
            self._layout = Layout.of(self.prompt, canvas)
        return self._layout

    def _large(self, layout: Layout, symbols: torch.Tensor) -> torch.Tensor:
        """Return states of the slots, row after row, without padding."""
        network = self.engine.network
        if self._packing is None:
            self._packing = Packing.of(layout.prompts, layout.slots, self.isolated).to(symbols.device)
        if self._cache is not None:
            if self._origins is not None:
                self._cache, self._origins = self._moved(layout, self._cache, self._origins), None
            positions = layout.positions[len(layout.tokens) :]
            return network.run(symbols, positions, self._packing.alone, cache=self._cache)[0]
        ids = torch.cat([layout.tokens, symbols])
        slots = torch.arange(len(layout.tokens), len(ids), device=ids.device)
        keep = torch.cat([slots, self._packing.ends])
        states, cache = network.run(ids, layout.positions, self._packing.joint, keep)
        self._cache, self._origins = cache if self.reuse else None, None
        self._before = states[len(symbols) :]
        return states[: len(symbols)]

    def _small(self, layout: Layout, symbols: torch.Tensor) -> torch.Tensor:
        """Return the same out of a bucket."""
        bucket = self.engine.bucket(len(layout.tokens), len(symbols), len(layout.prompts), self.isolated)
        if self.reuse and bucket.owner is layout:
            return bucket.alone(symbols)[: len(symbols)]
        # Where another batch has used the bucket since, running the prompts again is as exact.
        ids = torch.cat([layout.tokens, symbols])
        states = bucket.joint(layout, ids, layout.positions, layout.prompts, layout.slots)
        self._before = states[bucket.slots : bucket.slots + len(layout.prompts)].clone()
        return states[: len(symbols)]

    @staticmethod
    def _moved(layout: Layout, cache: Cache, origins: torch.Tensor) -> Cache:
        """Return keys and values in another layout; those of the canvases are to be written."""
        rows = zip(origins.tolist(), layout.prompts.tolist(), layout.slots.tolist(), strict=True)
        pieces = [
            torch.cat([torch.arange(at, at + prompt), torch.zeros(slots, dtype=torch.long)])
            for at, prompt, slots in rows
        ]
        index = torch.cat(pieces).to(layout.tokens.device)
        return [(keys[index], values[index]) for keys, values in cache]

    @staticmethod
    def _spread(layout: Layout, ids: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        padded = states.new_zeros(ids.numel(), states.shape[-1])
        return padded.index_copy(0, layout.places, states).view(*ids.shape, -1)


def attach_engine(model: Any, **options: Any) -> Engine:
    """Make every denoiser of the model run packed; ``options`` are those of ``Engine``.

    Raises:
        ValueError: the model cannot run packed.
    """
    model.engine = Engine(model, **options)
    return model.engine


def detach_engine(model: Any) -> None:
    """Go back to the plain path."""
    if getattr(model, "engine", None) is not None:
        model.engine = None


__all__ = ["Engine", "EngineBatch", "attach_engine", "detach_engine", "unsupported"]
