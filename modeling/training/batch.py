"""A training batch: prompts and the canvases to denoise behind them, and their way through the network."""

from dataclasses import dataclass
from typing import Any

import torch

from ..custom_generate.network import Canvas, Prompt, forward_joint


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
    """Prompts with one or two canvases each; ``type_counts`` ``[batch]`` is needed for an aligned canvas.

    ``longest`` is the most tokens that a row has, prompt and canvases together, if that is known.
    """

    prompt: Prompt
    targets: list[CanvasTargets]
    type_counts: torch.Tensor | None = None
    longest: int | None = None

    @classmethod
    def from_tensors(cls, tensors: dict[str, Any]) -> "TrainingBatch":
        """Rebuild the batch from the flat dictionary a collator makes (see ``training.collator``)."""
        prompt = Prompt(
            tensors["prompt_ids"],
            tensors["prompt_mask"],
            tensors["prompt_positions"],
            tensors.get("prompt_token_types"),
            tensors.get("prompt_sources"),
            tensors.get("prompt_markers"),
            tensors.get("prompt_blocks"),
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
        return cls(prompt, targets, tensors.get("type_counts"), tensors.get("longest"))

    def select(self, rows: torch.Tensor) -> "TrainingBatch":
        """Return some rows, by their indices; a row may come several times."""
        counts = None if self.type_counts is None else self.type_counts[rows]
        targets = [t.select(rows) for t in self.targets]
        return TrainingBatch(self.prompt.select(rows), targets, counts, self.longest)


def forward_canvases(
    model: Any,
    prompt: Prompt,
    canvases: list[Canvas],
    canvas_ids: list[torch.Tensor],
    attention: str,
    type_attention: str = "joint",
    longest: int | None = None,
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Run canvases that each see the prompt and themselves.

    An isolated prompt is the same for all of them, so they stand behind it in one sequence. A prompt that
    sees its canvas differs from canvas to canvas, so each canvas becomes a row with a copy of the prompt;
    canvases of one kind share a forward.

    Args:
        model: the network.
        prompt: a batch of prompts.
        canvases: of any kinds and widths, each with the same batch size.
        canvas_ids: their symbols, ``[batch, slots]`` each.
        attention: ``"full"`` or ``"isolated"``.
        type_attention, longest: of an isolated prompt, see ``forward_joint``.

    Returns:
        For each canvas the hidden states of the prompt ``[batch, length, hidden]`` and of the canvas
        ``[batch, slots, hidden]``, not shifted; 0 at padding.
    """
    if attention == "isolated":
        prompt_hidden, hiddens = forward_joint(
            model, prompt, canvases, canvas_ids, attention, type_attention, longest
        )
        return [(prompt_hidden, hidden) for hidden in hiddens]
    groups: dict[tuple[str, int], list[int]] = {}
    for number, canvas in enumerate(canvases):
        groups.setdefault((canvas.kind, canvas.mask.shape[1]), []).append(number)
    found: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    for numbers in groups.values():
        stacked = _stack([canvases[i] for i in numbers])
        ids = torch.cat([canvas_ids[i] for i in numbers])
        rows = torch.arange(len(prompt.ids), device=prompt.ids.device).repeat(len(numbers))
        copies = prompt if len(numbers) == 1 else prompt.select(rows)
        prompt_hidden, (hidden,) = forward_joint(model, copies, [stacked], [ids], attention)
        pairs = zip(prompt_hidden.chunk(len(numbers)), hidden.chunk(len(numbers)), strict=True)
        found.update(zip(numbers, pairs, strict=True))
    return [found[number] for number in range(len(canvases))]


def _stack(canvases: list[Canvas]) -> Canvas:
    """Return canvases of one kind and width as rows of one batch."""
    if len(canvases) == 1:
        return canvases[0]
    words = [canvas.word_ids for canvas in canvases if canvas.word_ids is not None]
    return Canvas(
        canvases[0].kind,
        torch.cat([canvas.positions for canvas in canvases]),
        torch.cat([canvas.mask for canvas in canvases]),
        torch.cat(words) if words else None,
    )
