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

    def __call__(self, log_probs: torch.Tensor, known: torch.Tensor, mask: torch.Tensor) -> Proposal:
        """See FreeProjection; slots that do not exist are O."""
        known = torch.where(mask, known, OUTSIDE)
        return Proposal(best_tagging(clamp_known(log_probs, known)))


@dataclass
class GroundedProjection:
    """The best completion that names only queried types and spans of the text."""

    grammar: Grammar

    def __call__(self, log_probs: torch.Tensor, known: torch.Tensor, mask: torch.Tensor) -> Proposal:
        """See FreeProjection."""
        return Proposal(*self.grammar.project(log_probs, known, mask.sum(1)))


def perturb(log_probs: torch.Tensor, temperature: float, generator: torch.Generator | None) -> torch.Tensor:
    """Return log-probabilities with Gumbel noise, whose best symbol is a sample at this temperature.

    For a single slot that is exact sampling; under a Viterbi pass it is perturb-and-MAP
    (Papandreou and Yuille 2011). Temperature 0 returns them unchanged.
    """
    if temperature == 0:
        return log_probs
    # Drawn on the CPU, so that one seed gives one answer on every device.
    device = generator.device if generator is not None else log_probs.device
    noise = torch.rand(log_probs.shape, generator=generator, device=device).to(log_probs.device)
    return log_probs / temperature - (-(noise.clamp(1e-20, 1 - 1e-7)).log()).log()
