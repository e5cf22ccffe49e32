"""A training batch: prompts and the canvases to denoise behind them."""

from dataclasses import dataclass

import torch

from ..custom_generate.network import Canvas, Prompt


@dataclass(frozen=True)
class CanvasTargets:
    """One canvas of a training batch.

    ``ids`` are its clean symbols, int ``[batch, slots]``; ``scored`` which slots the loss counts (bool, same
    shape; default all of the canvas).
    """

    canvas: Canvas
    ids: torch.Tensor
    scored: torch.Tensor | None = None

    def select(self, rows: torch.Tensor) -> "CanvasTargets":
        """Return the canvases of some rows."""
        scored = None if self.scored is None else self.scored[rows]
        return CanvasTargets(self.canvas.select(rows), self.ids[rows], scored)


@dataclass(frozen=True)
class TrainingBatch:
    """Prompts with one or two canvases each; ``type_counts`` ``[batch]`` is needed for an aligned canvas."""

    prompt: Prompt
    targets: list[CanvasTargets]
    type_counts: torch.Tensor | None = None

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> "TrainingBatch":
        """Rebuild the batch from the flat dictionary a collator makes (see ``training.collator``)."""
        prompt = Prompt(
            tensors["prompt_ids"],
            tensors["prompt_mask"],
            tensors["prompt_positions"],
            tensors.get("prompt_token_types"),
            tensors.get("prompt_sources"),
            tensors.get("prompt_markers"),
        )
        targets = [
            CanvasTargets(
                Canvas(
                    kind,
                    tensors[f"{kind}_positions"],
                    tensors[f"{kind}_mask"],
                    tensors.get(f"{kind}_word_ids"),
                ),
                tensors[f"{kind}_ids"],
                tensors.get(f"{kind}_scored"),
            )
            for kind in ("completion", "aligned")
            if f"{kind}_ids" in tensors
        ]
        return cls(prompt, targets, tensors.get("type_counts"))

    def select(self, rows: torch.Tensor) -> "TrainingBatch":
        """Return some rows, by their indices; a row may come several times."""
        counts = None if self.type_counts is None else self.type_counts[rows]
        return TrainingBatch(self.prompt.select(rows), [t.select(rows) for t in self.targets], counts)
