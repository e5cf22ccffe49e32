"""The canvases of a batch while they are denoised: how long they are, the whole state, the parts, a step."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .network import Denoiser
from .projection import Projection

BUCKETS = (16, 32, 64, 128)  # slots; behind the last one, its doubles
# Below this many slots a forward takes a GPU as long as one over a single slot: it waits for its launches.
SMALL_BATCH_SLOTS = 512


@dataclass
class DenoisingStep:
    """The canvas after one step.

    ``ids`` are token ids ``[batch, slots]``, masks included; ``confidence`` the probability each revealed
    symbol had when it was revealed (0 where masked); ``choice`` the symbol numbers of the whole projected
    canvas, masked slots included; ``states`` (grounded) its automaton states; ``log_probs``
    (aligned canvas) each slot's distribution when it was revealed, or now if it is masked,
    ``[batch, slots, symbols]``; ``forwards`` how many times the network has run over each row's canvas,
    and ``slots`` how many slots that has, both ``[batch]``; ``last`` whether no step follows.
    """

    number: int
    ids: torch.Tensor
    confidence: torch.Tensor
    choice: torch.Tensor
    states: torch.Tensor | None
    log_probs: torch.Tensor | None
    forwards: torch.Tensor
    slots: torch.Tensor
    last: bool = True


@dataclass(frozen=True)
class Part:
    """Rows of the batch that run together: their indices in it, their network, and what they may hold.

    ``symbols`` is how many symbols each row has, ``[rows]``.
    """

    rows: torch.Tensor
    denoiser: Denoiser
    projection: Projection
    candidates: torch.Tensor | None
    symbols: torch.Tensor

    def select(self, rows: torch.Tensor, width: int) -> "Part":
        """Return some of the rows (indices into this part), their canvases cut behind ``width`` slots."""
        return Part(
            self.rows[rows],
            self.denoiser.select(rows, width),
            self.projection.select(rows),
            None if self.candidates is None else self.candidates[rows],
            self.symbols[rows],
        )


@dataclass
class State:
    """The canvases of the whole batch, ``[batch, slots]`` each; a step replaces tensors and changes none.

    ``open`` are the slots still masked, ``mask`` those that exist, ``known`` the symbol numbers of revealed
    slots and -1 elsewhere, ``done`` the rows that are finished and ``owed`` what remasking carries to the
    next step, both ``[batch]``; the others see DenoisingStep.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    open: torch.Tensor
    known: torch.Tensor
    confidence: torch.Tensor
    choice: torch.Tensor
    done: torch.Tensor
    forwards: torch.Tensor
    owed: torch.Tensor
    states: torch.Tensor | None = None
    log_probs: torch.Tensor | None = None

    def put(self, name: str, part: Part, values: torch.Tensor) -> None:
        """Set one of the tensors for a part's rows and slots, except where a row is done."""
        old: torch.Tensor | None = getattr(self, name)
        batch, slots = self.ids.shape
        if old is None:
            old = values.new_zeros(batch, slots, *values.shape[2:])
        done = self.done[part.rows].view(-1, *[1] * (values.dim() - 1))
        if values.shape[:2] == self.ids.shape:  # a part with all rows has them in order
            setattr(self, name, torch.where(done, old, values))
            return
        at = (part.rows, slice(values.shape[1]))
        new = old.clone()
        new[at] = torch.where(done, old[at], values)
        setattr(self, name, new)

    def step(self, number: int) -> DenoisingStep:
        """Return what a caller sees of the state."""
        slots = self.mask.sum(1)
        return DenoisingStep(
            number, self.ids, self.confidence, self.choice, self.states, self.log_probs, self.forwards, slots
        )


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
