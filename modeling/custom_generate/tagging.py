"""The aligned canvas: the most probable valid tagging, and the probability of each span in it.

Symbols are numbered O = 0, I = 1, and 2 + k for the marker of type k. A tagging is valid if no I follows
O or stands first. Only that rule ties slots together, so three states (O, I, any marker) carry the whole
dynamic programme, however many types are asked for.
"""

from dataclasses import dataclass

import torch

OUTSIDE, INSIDE, FIRST_MARKER = 0, 1, 2
NEVER = float("-inf")
# exp of it is 0, and sums of many of it neither overflow nor swallow the ordinary terms.
IMPOSSIBLE = -1e4


@dataclass(frozen=True)
class Span:
    """Slots ``first`` .. ``last`` (inclusive) are a mention of the type number ``type``."""

    first: int
    last: int
    type: int


def clamp_known(log_probs: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Return the log-probabilities with certainty where a symbol is known.

    Args:
        log_probs: ``[batch, slots, symbols]``.
        known: the symbol's number, or -1 where the slot is open, ``[batch, slots]``.
    """
    symbols = torch.arange(log_probs.shape[-1], device=log_probs.device)
    fixed = torch.where(symbols == known[..., None], 0.0, NEVER).to(log_probs.dtype)
    return torch.where(known[..., None] >= 0, fixed, log_probs)


def best_tagging(log_probs: torch.Tensor) -> torch.Tensor:
    """Return the most probable valid tagging, ``[batch, slots]`` symbol numbers (Viterbi 1967, exact).

    Args:
        log_probs: of each slot, ``[batch, slots, symbols]``; padded slots must be certain to be O.
    """
    batch, slots, _ = log_probs.shape
    marker_score, marker = log_probs[..., FIRST_MARKER:].max(-1)
    # Scores of the states O, I, marker for every slot.
    emit = torch.stack([log_probs[..., OUTSIDE], log_probs[..., INSIDE], marker_score], dim=-1)
    score = emit[:, 0].clone() if slots else emit.new_zeros(batch, 3)
    score[:, INSIDE] = NEVER
    back = []
    for slot in range(1, slots):
        before_any, from_any = score.max(-1)
        before_inside, offset = score[:, 1:].max(-1)
        back.append(torch.stack([from_any, offset + 1, from_any], dim=-1))
        score = emit[:, slot] + torch.stack([before_any, before_inside, before_any], dim=-1)
    if not slots:
        return torch.zeros(batch, 0, dtype=torch.long, device=log_probs.device)
    state = score.argmax(-1)
    states = [state]
    for pointers in reversed(back):
        state = pointers.gather(1, state[:, None])[:, 0]
        states.append(state)
    path = torch.stack(states[::-1], dim=1)
    return torch.where(path == 2, marker + FIRST_MARKER, path)


def spans_of(tagging: list[int]) -> list[Span]:
    """Return the mentions of a valid tagging, in order."""
    spans: list[Span] = []
    for slot, symbol in enumerate(tagging):
        if symbol >= FIRST_MARKER:
            spans.append(Span(slot, slot, symbol - FIRST_MARKER))
        elif symbol == INSIDE:
            spans[-1] = Span(spans[-1].first, slot, spans[-1].type)
    return spans


class SpanProbabilities:
    """The probability of any span of a batch under all valid taggings (forward-backward, exact).

    It is the mass of the taggings in which exactly these slots are one mention of this type, over the
    mass of all valid taggings.

    Args:
        log_probs: ``[batch, slots, symbols]``; padded slots must be certain to be O.
    """

    def __init__(self, log_probs: torch.Tensor) -> None:
        table = log_probs.double().clamp(min=IMPOSSIBLE)
        self._markers = table[..., FIRST_MARKER:]
        outside, inside = table[..., OUTSIDE], table[..., INSIDE]
        begins = self._markers.logsumexp(-1)
        batch, slots = outside.shape
        zero, never = table.new_zeros(batch), table.new_full((batch,), IMPOSSIBLE)
        # forward[i]: mass of everything before slot i. ``open``: that ends inside a mention.
        open_, shut = never, zero
        forward = [zero]
        for i in range(slots):
            total = torch.logaddexp(open_, shut)
            open_, shut = torch.logaddexp(total + begins[:, i], open_ + inside[:, i]), total + outside[:, i]
            forward.append(torch.logaddexp(open_, shut))
        # closed[i]: mass of everything from slot i on, given that slot i is not I, which is what must
        # follow a finished mention.
        after_open, after_shut = zero, zero
        closed = [zero]
        for i in reversed(range(slots)):
            opening = torch.logaddexp(begins[:, i] + after_open, outside[:, i] + after_shut)
            after_open, after_shut = torch.logaddexp(opening, inside[:, i] + after_open), opening
            closed.append(after_shut)
        self._forward = torch.stack(forward, dim=1)
        self._closed = torch.stack(closed[::-1], dim=1)
        self._within = torch.cat([zero[:, None], inside.cumsum(1)], dim=1)

    def __call__(self, row: int, span: Span) -> float:
        """Return the probability of one span of one row."""
        mass = (
            self._forward[row, span.first]
            + self._markers[row, span.first, span.type]
            + self._within[row, span.last + 1]
            - self._within[row, span.first + 1]
            + self._closed[row, span.last + 1]
            - self._forward[row, -1]
        )
        return float(mass.exp().clamp(0, 1))
