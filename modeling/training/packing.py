"""Several canvases of one prompt through the network, whatever the prompt may see."""

from typing import Any

import torch

from ..custom_generate.network import Canvas, Prompt, forward_joint


def forward_canvases(
    model: Any, prompt: Prompt, canvases: list[Canvas], canvas_ids: list[torch.Tensor], attention: str
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

    Returns:
        For each canvas the hidden states of the prompt ``[batch, length, hidden]`` and of the canvas
        ``[batch, slots, hidden]``, not shifted; 0 at padding.
    """
    if attention == "isolated":
        prompt_hidden, hiddens = forward_joint(model, prompt, canvases, canvas_ids, attention)
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
