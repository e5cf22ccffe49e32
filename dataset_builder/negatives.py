"""Draws the types that a row asks for although its passage has none of them."""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate
from random import Random

from dataset_builder.conversation import is_noisy

# A name longer than this many tokens is no negative: five of them must leave room for the text.
MAX_NEGATIVE_TOKENS = 16


class NegativeSampler:
    """Ranks absent types for each row, the source's own negatives first.

    Where the source sampled too few, types of other passages fill up, drawn by how many passages have them
    (the frequency-based sampling of UniversalNER, https://arxiv.org/abs/2308.03279). What a row gets depends
    on the seed, the record and the row alone: not on the order or the number of processes.

    Args:
        frequencies: in how many passages each type occurs.
        costs: tokens of each type name; dearer ones than :data:`MAX_NEGATIVE_TOKENS` are not drawn.
        seed: of the whole build.
    """

    def __init__(self, frequencies: Mapping[str, int], costs: Mapping[str, int], seed: int) -> None:
        self._costs = costs
        self._seed = seed
        self._names = sorted(name for name in frequencies if self._usable(name))
        self._cumulative = list(accumulate(frequencies[name] for name in self._names))

    def random(self, record: str, row: str) -> Random:
        """Return the random numbers of one row of one record."""
        digest = blake2b(
            f"{self._seed}\0{row}\0{record}".encode("utf-8", "surrogatepass"), digest_size=8
        ).digest()
        return Random(int.from_bytes(digest, "little"))

    def pool(self, record: str, own: Sequence[str], present: Collection[str], size: int) -> list[str]:
        """Return the types that rows of this record may draw from: at least ``size``, where there are any.

        Args:
            record: what identifies the record.
            own: the negatives that the source sampled.
            present: types that occur in the passage, or may.
            size: how many one row needs at most.
        """
        pool = [name for name in own if name not in present and self._usable(name)]
        taken = {*pool, *present}
        if len(pool) < size:
            pool.extend(self._fill(self.random(record, "pool"), taken, size - len(pool)))
        return pool

    def _usable(self, name: str) -> bool:
        return not is_noisy(name) and self._costs[name] <= MAX_NEGATIVE_TOKENS

    def _fill(self, rng: Random, taken: set[str], count: int) -> list[str]:
        drawn: list[str] = []
        # Rejection is fast while most types are free; a small inventory is drawn from what is left of it.
        for _ in range(20 * count if self._names else 0):
            if len(drawn) == count:
                break
            name = self._names[bisect_right(self._cumulative, rng.random() * self._cumulative[-1])]
            if name not in taken:
                taken.add(name)
                drawn.append(name)
        if len(drawn) < count:
            left = [name for name in self._names if name not in taken]
            drawn.extend(rng.sample(left, min(count - len(drawn), len(left))))
        return drawn
