"""The aligned canvas: the most probable valid tagging, and the probability of each span in it.

Symbols are numbered O = 0, I = 1, and 2 + k for the marker of type k. A tagging is valid if no I follows
O or stands first. Only that rule ties slots together, so three states (O, I, any marker) carry the whole
dynamic programme, however many types are asked for.
"""

from dataclasses import dataclass

import torch

OUTSIDE, INSIDE, FIRST_MARKER = 0, 1, 2
NEVER = float("-inf")


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


def span_probabilities(log_probs: torch.Tensor, spans: list[Span]) -> list[float]:
    """Return the probability of each span under all valid taggings of one row (forward-backward, exact).

    It is the mass of the taggings in which exactly these slots are one mention of this type, over the
    mass of all valid taggings.

    Args:
        log_probs: ``[slots, symbols]``.
        spans: as ``spans_of`` gives them.
    """
    if not spans:
        return []
    table = log_probs.double()
    slots = len(table)
    outside, inside = table[:, OUTSIDE], table[:, INSIDE]
    begins = table[:, FIRST_MARKER:].logsumexp(-1)
    never = table.new_full((), NEVER)
    # forward[i]: mass of everything before slot i; closed[i]: of everything from slot i on, given that
    # slot i is not I, which is what must follow a finished mention.
    open_, shut = never, table.new_zeros(())
    forward = [shut]
    for i in range(slots):
        total = torch.logaddexp(open_, shut)
        open_, shut = torch.logaddexp(total + begins[i], open_ + inside[i]), total + outside[i]
        forward.append(torch.logaddexp(open_, shut))
    after_open, after_shut = table.new_zeros(()), table.new_zeros(())
    closed = [after_shut]
    for i in reversed(range(slots)):
        opening = torch.logaddexp(begins[i] + after_open, outside[i] + after_shut)
        after_open, after_shut = torch.logaddexp(opening, inside[i] + after_open), opening
        closed.append(after_shut)
    closed.reverse()
    within = torch.cat([table.new_zeros(1), inside.clamp(min=-1e30).cumsum(0)])
    mass = [
        forward[s.first]
        + table[s.first, FIRST_MARKER + s.type]
        + within[s.last + 1]
        - within[s.first + 1]
        + closed[s.last + 1]
        - forward[slots]
        for s in spans
    ]
    return torch.stack(mass).exp().clamp(0, 1).tolist()
