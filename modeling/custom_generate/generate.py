"""Generation by masked diffusion: the function that ``custom_generate`` runs.

model.generate(**inputs, custom_generate="diffusion-ner/diffusion-ner-zero", trust_remote_code=True)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from transformers.utils import ModelOutput

from .grammar import Grammar
from .heads import source_candidates, tag_candidates
from .loop import DenoisingStep, LoopSettings, denoise
from .network import Canvas, Denoiser, Prompt, position_ids
from .projection import FreeProjection, GroundedProjection, TagProjection
from .settings import CANVASES, DiffusionSettings

DECODINGS = ("plain", "grounded")
# What transformers' generate hands on to every custom function, whether the user gave it or not.
_INERT = ("synced_gpus", "use_model_defaults")


@dataclass
class DiffusionOutput(ModelOutput):
    """The result of ``generate`` with ``return_dict_in_generate=True``.

    Args:
        sequences: prompt and canvas, ``[batch, prompt + slots]``.
        confidence: the probability each canvas symbol had when it was revealed, ``[batch, slots]``.
        history: with ``output_history``, the sequences after each step, ``[steps, batch, prompt + slots]``.
        choice: symbol numbers of the canvas (aligned: 0 = O, 1 = I, 2 + k = type k), ``[batch, slots]``.
        log_probs: aligned canvas, each slot's distribution when it was revealed.
        states: grounded completion, the automaton states (``Grammar.automata[row].read``).
        forwards: how many times the network ran over the canvas.
    """

    sequences: torch.Tensor | None = None
    confidence: torch.Tensor | None = None
    history: torch.Tensor | None = None
    choice: torch.Tensor | None = None
    log_probs: torch.Tensor | None = None
    states: torch.Tensor | None = None
    forwards: int | None = None


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
    decoding: str = "plain",
    canvas: str = "completion",
    pad_penalty: float = 5.0,
    remasking: bool = False,
    temperature: float = 0.0,
    seed: int | None = None,
    generator: torch.Generator | None = None,
    grammar: Grammar | None = None,
    canvas_positions: torch.Tensor | None = None,
    canvas_mask: torch.Tensor | None = None,
    word_ids: torch.Tensor | None = None,
    type_counts: torch.Tensor | None = None,
    prompt_sources: torch.Tensor | None = None,
    prompt_markers: torch.Tensor | None = None,
    token_type_ids: torch.Tensor | None = None,
    outside_bias: float | None = None,
    use_cache: bool = True,
    output_history: bool = False,
    return_dict_in_generate: bool = False,
    **kwargs: Any,
) -> torch.Tensor | DiffusionOutput:
    """Denoise a canvas behind each prompt and return prompt and canvas.

    Args:
        inputs: prompt token ids ``[batch, length]``; the same as ``input_ids``.
        model: the network, with its diffusion settings in ``generation_config``.
        attention_mask: 1 = token, 0 = padding; unequal prompts may be padded on either side.
        max_new_tokens: slots of the completion canvas.
        steps: network forwards over the canvas.
        algorithm: ``maskgit_plus``, ``topk_margin`` or ``entropy``.
        schedule: ``uniform``, or ``dream`` for the official code's counts.
        decoding: ``plain``, or ``grounded`` (needs ``grammar``).
        canvas: ``completion``, or ``aligned`` (needs ``canvas_positions`` and ``type_counts``).
        pad_penalty: taken off the logit of padding at the first step, falling to 0 at the last.
        remasking: whether unsure slots are masked again.
        temperature: 0 takes the best symbol.
        seed, generator: of the sampling; give one of them at most.
        grammar: the valid completions of each prompt.
        canvas_positions, canvas_mask: position ids of the slots and which exist, ``[batch, slots]``;
            for the aligned canvas the position of each slot's word.
        word_ids: first token of each slot's word, ``[batch, slots]``.
        type_counts: how many types each prompt asks for, ``[batch]``.
        prompt_sources, prompt_markers, token_type_ids: of a pointer network's prompt, see ``Prompt``.
        outside_bias: added to the logit of O; default: what the checkpoint says.
        use_cache: whether an isolated prompt is encoded once (the result is the same).
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
    if decoding not in DECODINGS:
        raise ValueError(f"decoding must be one of {DECODINGS}, got {decoding!r}")
    if seed is not None and generator is not None:
        raise ValueError("give seed or generator, not both")
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
    settings = DiffusionSettings.of(model)
    loop = LoopSettings(
        steps=steps,
        algorithm=algorithm,
        schedule=schedule,
        pad_penalty=pad_penalty,
        remasking=remasking,
        temperature=temperature,
        outside_bias=settings.outside_bias if outside_bias is None else outside_bias,
    )
    mask = torch.ones_like(ids) if attention_mask is None else attention_mask
    prompt = Prompt(ids, mask, position_ids(mask), token_type_ids, prompt_sources, prompt_markers)
    shape = _shape(canvas, prompt, max_new_tokens, canvas_positions, canvas_mask, word_ids)
    task = make_task(model, settings, prompt, shape, loop, decoding, grammar, type_counts, use_cache)
    history = []
    last: DenoisingStep | None = None
    for last in task.steps(generator):
        if output_history:
            history.append(torch.cat([ids, last.ids], dim=1))
    assert last is not None  # steps >= 1
    sequences = torch.cat([ids, last.ids], dim=1)
    if output_history:  # rows that were done early keep their canvas: one entry a step, always
        history += [sequences] * (steps - len(history))
    if not return_dict_in_generate:
        return sequences
    return DiffusionOutput(
        sequences=sequences,
        confidence=last.confidence,
        history=torch.stack(history) if output_history else None,
        choice=last.choice,
        log_probs=last.log_probs,
        states=last.states,
        forwards=last.forwards,
    )


@dataclass(frozen=True)
class Task:
    """Everything one batch needs to be denoised."""

    denoiser: Denoiser
    loop: LoopSettings
    projection: FreeProjection | TagProjection | GroundedProjection
    candidates: torch.Tensor | None

    def steps(self, generator: torch.Generator | None = None) -> Iterator[DenoisingStep]:
        """Yield the canvas after each step."""
        return denoise(self.denoiser, self.loop, self.projection, self.candidates, generator)


def make_task(
    model: Any,
    settings: DiffusionSettings,
    prompt: Prompt,
    canvas: Canvas,
    loop: LoopSettings,
    decoding: str = "plain",
    grammar: Grammar | None = None,
    type_counts: torch.Tensor | None = None,
    use_cache: bool = True,
) -> Task:
    """Put network, canvas and projection together; see ``generate`` for the arguments.

    Raises:
        ValueError: the canvas needs ``type_counts``, or the decoding a ``grammar``, and it is missing.
    """
    projection: FreeProjection | TagProjection | GroundedProjection
    candidates: torch.Tensor | None
    if canvas.kind == "aligned":
        if type_counts is None:
            raise ValueError("the aligned canvas needs type_counts, the number of types each prompt asks for")
        candidates, projection = tag_candidates(settings, type_counts), TagProjection()
    elif decoding == "grounded":
        if grammar is None:
            raise ValueError(
                "decoding='grounded' needs a grammar; EntityExtractor makes it from text and types"
            )
        candidates, projection = grammar.candidates, GroundedProjection(grammar)
    else:
        candidates, projection = source_candidates(model, canvas, prompt), FreeProjection()
    return Task(Denoiser(model, settings, prompt, canvas, use_cache), loop, projection, candidates)


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
        start = prompt.mask.long().sum(1, keepdim=True)
        positions = start + torch.arange(max_new_tokens, device=prompt.ids.device)
    if mask is None:
        mask = torch.ones_like(positions, dtype=torch.bool)
    return Canvas(kind, positions, mask.bool(), word_ids)
