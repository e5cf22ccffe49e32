"""Uses of rows: everything random about one follows from its draw.

A row's query, canvas, time and mask are functions of its :class:`Draw`, which is a function of the run's
seed, the pass over the data and the row. So a run that was stopped goes on as if it had not been, however far
loader workers had read ahead, and the same global batch gives the same loss whether one process sees it at
once, in pieces, or several processes share it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch.utils.data import Dataset

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

    Of drawn rows it depends on the row's use alone, so that it does not change with who shares the batch.
    Without draws all come from torch's global random state.
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
