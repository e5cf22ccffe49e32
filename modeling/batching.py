"""Batches of a token budget: rows of like length together, short ones many at a time."""

import random
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

CHUNK = 50  # batches' worth of rows that are sorted by length together


class TokenBudgetBatchSampler(Sampler[list[int]]):
    """Yields lists of row indices whose padded size stays within a budget.

    Args:
        lengths: an estimate of each row's tokens (any unit, the same as the budget's).
        budget: the most that rows x longest row may be.
        weights: how often each row is drawn per epoch on average (1.5: always once, every other epoch
            twice); default 1 each.
        seed: with the epoch it fixes the order.
        rounds: how many weighted passes over the rows make one epoch.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        budget: int,
        weights: Sequence[float] | None = None,
        seed: int = 0,
        rounds: int = 1,
    ) -> None:
        if budget < 1:
            raise ValueError(f"the token budget of a batch must be positive, got {budget}")
        self.lengths = list(lengths)
        self.budget = budget
        self.weights = list(weights) if weights is not None else [1.0] * len(self.lengths)
        self.seed = seed
        self.rounds = rounds
        self.epoch = 0
        self._planned: tuple[int, list[list[int]]] | None = None

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._plan())

    def __iter__(self) -> Iterator[list[int]]:
        yield from self._plan()

    def _plan(self) -> list[list[int]]:
        if self._planned is None or self._planned[0] != self.epoch:
            rng = random.Random(f"{self.seed}-{self.epoch}")
            batches = [batch for _ in range(self.rounds) for batch in self._round(rng)]
            self._planned = (self.epoch, batches)
        return self._planned[1]

    def _round(self, rng: random.Random) -> list[list[int]]:
        rows = []
        for index, weight in enumerate(self.weights):
            whole = int(weight)
            rows += [index] * (whole + (rng.random() < weight - whole))
        rng.shuffle(rows)
        if not rows:
            return []
        mean = sum(self.lengths[i] for i in rows) / len(rows)
        size = max(1, int(CHUNK * self.budget / max(mean, 1)))
        batches: list[list[int]] = []
        for at in range(0, len(rows), size):
            chunk = sorted(rows[at : at + size], key=lambda i: self.lengths[i])
            batches += self._cut(chunk)
        rng.shuffle(batches)
        return batches

    def _cut(self, rows: list[int]) -> list[list[int]]:
        batches: list[list[int]] = [[]]
        for index in rows:  # ascending: the newest row is the longest of its batch
            if batches[-1] and (len(batches[-1]) + 1) * self.lengths[index] > self.budget:
                batches.append([])
            batches[-1].append(index)
        return batches
