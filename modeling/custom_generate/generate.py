"""Generation by masked diffusion: the function that ``custom_generate`` runs.

model.generate(**inputs, custom_generate="diffusion-ner/diffusion-ner-zero", trust_remote_code=True)
"""

from typing import Any

import torch
from transformers.generation.streamers import BaseStreamer

from .fitting import Growth, is_filled
from .grammar import Grammar
from .loop_settings import LoopSettings
from .network import Canvas, Prompt, position_ids
from .output import Collected, DiffusionOutput
from .row_noise import RowNoise, row_seed
from .settings import CANVASES, DiffusionSettings
from .task import DECODINGS, make_task

# What transformers' generate hands on to every custom function, whether the user gave it or not.
_INERT = ("synced_gpus", "use_model_defaults")


@torch.no_grad()
def generate(
    inputs: torch.Tensor | None = None,
    *,
    model: Any,
    input_ids: torch.Tensor | None = None,
    attention_mask: torch.Tensor | None = None,
    max_new_tokens: int = 128,
    steps: int = 8,
    algorithm: str = "maskgit_plus",
    schedule: str = "uniform",
    adaptive: str | None = None,
    confidence_threshold: float = 0.9,
    entropy_bound: float = 0.1,
    decoding: str | None = None,
    canvas: str = "completion",
    fit_canvas: bool = False,
    compact: bool = True,
    pad_penalty: float = 5.0,
    remasking: bool = False,
    temperature: float = 0.0,
    seed: int | None = None,
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
    outside_bias: float | None = None,
    use_cache: bool | str = True,
    streamer: BaseStreamer | None = None,
    output_history: bool = False,
    return_dict_in_generate: bool = False,
    **kwargs: Any,
) -> torch.Tensor | DiffusionOutput:
    """Denoise a canvas behind each prompt and return prompt and canvas.

    Args:
        inputs: prompt token ids ``[batch, length]``; the same as ``input_ids``.
        model: the network, with its diffusion settings in ``generation_config``.
        attention_mask: 1 = token, 0 = padding; unequal prompts may be padded on either side.
        max_new_tokens: slots of the completion canvas; with ``fit_canvas``, of the first one.
        steps: network forwards over the canvas; with an adaptive rule, the most of them.
        algorithm: ``maskgit_plus``, ``topk_margin`` or ``entropy``.
        schedule: ``uniform``, or ``dream`` for the official code's counts.
        adaptive: None, ``threshold`` or ``entropy``: steps reveal as much as the network is sure of.
        confidence_threshold: of ``threshold``, in (0, 1].
        entropy_bound: of ``entropy``, in nats.
        decoding: of the completion canvas: ``plain``, the default, or ``grounded`` (needs ``grammar``). The
            aligned canvas knows only valid taggings.
        canvas: ``completion``, or ``aligned`` (needs ``canvas_positions`` and ``type_counts``).
        fit_canvas: whether the first step cuts a completion canvas to its answer, and one that is filled to
            the last slot is written again with twice the slots, as far as the network's positions reach.
        compact: whether rows that are done leave the batch (the result is the same).
        pad_penalty: taken off the logit of padding at the first step, falling to 0 at the last.
        remasking: whether unsure slots are masked again.
        temperature: 0 takes the best symbol.
        seed, generator: of the sampling; give one of them at most. Each prompt draws from a stream of its
            own, made of the seed and its tokens: whatever the batch, one seed gives it one answer.
        num_return_sequences: how many canvases each prompt gets; they stand together, as in transformers.
        grammar: the valid completions of each prompt.
        canvas_positions, canvas_mask: position ids of the slots and which exist, ``[batch, slots]``;
            for the aligned canvas the position of each slot's word.
        word_ids: first token of each slot's word, ``[batch, slots]``.
        type_counts: how many types each prompt asks for, ``[batch]``.
        prompt_sources, prompt_markers, token_type_ids: of a pointer network's prompt, see ``Prompt``.
        prompt_positions, prompt_blocks: position ids and type blocks of the prompt, both ``[batch, length]``,
            needed together where the checkpoint's ``type_attention`` is not ``"joint"``; see ``Prompt``.
        outside_bias: added to the logit of O; default: what the checkpoint says.
        use_cache: whether an isolated prompt is encoded once (the result is the same); ``"approximate"`` also
            keeps a prompt with full attention from the first step on (the result is not).
        streamer: receives the prompt, after each step the draft of the canvas (``put_draft``, if it has
            that), and in the end the canvas.
        output_history: whether to return the sequences after every step.
        return_dict_in_generate: whether to return a DiffusionOutput.

    Raises:
        ValueError: an argument is out of range, missing, or not supported by masked diffusion.
    """
    kwargs.pop("generation_config", None)  # its diffusion settings are read from the model
    unknown = sorted(k for k, v in kwargs.items() if v is not None and k not in _INERT)
    if unknown:
        raise ValueError(f"masked diffusion does not use {', '.join(unknown)}; leave it out")
    ids = inputs if inputs is not None else input_ids
    if ids is None or ids.ndim != 2:
        raise ValueError("give the prompt as input_ids of shape [batch, length]")
    if canvas not in CANVASES:
        raise ValueError(f"canvas must be one of {CANVASES}, got {canvas!r}")
    if decoding is not None and decoding not in DECODINGS:
        raise ValueError(f"decoding must be one of {DECODINGS}, got {decoding!r}")
    if fit_canvas and (canvas == "aligned" or canvas_positions is not None):
        raise ValueError(
            "fit_canvas is for a completion canvas of max_new_tokens slots, not for given positions"
        )
    if seed is not None and generator is not None:
        raise ValueError("give seed or generator, not both")
    if isinstance(num_return_sequences, bool) or num_return_sequences < 1:
        raise ValueError(f"num_return_sequences must be at least 1, got {num_return_sequences!r}")
    if getattr(streamer, "_takes_logits", False):
        raise ValueError("this streamer takes logits as drafts; masked diffusion sends it token ids")
    settings = DiffusionSettings.of(model)
    loop = LoopSettings(
        steps=steps,
        algorithm=algorithm,
        schedule=schedule,
        adaptive=adaptive,
        confidence_threshold=confidence_threshold,
        entropy_bound=entropy_bound,
        fit_canvas=fit_canvas,
        compact=compact,
        pad_penalty=pad_penalty,
        remasking=remasking,
        temperature=temperature,
        outside_bias=settings.outside_bias if outside_bias is None else outside_bias,
    )
    mask = torch.ones_like(ids) if attention_mask is None else attention_mask
    if settings.type_blocks != (prompt_blocks is not None and prompt_positions is not None):
        raise ValueError(
            f"type_attention is {settings.type_attention!r} in this checkpoint: prompt_blocks and "
            f"prompt_positions {'are needed' if settings.type_blocks else 'have no use: leave them out'} "
            "(EntityExtractor makes them from text and types)"
        )
    positions = position_ids(mask) if prompt_positions is None else prompt_positions
    prompt = Prompt(ids, mask, positions, token_type_ids, prompt_sources, prompt_markers, prompt_blocks)
    shape = _shape(canvas, prompt, max_new_tokens, canvas_positions, canvas_mask, word_ids)
    task = make_task(model, settings, prompt, shape, loop, decoding, grammar, type_counts, use_cache)
    every = torch.arange(len(ids), device=ids.device).repeat_interleave(num_return_sequences)
    if num_return_sequences > 1:  # the prompts have run once and are shared
        task = task.select(every)
    seeds = _seeds(prompt, num_return_sequences, seed, generator) if temperature > 0 else None
    collected = Collected(ids[every], settings.pad_token_id, output_history)
    if streamer is not None:
        streamer.put(ids[every].cpu())

    first = shape.mask.sum(1)[every].tolist()
    growth = Growth(first, task.room() if fit_canvas else first)
    truncated = torch.zeros(len(every), dtype=torch.bool, device=ids.device)
    while growth.rows:
        rows = torch.tensor(growth.rows, device=ids.device)
        own = task.rewritten(rows, growth.slots) if collected.begun else task
        noise = None if seeds is None else RowNoise([seeds[row] for row in growth.rows])
        for step in own.steps(noise):
            draft = collected.add(rows, step, own.tokens(step))
            if streamer is not None and hasattr(streamer, "put_draft"):
                streamer.put_draft(value=draft.cpu())
        filled = is_filled(step.ids, step.slots, settings.pad_token_id) & (canvas == "completion")
        truncated[growth.update(filled.tolist(), step.slots.tolist())] = True
    if streamer is not None:
        streamer.put(collected.canvas().cpu())
        streamer.end()
    if not return_dict_in_generate:
        return collected.sequences
    return collected.output(truncated, steps)


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
