"""Everything one batch needs to be denoised, and the one driver of the loop.

The driver says which rows run together, and which canvases are written again because they were too short.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from .config import DecodingConfig
from .grammar import Grammar
from .heads import source_candidates, tag_candidates
from .loop import denoise
from .network import Canvas, Denoiser, Prompt, context_of
from .projection import FreeProjection, GroundedProjection, Projection, TagProjection
from .row_noise import RowNoise
from .settings import DiffusionSettings
from .state import DenoisingStep
from .unmasking import Rules


@dataclass(frozen=True)
class Task:
    """Everything one batch needs to be denoised.

    ``candidates`` are the token ids that symbol numbers stand for, ``[batch, symbols]``; None: all.
    """

    denoiser: Denoiser
    config: DecodingConfig
    rules: Rules
    projection: Projection
    candidates: torch.Tensor | None

    def steps(self, noise: RowNoise | None = None) -> Iterator[DenoisingStep]:
        """Yield the canvas after each step; sampling needs the rows' noise."""
        return denoise(self.denoiser, self.config, self.rules, self.projection, self.candidates, noise)

    def tokens(self, step: DenoisingStep) -> torch.Tensor:
        """Return the token ids of the whole canvas as the network would finish it now, ``[batch, slots]``."""
        mask_id = self.denoiser.settings.mask_token_id
        likely = step.choice if self.candidates is None else self.candidates.gather(1, step.choice)
        return torch.where(step.ids == mask_id, likely, step.ids)

    def select(self, rows: torch.Tensor) -> "Task":
        """Return the task for some rows, an index ``[rows]``; one may come several times."""
        return Task(
            self.denoiser.select(rows),
            self.config,
            self.rules,
            self.projection.select(rows),
            None if self.candidates is None else self.candidates[rows],
        )

    def rewritten(self, rows: torch.Tensor, slots: Sequence[int]) -> "Task":
        """Return the task for some rows on blank completion canvases of these lengths, not to be fitted."""
        chosen = self.select(rows)
        prompt = chosen.denoiser.prompt
        lengths = torch.tensor(slots, device=rows.device)[:, None]
        place = torch.arange(max(slots), device=rows.device)
        positions = prompt.ends()[:, None] + place
        mask = place < lengths
        # What does not exist stands at position 0, which every network has.
        canvas = Canvas("completion", positions.where(mask, 0), mask)
        chosen.denoiser.canvas = canvas
        return replace(chosen, config=replace(self.config, fit_canvas=False))

    def longest_canvases(self) -> list[int]:
        """Return the most slots that a completion canvas behind each prompt can have."""
        context = context_of(self.denoiser.model)
        return [max(1, context - n) for n in self.denoiser.prompt.ends().tolist()]


def make_task(
    model: Any,
    settings: DiffusionSettings,
    prompt: Prompt,
    canvas: Canvas,
    config: DecodingConfig,
    grammar: Grammar | None = None,
    type_counts: torch.Tensor | None = None,
) -> Task:
    """Put network, canvas and projection together; see ``generate`` for the arguments.

    Raises:
        ValueError: the canvas needs ``type_counts``, or the decoding a ``grammar``, and it is missing.
    """
    projection: Projection
    candidates: torch.Tensor | None
    if config.mode == "aligned":
        if type_counts is None:
            raise ValueError("the aligned canvas needs type_counts, the number of types each prompt asks for")
        candidates, projection = tag_candidates(settings, type_counts), TagProjection()
    elif config.mode == "grounded":
        if grammar is None:
            raise ValueError(
                "decoding='grounded' needs a grammar; EntityExtractor makes it from text and types"
            )
        candidates, projection = grammar.candidates, GroundedProjection(grammar)
    else:
        candidates, projection = source_candidates(model, canvas, prompt), FreeProjection()
    denoiser = Denoiser(model, settings, prompt, canvas, config.use_cache)
    return Task(denoiser, config, Rules.of(config), projection, candidates)


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


class Growth:
    """Which canvases are to be written, and those that prove too short again with twice the slots.

    ``rows`` and ``slots`` are what the next try writes: rows of the batch, and the slots of each.

    Args:
        first: slots of each row's first canvas.
        most: the most slots that a row can have.
    """

    def __init__(self, first: Sequence[int], most: Sequence[int]) -> None:
        self.most = list(most)
        self.rows = list(range(len(first)))
        self.slots = [min(own, limit) for own, limit in zip(first, most, strict=True)]

    def update(self, filled: Sequence[bool], used: Sequence[int]) -> list[int]:
        """Plan the next try, and return the rows that fill the longest canvas they can have.

        Args:
            filled: of each of ``rows``, whether its answer reaches the last slot.
            used: of each, how many slots its canvas had in the end.
        """
        full = [(row, n) for row, cut, n in zip(self.rows, filled, used, strict=True) if cut]
        longer = [(row, min(2 * n, self.most[row])) for row, n in full if n < self.most[row]]
        self.rows, self.slots = [row for row, _ in longer], [n for _, n in longer]
        return [row for row, n in full if n >= self.most[row]]


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


def is_filled(ids: torch.Tensor, slots: torch.Tensor, pad_token_id: int) -> torch.Tensor:
    """Return which answers reach the last slot of their canvas, bool ``[batch]``: they may be cut there.

    Args:
        ids: token ids of finished canvases, ``[batch, slots]``.
        slots: how many slots each canvas has, ``[batch]``; one of none is not filled.
    """
    last = ids.gather(1, (slots[:, None] - 1).clamp(min=0))[:, 0]
    return (last != pad_token_id) & (slots > 0)
