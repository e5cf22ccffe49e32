"""Everything one batch needs to be denoised: network, canvas, config and what the canvas may hold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from .config import DecodingConfig
from .fitting import LONGEST_CONTEXT
from .grammar import Grammar
from .heads import source_candidates, tag_candidates
from .loop import denoise
from .network import Canvas, Denoiser, Prompt
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

    def room(self) -> list[int]:
        """Return how many slots a completion canvas behind each prompt can have."""
        context = context_of(self.denoiser.model)
        return [max(1, context - n) for n in self.denoiser.prompt.ends().tolist()]


def context_of(model: Any) -> int:
    """Return how many positions a prompt and its canvas can take together."""
    return min(
        int(getattr(model.config, "max_position_embeddings", None) or LONGEST_CONTEXT), LONGEST_CONTEXT
    )


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
