"""The noise of sampling: one stream for each row, so that no answer depends on who else is in the batch."""

import hashlib
from collections.abc import Sequence

import torch


def row_seed(seed: int, prompt: Sequence[int], run: int) -> int:
    """Return the seed of one row's stream, in [0, 2^63).

    Args:
        seed: the call's.
        prompt: the prompt's token ids without padding: equal prompts draw alike in whatever batch or order.
        run: which of the runs over this prompt it is, from 0.
    """
    digest = hashlib.blake2b(digest_size=8)
    for number in (seed, run, *prompt):
        digest.update(int(number).to_bytes(16, "little", signed=True))
    return int.from_bytes(digest.digest(), "little") >> 1


class RowNoise:
    """A random stream for each row of a batch, drawn on the CPU so that one seed gives one answer everywhere.

    Args:
        seeds: one a row, see ``row_seed``.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self._streams = [torch.Generator().manual_seed(seed) for seed in seeds]

    def perturb(
        self,
        log_probs: torch.Tensor,
        temperature: float,
        rows: Sequence[int],
        open_: torch.Tensor,
        symbols: torch.Tensor,
    ) -> torch.Tensor:
        """Return log-probabilities with Gumbel noise, whose best symbol is a sample at this temperature.

        For a single slot that is exact sampling; under a Viterbi pass it is perturb-and-MAP (Papandreou and
        Yuille 2011). A row draws one number for each of its open slots and own symbols, however wide the
        batch is.

        Args:
            log_probs: ``[rows, slots, symbols]``.
            temperature: above 0.
            rows: which stream each row takes.
            open_: the slots that are still masked, bool ``[rows, slots]``; the others come back as they are.
            symbols: how many symbols each row has, the first ones, ``[rows]``.
        """
        scaled = log_probs / temperature
        for i, (row, count) in enumerate(zip(rows, symbols.tolist(), strict=True)):
            slots = open_[i].nonzero()[:, 0]
            # The negative logarithm of an exponential variable is a Gumbel variable.
            drawn = torch.empty(len(slots), count).exponential_(generator=self._streams[row])
            scaled[i, slots, :count] -= drawn.log().to(scaled.device)
        return torch.where(open_[..., None], scaled, log_probs)
