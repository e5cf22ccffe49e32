"""The aligned canvas: the most probable valid tagging, and the probability of each span in it.

Symbols are numbered O = 0, I = 1, and 2 + k for the marker of type k. A tagging is valid if no I follows
O or stands first. Only that rule ties slots together, so three states (O, I, any marker) carry the whole
dynamic programme, however many types are asked for.
"""

from collections.abc import Callable, Sequence
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
    if not slots:
        return torch.zeros(batch, 0, dtype=torch.long, device=log_probs.device)
    marker_score, marker = log_probs[..., FIRST_MARKER:].max(-1)
    # Scores of the states O, I, marker for every slot; from O (and from the start) no way leads to I.
    emit = torch.stack([log_probs[..., OUTSIDE], log_probs[..., INSIDE], marker_score], dim=-1)
    moves = emit[:, :, None].repeat(1, 1, 3, 1)
    moves[:, :, OUTSIDE, INSIDE] = NEVER
    moves[:, 0, :, INSIDE] = NEVER
    # score[b, i, s]: of the best tagging of the slots up to i that ends in the state s.
    score = _prefixes(moves, lambda pairs: pairs.amax(-2))[:, :, OUTSIDE]
    # Where each slot was before one that is I, and before any other.
    into_inside, into_other = score[..., 1:].argmax(-1) + 1, score.argmax(-1)
    state = into_other[:, -1]
    states = [state]
    for slot in range(slots - 2, -1, -1):
        state = torch.where(state == INSIDE, into_inside[:, slot], into_other[:, slot])
        states.append(state)
    path = torch.stack(states[::-1], dim=1)
    return torch.where(path == 2, marker + FIRST_MARKER, path)


def _prefixes(moves: torch.Tensor, reduce: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Return the products of the first 1, 2, ... matrices, ``[batch, slots, states, states]``.

    Products over log-weights, of which ``reduce`` takes the best or the sum along the second to last axis.
    They are associative, so that each round doubles how many are joined (Hillis and Steele 1986): a few large
    operations in place of a few small ones a slot.
    """
    reach = 1
    while reach < moves.shape[1]:
        joined = reduce(moves[:, :-reach, :, :, None] + moves[:, reach:, None])
        moves = torch.cat([moves[:, :reach], joined], dim=1)
        reach *= 2
    return moves


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
        zero = table.new_zeros(len(table), 1)
        # Two states tie slots together: outside of any mention, and inside one.
        moves = torch.stack([outside, begins, outside, torch.logaddexp(begins, inside)], dim=-1)
        moves = moves.unflatten(-1, (2, 2))
        # forward[i]: mass of everything before slot i, from the outside.
        total = _prefixes(moves, lambda pairs: pairs.logsumexp(-2))[:, :, 0].logsumexp(-1)
        self._forward = torch.cat([zero, total], dim=1)
        # closed[i]: mass of everything from slot i on, given that slot i is not I, which is what must
        # follow a finished mention: as if slot i - 1 were outside.
        backward = moves.flip(1).transpose(-1, -2)
        rest = _prefixes(backward, lambda pairs: pairs.logsumexp(-2)).logsumexp(-2)[..., 0]
        self._closed = torch.cat([rest.flip(1), zero], dim=1)
        self._within = torch.cat([zero, inside.cumsum(1)], dim=1)

    def __call__(self, row: int, span: Span) -> float:
        """Return the probability of one span of one row."""
        return self.of([row], [span])[0]

    def of(self, rows: Sequence[int], spans: Sequence[Span]) -> list[float]:
        """Return the probabilities of spans, each of its row."""
        if not spans:
            return []
        row = torch.tensor(rows)
        first, last, kind = torch.tensor([[s.first, s.last, s.type] for s in spans]).T
        mass = (
            self._forward[row, first]
            + self._markers[row, first, kind]
            + self._within[row, last + 1]
            - self._within[row, first + 1]
            + self._closed[row, last + 1]
            - self._forward[row, -1]
        )
        return mass.exp().clamp(0, 1).tolist()
