"""The one driver of the denoising loop: which rows run together, and which canvases are written again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from .fitting import Growth, is_filled
from .row_noise import RowNoise
from .state import DenoisingStep
from .task import Task


@dataclass
class Round:
    """The canvases of some rows after one step.

    Args:
        rows: which rows they are.
        step: their canvases. Step 0 of rows that have been seen before begins a longer canvas.
        truncated: after the last step, the rows whose answers fill the longest canvas that they can have.
        task: what the rows are denoised with.
    """

    rows: list[int]
    step: DenoisingStep
    truncated: list[int]
    task: Task

    @property
    def tokens(self) -> torch.Tensor:
        """Token ids of the whole canvases as the network would finish them now, ``[rows, slots]``."""
        return self.task.tokens(self.step)


def rounds(
    task: Task,
    *,
    prompts: Sequence[int] | None = None,
    most: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    batch_size: int | None = None,
) -> Iterator[Round]:
    """Denoise a canvas for each row, and a longer one where a completion fills its canvas.

    A completion that reaches the last slot of its canvas is written again from the start on a canvas of twice
    the slots, until it fits or its canvas has all the slots it can have.

    Args:
        task: the prompts, each encoded once, with their first canvases.
        prompts: which of the task's prompts each row denoises; default: one row for each prompt.
        most: the most slots that each row's canvas can have; default: those of its first one.
        seeds: of each row's noise (see ``row_noise.row_seed``); needed with a temperature.
        batch_size: how many rows run together at most; default: all. It changes no answer.

    Raises:
        ValueError: there is a temperature and there are no seeds.
    """
    first = task.denoiser.canvas.mask.sum(1).tolist()
    chosen = list(range(len(first))) if prompts is None else list(prompts)
    limits = [first[prompt] for prompt in chosen] if most is None else list(most)
    size = batch_size or max(1, len(chosen))
    for start in range(0, len(chosen), size):
        batch = range(start, min(start + size, len(chosen)))
        growth = Growth([first[chosen[row]] for row in batch], [limits[row] for row in batch])
        begun = False
        while growth.rows:
            rows = [start + row for row in growth.rows]
            used = [chosen[row] for row in rows]
            index = torch.tensor(used, device=task.denoiser.prompt.ids.device)
            if begun:
                own = task.rewritten(index, growth.slots)
            else:  # the prompts themselves, unless some are left out or come several times
                own = task if used == list(range(len(first))) else task.select(index)
            noise = None if seeds is None else RowNoise([seeds[row] for row in rows])
            for step in own.steps(noise):
                truncated: list[int] = []
                if step.last:
                    filled = is_filled(step.ids, step.slots, task.denoiser.settings.pad_token_id)
                    filled = filled & (task.config.canvas == "completion")
                    full = growth.update(filled.tolist(), step.slots.tolist())
                    truncated = [start + row for row in full]
                yield Round(rows, step, truncated, own)
            begun = True
