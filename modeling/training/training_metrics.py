"""What a log tells besides the loss: masks against the schedule, loss by mask rate, the share of padding."""

from collections.abc import Callable

import torch

from .loss import LossOutput

BUCKETS = 5  # of the mask rate 1 - alpha(t), equally wide
KINDS = ("completion", "aligned")
# Columns of the table of one kind of canvas, a row for each bucket.
SLOTS, EXPECTED, MASKED, NLL, LOSS, COLUMNS = 0, 1, 2, 3, 4, 5
# Sums over all rows.
TOKENS, PADDING, PROMPT_MASKED, SUMS = 0, 1, 2, 3


class Figures:
    """Sums over the batches since the last :meth:`collect`, kept on the device.

    Args:
        device: of the batches.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._reset()

    def _reset(self) -> None:
        size = (len(KINDS), BUCKETS, COLUMNS)
        self._tables = torch.zeros(size, dtype=torch.float64, device=self.device)
        self._sums = torch.zeros(SUMS, dtype=torch.float64, device=self.device)

    @torch.no_grad()
    def add(
        self, output: LossOutput, tokens: torch.Tensor, prompt_masked: torch.Tensor, counted: torch.Tensor
    ) -> None:
        """Take note of one batch.

        Args:
            output: of the loss.
            tokens: how many slots the loss of each row is divided by, ``[batch]``.
            prompt_masked: how many tokens of each row's prompt are masked, ``[batch]``; right is none.
            counted: which rows count, bool ``[batch]``.
        """
        for rows in output.rows:
            # A row has one entry for each mask; those of a pair cost twice the slots.
            bucket = (rows.rate * BUCKETS).long().clamp(0, BUCKETS - 1)[counted]
            expected = rows.slots * rows.rate
            values = torch.stack([rows.slots, expected, rows.masked, rows.nll, rows.loss], dim=1)
            self._tables[KINDS.index(rows.kind)].index_add_(0, bucket, values[counted].double())
            if rows.kind == "completion":
                share = output.parts["completion_pad_share"]
                self._sums[PADDING] += rows.loss[counted].double().sum() * share
        self._sums[TOKENS] += tokens[counted].sum()
        self._sums[PROMPT_MASKED] += prompt_masked[counted].sum()

    def collect(self, reduce: Callable[[torch.Tensor], torch.Tensor], by_rate: bool) -> dict[str, float]:
        """Return the figures and begin anew; empty if there was no batch.

        Args:
            reduce: sums a tensor over the processes; all of them must call this.
            by_rate: whether to give figures for each bucket of the mask rate too.

        Returns:
            ``loss`` (a token), ``prompt_masked`` (tokens, 0 if all is right), ``completion_pad_share`` of the
            completion's loss; by kind of canvas ``{kind}_loss`` (a slot), ``{kind}_nll`` (a masked slot),
            ``{kind}_masked`` (share of slots masked), ``{kind}_expected`` (1 - alpha(t), the share that the
            schedule asks for); and the last three by mask rate, ``{kind}_nll_00_20`` for 0 to 20%.
        """
        flat = reduce(torch.cat([self._sums, self._tables.flatten()])).tolist()
        self._reset()
        if not flat[TOKENS]:
            return {}
        tables = torch.tensor(flat[SUMS:], dtype=torch.float64).view(len(KINDS), BUCKETS, COLUMNS)
        figures = {
            "loss": float(tables[:, :, LOSS].sum()) / flat[TOKENS],
            "prompt_masked": flat[PROMPT_MASKED],
        }
        if tables[0, :, LOSS].sum() > 0:
            figures["completion_pad_share"] = flat[PADDING] / float(tables[0, :, LOSS].sum())
        for kind, table in zip(KINDS, tables, strict=True):
            whole = table.sum(0)
            if whole[SLOTS]:
                figures[f"{kind}_loss"] = float(whole[LOSS] / whole[SLOTS])
                figures |= _shares(kind, whole)
            for bucket, row in enumerate(table if by_rate else ()):
                low, high = 100 * bucket // BUCKETS, 100 * (bucket + 1) // BUCKETS
                figures |= _shares(kind, row, f"_{low:02}_{high}")
        return figures


def _shares(kind: str, row: torch.Tensor, suffix: str = "") -> dict[str, float]:
    figures = {}
    if row[MASKED]:
        figures[f"{kind}_nll{suffix}"] = float(row[NLL] / row[MASKED])
    if row[SLOTS]:
        figures[f"{kind}_masked{suffix}"] = float(row[MASKED] / row[SLOTS])
        figures[f"{kind}_expected{suffix}"] = float(row[EXPECTED] / row[SLOTS])
    return figures
