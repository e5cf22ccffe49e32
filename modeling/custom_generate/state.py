"""The canvases of a batch while they are denoised: the whole state, the parts that run together, a step."""

from dataclasses import dataclass

import torch

from .network import Denoiser
from .projection import Projection


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
