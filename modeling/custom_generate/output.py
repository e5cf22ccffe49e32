"""What generate returns, collected over steps and over canvases that were written again."""

from dataclasses import dataclass

import torch
from transformers.utils import ModelOutput

from .state import DenoisingStep


@dataclass
class DiffusionOutput(ModelOutput):
    """The result of ``generate`` with ``return_dict_in_generate=True``.

    ``batch`` is prompts x ``num_return_sequences``, ``slots`` the longest canvas; what a shorter one lacks is
    padding in ``sequences`` and 0 elsewhere.

    Args:
        sequences: prompt and canvas, ``[batch, prompt + slots]``.
        confidence: the probability each canvas symbol had when it was revealed, ``[batch, slots]``.
        history: with ``output_history``, the sequences after each step, ``[steps, batch, prompt + slots]``.
        choice: symbol numbers of the canvas (aligned: 0 = O, 1 = I, 2 + k = type k), ``[batch, slots]``.
        log_probs: aligned canvas, each slot's distribution when it was revealed.
        states: grounded completion, the automaton states (``Grammar.automata[row].read``).
        forwards: how many times the network ran over each row's canvas, ``[batch]``.
        truncated: whether a completion fills its canvas to the last slot, so that it may have been cut,
            bool ``[batch]``.
    """

    sequences: torch.Tensor | None = None
    confidence: torch.Tensor | None = None
    history: torch.Tensor | None = None
    choice: torch.Tensor | None = None
    log_probs: torch.Tensor | None = None
    states: torch.Tensor | None = None
    forwards: torch.Tensor | None = None
    truncated: torch.Tensor | None = None


class Collected:
    """The canvases of a whole batch while some of its rows are written, perhaps again on longer ones.

    Args:
        prompts: token ids ``[batch, length]``.
        pad_token_id: fills what a canvas lacks to the longest.
        keep_history: whether to keep the sequences after each step.
    """

    def __init__(self, prompts: torch.Tensor, pad_token_id: int, keep_history: bool) -> None:
        self._prompts = prompts
        self._pad = pad_token_id
        self._history: list[torch.Tensor] | None = [] if keep_history else None
        self._values: dict[str, torch.Tensor] = {}
        self._rerun = torch.zeros(len(prompts), dtype=torch.long, device=prompts.device)

    @property
    def begun(self) -> bool:
        """Whether there has been a step."""
        return bool(self._values)

    @property
    def sequences(self) -> torch.Tensor:
        """Prompts and canvases as they stand, ``[batch, prompt + slots]``."""
        return torch.cat([self._prompts, self.canvas()], dim=1)

    def canvas(self) -> torch.Tensor:
        """Return the canvases as they stand, ``[batch, slots]``."""
        return self._values["ids"]

    def add(self, rows: torch.Tensor, step: DenoisingStep, draft: torch.Tensor) -> torch.Tensor:
        """Take over a step of some rows, and return the draft of the whole batch, ``[batch, slots]``.

        Args:
            rows: which of the batch's rows the step is of, ``[rows]``.
            step: the step.
            draft: token ids of the whole canvases as the network would finish them, ``[rows, slots]``.
        """
        if step.number == 0 and self.begun:  # what these rows took before still counts
            self._rerun = self._values["forwards"].clone()
        for name in ("ids", "confidence", "choice", "states", "log_probs"):
            values = getattr(step, name)
            if values is not None:
                self._put(name, rows, values, self._pad if name == "ids" else 0)
        self._put("draft", rows, draft, self._pad)
        self._put("forwards", rows, self._rerun[rows] + step.forwards, 0)
        if self._history is not None:
            self._history.append(self.sequences)
        return self._values["draft"]

    def output(self, truncated: torch.Tensor, steps: int) -> DiffusionOutput:
        """Return everything; the history has ``steps`` entries at least, whether or not all were needed."""
        values, history = self._values, None
        if self._history is not None:
            width = self.sequences.shape[1]
            entries = [*self._history, *[self.sequences] * (steps - len(self._history))]
            history = torch.stack([_widened(entry, width, self._pad) for entry in entries])
        return DiffusionOutput(
            sequences=self.sequences,
            confidence=values["confidence"],
            history=history,
            choice=values["choice"],
            log_probs=values.get("log_probs"),
            states=values.get("states"),
            forwards=values["forwards"],
            truncated=truncated,
        )

    def _put(self, name: str, rows: torch.Tensor, values: torch.Tensor, fill: int) -> None:
        """Set rows of a tensor, which becomes as wide as its widest row."""
        whole = self._values.get(name)
        if whole is None:
            self._values[name] = values
            return
        if values.dim() == 1:
            self._values[name] = whole.index_copy(0, rows, values)
            return
        width = max(whole.shape[1], values.shape[1])
        whole = _widened(whole, width, fill)
        whole = whole.clone() if whole is self._values[name] else whole
        whole[rows] = _widened(values, width, fill)
        self._values[name] = whole


def _widened(values: torch.Tensor, width: int, fill: int) -> torch.Tensor:
    """Return ``[rows, width, ...]``, filled up at the end."""
    missing = width - values.shape[1]
    if missing == 0:
        return values
    tail = values.new_full((len(values), missing, *values.shape[2:]), fill)
    return torch.cat([values, tail], dim=1)
