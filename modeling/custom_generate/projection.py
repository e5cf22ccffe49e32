"""From the network's distribution to symbols that may stand on the canvas: free, tagged or grounded."""

from dataclasses import dataclass

import torch

from .grammar import Grammar
from .tagging import OUTSIDE, best_tagging, clamp_known


@dataclass
class Proposal:
    """What a step would write: symbol numbers ``[batch, slots]`` and, if grounded, automaton states."""

    choice: torch.Tensor
    states: torch.Tensor | None = None


class FreeProjection:
    """Every slot for itself: whatever the network likes best."""

    def select(self, rows: torch.Tensor) -> "FreeProjection":
        """Return the projection for some rows of the batch."""
        return self

    def __call__(self, log_probs: torch.Tensor, known: torch.Tensor, mask: torch.Tensor) -> Proposal:
        """Return the best symbol of each slot.

        Args:
            log_probs: ``[batch, slots, symbols]``.
            known: symbol numbers of revealed slots, -1 where open, ``[batch, slots]``.
            mask: which slots exist, bool ``[batch, slots]``.
        """
        return Proposal(torch.where(known >= 0, known, log_probs.argmax(-1)))


class TagProjection:
    """The best valid tagging of an aligned canvas."""

    def select(self, rows: torch.Tensor) -> "TagProjection":
        """See FreeProjection."""
        return self

    def __call__(self, log_probs: torch.Tensor, known: torch.Tensor, mask: torch.Tensor) -> Proposal:
        """See FreeProjection; slots that do not exist are O."""
        known = torch.where(mask, known, OUTSIDE)
        return Proposal(best_tagging(clamp_known(log_probs, known)))


@dataclass
class GroundedProjection:
    """The best completion that names only queried types and spans of the text."""

    grammar: Grammar

    def select(self, rows: torch.Tensor) -> "GroundedProjection":
        """See FreeProjection."""
        return GroundedProjection(self.grammar.select(rows))

    def __call__(self, log_probs: torch.Tensor, known: torch.Tensor, mask: torch.Tensor) -> Proposal:
        """See FreeProjection."""
        return Proposal(*self.grammar.project(log_probs, known, mask.sum(1)))


Projection = FreeProjection | TagProjection | GroundedProjection
