"""How long a completion canvas is: cut to its answer after the first forward, grown when it is too short."""

from collections.abc import Sequence

import torch

BUCKETS = (16, 32, 64, 128)  # slots; behind the last one, its doubles
# Below this many slots a forward takes a GPU as long as one over a single slot: it waits for its launches.
SMALL_BATCH_SLOTS = 512
LONGEST_CONTEXT = 2048  # what Dream was trained on; its position table goes on


def bucket_of(length: int) -> int:
    """Return the smallest canvas that holds an answer of this many tokens and a slot of padding behind it."""
    for bucket in BUCKETS:
        if length < bucket:
            return bucket
    bucket = BUCKETS[-1]
    while bucket <= length:
        bucket *= 2
    return bucket


def answer_lengths(ids: torch.Tensor, mask: torch.Tensor, pad_token_id: int) -> torch.Tensor:
    """Return how many slots each answer takes, up to its last token that is no padding, ``[batch]``.

    Args:
        ids: token ids of whole canvases, ``[batch, slots]``.
        mask: which slots exist, bool ``[batch, slots]``.
    """
    written = (ids != pad_token_id) & mask
    last = torch.arange(1, ids.shape[1] + 1, device=ids.device) * written
    return last.amax(1) if ids.shape[1] else last.sum(1)


def fitted_slots(lengths: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
    """Return how many slots each canvas keeps, ``[batch]``: its answer's bucket, never more than it has."""
    fitted = torch.tensor([bucket_of(n) for n in lengths.tolist()], device=slots.device)
    return fitted.minimum(slots)


def group_by_width(widths: Sequence[int], small: int) -> list[tuple[list[int], int]]:
    """Return groups of rows that run together, the widest first, each with its width.

    Args:
        widths: slots of each row.
        small: groups are joined as long as rows x width stays within this many slots.
    """
    groups: list[tuple[list[int], int]] = []
    for width in sorted(set(widths), reverse=True):
        rows = [row for row, own in enumerate(widths) if own == width]
        if groups and (len(groups[-1][0]) + len(rows)) * groups[-1][1] <= small:
            groups[-1] = (sorted([*groups[-1][0], *rows]), groups[-1][1])
        else:
            groups.append((rows, width))
    return groups


def is_filled(ids: torch.Tensor, slots: torch.Tensor, pad_token_id: int) -> torch.Tensor:
    """Return which answers reach the last slot of their canvas, bool ``[batch]``: they may be cut there.

    Args:
        ids: token ids of finished canvases, ``[batch, slots]``.
        slots: how many slots each canvas has, ``[batch]``; one of none is not filled.
    """
    last = ids.gather(1, (slots[:, None] - 1).clamp(min=0))[:, 0]
    return (last != pad_token_id) & (slots > 0)


class Growth:
    """Which canvases are to be written, and those that prove too short again with twice the slots.

    ``rows`` and ``slots`` are what the next try writes: rows of the batch, and the slots of each.

    Args:
        first: slots of each row's first canvas.
        most: the most slots that a row can have.
    """

    def __init__(self, first: Sequence[int], most: Sequence[int]) -> None:
        self.most = list(most)
        self.rows = list(range(len(first)))
        self.slots = [min(own, limit) for own, limit in zip(first, most, strict=True)]

    def update(self, filled: Sequence[bool], used: Sequence[int]) -> list[int]:
        """Plan the next try, and return the rows that fill the longest canvas they can have.

        Args:
            filled: of each of ``rows``, whether its answer reaches the last slot.
            used: of each, how many slots its canvas had in the end.
        """
        full = [(row, n) for row, cut, n in zip(self.rows, filled, used, strict=True) if cut]
        longer = [(row, min(2 * n, self.most[row])) for row, n in full if n < self.most[row]]
        self.rows, self.slots = [row for row, _ in longer], [n for _, n in longer]
        return [row for row, n in full if n >= self.most[row]]
