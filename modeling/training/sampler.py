"""Which rows make a step, and where each stands in it: batches of like length, shared among processes.

A row's query, canvas, time and mask are functions of its :class:`Draw`, which is a function of the run's
seed, the pass over the data and the row. So a run that was stopped goes on as if it had not been, however far
loader workers had read ahead, and the same global batch gives the same loss whether one process sees it at
once, in pieces, or several processes share it.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Any, NamedTuple, overload

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from .masking import BatchPlace

CHUNK = 50  # global batches' worth of rows that are sorted by length together
PLACE, REPEATED, LONGEST = "place", "repeated", "longest"  # what DrawnCollator adds
_BITS = 20  # of a seed for each fraction
DRAW = "draw"  # the key of a row's Draw


@dataclass(frozen=True)
class Draw:
    """One use of a row.

    Args:
        row: its index.
        seed: of this use, in [0, 2^62).
        length: of this use in tokens, or an estimate of it.
        step: seed of the global batch that the row is in, the same for all its rows, in [0, 2^62).
        position: of the row in the global batch.
        total: rows of the global batch.
        repeated: whether the row is there only so that no process stands idle.
    """

    row: int
    seed: int
    length: int = 0
    step: int = 0
    position: int = 0
    total: int = 1
    repeated: bool = False


def derived_seed(*parts: int | str) -> int:
    """Return an integer in [0, 2^62) that depends on all parts and on nothing else."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2


class DrawnRows(Dataset):
    """A data set indexed by draws: the row, with its draw under ``"draw"``."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        return {**self.rows[draw.row], DRAW: draw}

    def __getitems__(self, draws: Sequence[Draw]) -> list[dict[str, Any]]:
        # One read for the whole batch where the data set can: a column store reads row by row slowly.
        indices = [draw.row for draw in draws]
        many = getattr(self.rows, "__getitems__", None)
        rows = many(indices) if many is not None else [self.rows[i] for i in indices]
        return [{**row, DRAW: draw} for row, draw in zip(rows, draws, strict=True)]


def seeds_of(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return what each row's choices are drawn from.

    The seed of a drawn row depends only on that use of the row, not on the other rows of the batch. The seeds
    of rows without draws come from torch's global random state.
    """
    if rows and DRAW in rows[0]:
        return [row[DRAW].seed for row in rows]
    return torch.randint(2**62, (len(rows),)).tolist()


@overload
def fraction(seed: int, part: int) -> float: ...
@overload
def fraction(seed: Any, part: int) -> Any: ...
def fraction(seed: Any, part: int) -> Any:
    """Return the number in [0, 1) that part 0, 1 or 2 of a seed's bits spells: a draw that costs nothing.

    Of one seed, or of a numpy array of them.
    """
    return ((seed >> (_BITS * part)) & (2**_BITS - 1)) / 2**_BITS


@dataclass
class DrawnCollator:
    """Calls a collator, and adds where the batch stands.

    The batch gains ``place`` (a ``BatchPlace``, from which the loss draws times and masks), ``repeated``,
    bool ``[batch]``, and ``longest``, the most tokens of a row, prompt and canvases together.
    """

    collator: Any

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        draws: list[Draw] = [row[DRAW] for row in rows]
        batch, first = self.collator(rows), draws[0]
        batch[PLACE] = BatchPlace(first.step, first.position, first.total)
        lengths = [mask.sum(1) for name, mask in batch.items() if name.endswith("_mask")]
        if lengths:
            batch[LONGEST] = int(torch.stack(lengths).sum(0).max())
        batch[REPEATED] = torch.tensor([draw.repeated for draw in draws])
        return batch


class GlobalBatchSampler(Sampler[list[Draw]]):
    """Yields the batches of one process; together those of a step are one global batch of like lengths.

    A global batch is what one optimiser step sees: ``processes`` x ``accumulation`` batches. Which rows it
    holds depends on that product and the batch's size alone, not on how processes and accumulation share it.

    Args:
        lengths: each row's tokens, or an estimate of them.
        batch_size: rows of a batch; the last global batch of an epoch may have fewer.
        budget: instead, the most that rows x longest row of a batch may be. An epoch is then as many steps
            as the first pass over the rows needs; what a longer pass leaves over comes first in the next.
        weights: how often each row is drawn per pass on average (1.5: always once, every other pass
            twice); default 1 each.
        seed: with the pass it fixes the order and all draws.
        processes: how many processes share a global batch.
        process: which of them this one is.
        accumulation: how many batches a process takes per optimiser step.
        drawn_lengths: of rows' numbers and the seeds of their uses, arrays; default the rows' own lengths.

    Raises:
        ValueError: neither or both of ``batch_size`` and ``budget``, or one that is not positive; no rows.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int | None = None,
        budget: int | None = None,
        weights: Sequence[float] | None = None,
        seed: int = 0,
        processes: int = 1,
        process: int = 0,
        accumulation: int = 1,
        drawn_lengths: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    ) -> None:
        if (batch_size is None) == (budget is None):
            raise ValueError("give either batch_size (rows) or budget (tokens) of a batch")
        if budget is not None and budget < 1:
            raise ValueError(f"the token budget of a batch must be positive, got {budget}")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be positive, got {batch_size}")
        self.lengths = list(lengths)
        self.weights = list(weights) if weights is not None else [1.0] * len(self.lengths)
        if not sum(self.weights) > 0:
            raise ValueError("there are no rows to draw: the data set is empty, or all weights are 0")
        self.batch_size = batch_size
        self.budget = budget
        self.seed = seed
        self.processes = processes
        self.process = process
        self.drawn_lengths = drawn_lengths
        self.ways = processes * accumulation
        self.epoch = 0
        self._planned: dict[int, list[_Step]] = {}
        # Of a budget: the pass to draw next, rows left over by the last one, steps not yet in an epoch.
        self._passes, self._rest, self._ready = 0, list[_Use](), list[_Step]()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(-(-len(step.rows) // (step.size * self.processes)) for step in self._steps(0))

    def __iter__(self) -> Iterator[list[Draw]]:
        # Of W processes, process w takes batches w, w + W, ... of a step.
        for step in self._steps(self.epoch):
            shared = _shared(step.rows, step.size, self.processes, self.seed, "step", step.number)
            yield from shared[self.process :: self.processes]

    def _steps(self, epoch: int) -> list["_Step"]:
        """Return the global batches of an epoch."""
        if epoch not in self._planned:
            steps = self._by_rows(epoch) if self.budget is None else self._by_budget(epoch)
            # The first epoch is kept for its length, which is every epoch's.
            self._planned = {0: self._planned.get(0, steps), epoch: steps}
        return self._planned[epoch]

    def _by_rows(self, epoch: int) -> list["_Step"]:
        """Return the steps of one pass: global batches of ``batch_size`` rows a batch."""
        assert self.batch_size is not None
        rows, rng = self._pass(epoch)
        size = self.batch_size * self.ways
        whole = len(rows) - len(rows) % size
        steps = []
        for at in range(0, whole, CHUNK * size):
            chunk = _sorted(rows[at : min(at + CHUNK * size, whole)])
            steps += [chunk[i : i + size] for i in range(0, len(chunk), size)]
        rng.shuffle(steps)
        # The smaller last batch holds any rows, not the longest ones.
        steps += [rows[whole:]] if whole < len(rows) else []
        return [_Step(epoch, step, self.batch_size) for step in steps]

    def _by_budget(self, epoch: int) -> list["_Step"]:
        """Return as many steps as the first pass needs, from passes that run on behind each other."""
        size = len(self._planned.get(0, ()))
        done = max(self._planned, default=-1)
        if epoch != done + 1:  # a run that was stopped goes on here: draw what came before once more
            self._passes, self._rest, self._ready = 0, [], []
            done = -1
        steps: list[_Step] = []
        for _ in range(epoch - done):
            while not size or len(self._ready) < size:
                rows, rng = self._pass(self._passes)
                found, self._rest = self._within_budget(self._rest + rows)
                rng.shuffle(found)
                size = size or len(found)
                self._ready += [_Step(self._passes, step, len(step) // self.ways) for step in found]
                self._passes += 1
            steps, self._ready = self._ready[:size], self._ready[size:]
        return steps

    def _pass(self, number: int) -> tuple[list["_Use"], random.Random]:
        """Return the rows of one pass over the data, shuffled, and a generator for what follows."""
        rng = random.Random(derived_seed(self.seed, "order", number))
        # Systematic sampling: each row as often as its weight says on average, the same total every pass.
        reached = np.floor(np.cumsum(self.weights) + rng.random()).astype(np.int64)
        indices = np.repeat(np.arange(len(reached)), np.diff(reached, prepend=0))
        drawn = np.random.default_rng(derived_seed(self.seed, "rows", number))
        order = drawn.permutation(len(indices))
        rows, seeds = indices[order], drawn.integers(2**62, size=len(indices))
        own = np.asarray(self.lengths, dtype=np.int64)[rows]
        lengths = own if self.drawn_lengths is None else self.drawn_lengths(rows, seeds)
        return list(map(_Use, lengths.tolist(), rows.tolist(), seeds.tolist())), rng

    def _within_budget(self, rows: list["_Use"]) -> tuple[list[list["_Use"]], list["_Use"]]:
        """Cut rows into global batches within the budget; return those, and rows too few to share."""
        assert self.budget is not None
        mean = sum(use.length for use in rows) / max(len(rows), 1)
        size = max(1, int(CHUNK * self.ways * self.budget / max(mean, 1)))
        steps: list[list[_Use]] = []
        rest: list[_Use] = []
        for at in range(0, len(rows), size):
            chunk = _sorted(rest + rows[at : at + size])  # ascending: a batch's last row is its longest
            first = 0
            while first + self.ways <= len(chunk):
                end = first + self.ways
                while end + self.ways <= len(chunk):
                    longest = chunk[end + self.ways - 1].length
                    if ((end - first) // self.ways + 1) * longest > self.budget:
                        break
                    end += self.ways
                steps.append(chunk[first:end])
                first = end
            rest = chunk[first:]
        return steps, rest


class _Use(NamedTuple):
    """One use of a row before its place is known: a Draw's first fields, light, for there are many."""

    length: int
    row: int
    seed: int


class _Step(NamedTuple):
    """A global batch: the pass it is of, its rows, and the most rows of a batch."""

    number: int
    rows: list[_Use]
    size: int


def _sorted(rows: list[_Use]) -> list[_Use]:
    return sorted(rows, key=itemgetter(0))


def _shared(rows: list[_Use], size: int, processes: int, *seed: int | str) -> list[list[Draw]]:
    """Cut a global batch into batches of at most ``size`` rows, as many for every process, none empty."""
    count = -(-len(rows) // (size * processes)) * processes
    rows = _sorted(rows)
    # Fewer rows than processes: some come twice, as accelerate does it, for no process may stand idle.
    own = len(rows)
    rows = [*rows, *(rows[i % own] for i in range(count - own))]
    step = derived_seed(*seed, *(use.seed for use in rows))
    placed = [Draw(use.row, use.seed, use.length, step, i, len(rows), i >= own) for i, use in enumerate(rows)]
    edges = [len(placed) * i // count for i in range(count + 1)]
    return [placed[a:b] for a, b in pairwise(edges)]


class EvaluationSampler(Sampler[list[Draw]]):
    """Yields one process's batches of all rows, the same at every evaluation of every run.

    The whole data set is one global batch, so its times are evenly spaced over all of it. Every process gets
    as many batches; a row that is there for that alone is marked as repeated.

    Args:
        lengths: each row's tokens, or an estimate of them: like lengths go together.
        batch_size: the most rows of a batch.
        draws: how often each row is drawn, each time at another time.
        seed: fixes the draws.
        processes, process: see GlobalBatchSampler.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        draws: int = 1,
        seed: int = 0,
        processes: int = 1,
        process: int = 0,
    ) -> None:
        rows = [_Use(n, i, derived_seed(seed, i, k)) for i, n in enumerate(lengths) for k in range(draws)]
        batches = _shared(rows, batch_size, processes, seed) if rows else []
        self._own = batches[process::processes]

    def __len__(self) -> int:
        return len(self._own)

    def __iter__(self) -> Iterator[list[Draw]]:
        yield from self._own
