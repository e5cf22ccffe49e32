"""Generation by masked diffusion: the function that ``custom_generate`` runs.

model.generate(**inputs, custom_generate="diffusion-ner/diffusion-ner-zero", trust_remote_code=True)
"""

from dataclasses import fields
from typing import Any

import torch
from transformers.generation.streamers import BaseStreamer

from .config import GROUNDED, PLAIN, DecodingConfig
from .grammar import Grammar
from .network import Canvas, Prompt, position_ids
from .output import Collected, DiffusionOutput
from .rounds import make_task, rounds
from .row_noise import row_seed
from .settings import DiffusionSettings

DEFAULT_NEW_TOKENS = 128
# What transformers' generate hands on to every custom function, whether the user gave it or not.
_INERT = ("synced_gpus", "use_model_defaults")


@torch.no_grad()
def generate(
    inputs: torch.Tensor | None = None,
    *,
    model: Any,
    input_ids: torch.Tensor | None = None,
    attention_mask: torch.Tensor | None = None,
    max_new_tokens: int | None = None,
    canvas: str = "completion",
    decoding: str | None = None,
    generator: torch.Generator | None = None,
    num_return_sequences: int = 1,
    grammar: Grammar | None = None,
    canvas_positions: torch.Tensor | None = None,
    canvas_mask: torch.Tensor | None = None,
    word_ids: torch.Tensor | None = None,
    type_counts: torch.Tensor | None = None,
    prompt_sources: torch.Tensor | None = None,
    prompt_markers: torch.Tensor | None = None,
    prompt_positions: torch.Tensor | None = None,
    prompt_blocks: torch.Tensor | None = None,
    token_type_ids: torch.Tensor | None = None,
    streamer: BaseStreamer | None = None,
    output_history: bool = False,
    return_dict_in_generate: bool = False,
    **options: Any,
) -> torch.Tensor | DiffusionOutput:
    """Denoise a canvas behind each prompt and return prompt and canvas.

    Args:
        inputs: prompt token ids ``[batch, length]``; the same as ``input_ids``.
        model: the network, with its diffusion settings in ``generation_config``.
        attention_mask: 1 = token, 0 = padding; unequal prompts may be padded on either side.
        max_new_tokens: slots of the completion canvas, default 128; with ``fit_canvas``, of the first one.
        canvas: ``completion``, or ``aligned`` (needs ``canvas_positions`` and ``type_counts``).
        decoding: of the completion canvas: ``grounded`` (needs ``grammar``) or ``plain``; default: grounded
            with a grammar, plain without.
        generator: of the sampling, in place of ``seed``. Each prompt draws from a stream of its own, made of
            the seed and its tokens: whatever the batch, one seed gives it one answer.
        num_return_sequences: how many canvases each prompt gets; they stand together, as in transformers.
        grammar: the valid completions of each prompt.
        canvas_positions, canvas_mask: position ids of the slots and which exist, ``[batch, slots]``;
            for the aligned canvas the position of each slot's word.
        word_ids: first token of each slot's word, ``[batch, slots]``.
        type_counts: how many types each prompt asks for, ``[batch]``.
        prompt_sources, prompt_markers, token_type_ids: of a pointer network's prompt, see ``Prompt``.
        prompt_positions, prompt_blocks: position ids and type blocks of the prompt, both ``[batch, length]``,
            needed together where the checkpoint's ``type_attention`` is not ``"joint"``; see ``Prompt``.
        streamer: receives the prompt, after each step the draft of the canvas (``put_draft``, if it has
            that), and in the end the canvas.
        output_history: whether to return the sequences after every step.
        return_dict_in_generate: whether to return a DiffusionOutput.
        options: ``steps``, ``algorithm``, ``schedule``, ``adaptive``, ``confidence_threshold``,
            ``entropy_bound``, ``fit_canvas``, ``compact``, ``pad_penalty``, ``remasking``, ``temperature``,
            ``seed``, ``outside_bias`` and ``use_cache``: see ``config.DecodingConfig``. A completion canvas
            that ``fit_canvas`` cut is written again with twice the slots if it is filled to the last one, as
            far as the network's positions reach. ``schedule="dream"`` is the official code's loop.

    Raises:
        ValueError: an argument is out of range, missing, of no use with the others, or not supported by
            masked diffusion.
    """
    options = {name: value for name, value in options.items() if value is not None}
    options.pop("generation_config", None)  # its diffusion settings are read from the model
    unknown = sorted(set(options) - {f.name for f in fields(DecodingConfig)} - set(_INERT))
    if unknown:
        raise ValueError(f"masked diffusion does not use {', '.join(unknown)}; leave it out")
    ids = inputs if inputs is not None else input_ids
    if ids is None or ids.ndim != 2:
        raise ValueError("give the prompt as input_ids of shape [batch, length]")
    chosen = {name: value for name, value in options.items() if name not in _INERT}
    if canvas == "completion":
        decoding = decoding or (PLAIN if grammar is None else GROUNDED)
        if canvas_positions is not None and chosen.setdefault("fit_canvas", False):
            raise ValueError(
                "fit_canvas is for a completion canvas of max_new_tokens slots, not for given positions"
            )
    config = DecodingConfig(canvas, decoding, **chosen)  # type: ignore[arg-type]
    _check_use(config, max_new_tokens, canvas_positions, grammar, word_ids, type_counts)
    if generator is not None:
        if config.seed is not None:
            raise ValueError("give seed or generator, not both")
        if config.temperature == 0:
            raise ValueError(
                "generator needs a temperature above 0: only sampling draws numbers; leave it out"
            )
    if isinstance(num_return_sequences, bool) or num_return_sequences < 1:
        raise ValueError(f"num_return_sequences must be at least 1, got {num_return_sequences!r}")
    if getattr(streamer, "_takes_logits", False):
        raise ValueError("this streamer takes logits as drafts; masked diffusion sends it token ids")
    settings = DiffusionSettings.of(model)
    mask = torch.ones_like(ids) if attention_mask is None else attention_mask
    if settings.type_blocks != (prompt_blocks is not None and prompt_positions is not None):
        raise ValueError(
            f"type_attention is {settings.type_attention!r} in this checkpoint: prompt_blocks and "
            f"prompt_positions {'are needed' if settings.type_blocks else 'have no use: leave them out'} "
            "(EntityExtractor makes them from text and types)"
        )
    positions = position_ids(mask) if prompt_positions is None else prompt_positions
    prompt = Prompt(ids, mask, positions, token_type_ids, prompt_sources, prompt_markers, prompt_blocks)
    slots = DEFAULT_NEW_TOKENS if max_new_tokens is None else max_new_tokens
    shape = _shape(canvas, prompt, slots, canvas_positions, canvas_mask, word_ids)
    task = make_task(model, settings, prompt, shape, config, grammar, type_counts)

    # The prompts have run once and are shared by their rows.
    rows = [row for row in range(len(ids)) for _ in range(num_return_sequences)]
    seeds = None
    if config.temperature > 0:
        seeds = _seeds(prompt, num_return_sequences, config.seed, generator)
    longest = task.longest_canvases()
    every = ids[rows]
    collected = Collected(every, settings.pad_token_id, output_history)
    if streamer is not None:
        streamer.put(every.cpu())
    truncated = torch.zeros(len(rows), dtype=torch.bool, device=ids.device)
    most = [longest[row] for row in rows] if config.fit_canvas else None
    for one in rounds(task, prompts=rows, most=most, seeds=seeds):
        draft = collected.add(torch.tensor(one.rows, device=ids.device), one.step, one.tokens)
        truncated[one.truncated] = True
        if streamer is not None and hasattr(streamer, "put_draft"):
            streamer.put_draft(value=draft.cpu())
    if streamer is not None:
        streamer.put(collected.canvas().cpu())
        streamer.end()
    if not return_dict_in_generate:
        return collected.sequences
    return collected.output(truncated, config.steps)


def _check_use(
    config: DecodingConfig,
    max_new_tokens: int | None,
    canvas_positions: torch.Tensor | None,
    grammar: Grammar | None,
    word_ids: torch.Tensor | None,
    type_counts: torch.Tensor | None,
) -> None:
    """Refuse arguments that this decoding does not use."""
    aligned = config.canvas == "aligned"
    reasons = {
        "grammar": (grammar, config.mode == GROUNDED, "decoding='grounded'"),
        "word_ids": (word_ids, aligned, "canvas='aligned'"),
        "type_counts": (type_counts, aligned, "canvas='aligned'"),
        "max_new_tokens": (
            max_new_tokens,
            canvas_positions is None,
            "a completion canvas without canvas_positions, which say how many slots there are",
        ),
    }
    for name, (value, used, needed) in reasons.items():
        if value is not None and not used:
            raise ValueError(f"{name} needs {needed}; leave {name} out")


def _seeds(prompt: Prompt, runs: int, seed: int | None, generator: torch.Generator | None) -> list[int]:
    """Return the seed of each row's stream."""
    if seed is None:  # from the given generator, or from torch's own
        device = "cpu" if generator is None else generator.device
        seed = int(torch.randint(2**62, (), generator=generator, device=device))
    tokens = [row[kept.bool()].tolist() for row, kept in zip(prompt.ids, prompt.mask, strict=True)]
    return [row_seed(seed, own, run) for own in tokens for run in range(runs)]


def _shape(
    kind: str,
    prompt: Prompt,
    max_new_tokens: int,
    positions: torch.Tensor | None,
    mask: torch.Tensor | None,
    word_ids: torch.Tensor | None,
) -> Canvas:
    """Return the canvas: given, or ``max_new_tokens`` slots that continue each prompt."""
    if positions is None:
        if kind == "aligned":
            raise ValueError("the aligned canvas needs canvas_positions, the position of each slot's word")
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
        positions = prompt.ends()[:, None] + torch.arange(max_new_tokens, device=prompt.ids.device)
    if mask is None:
        mask = torch.ones_like(positions, dtype=torch.bool)
    return Canvas(kind, positions, mask.bool(), word_ids)
