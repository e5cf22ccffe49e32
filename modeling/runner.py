"""Runs canvases for a batch of encoded prompts: tensors in, readings out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from modeling.collator import aligned_tensors, completion_tensors, prompt_tensors
from modeling.custom_generate.generate import make_task
from modeling.custom_generate.grammar import Automaton, Grammar
from modeling.custom_generate.loop import DenoisingStep, LoopSettings
from modeling.custom_generate.network import Canvas, Prompt
from modeling.custom_generate.settings import DiffusionSettings
from modeling.custom_generate.tagging import FIRST_MARKER, INSIDE, OUTSIDE
from modeling.encoding import EncodedPrompt, PromptEncoder
from modeling.reading import Reading, automaton_of, read_aligned, read_free, read_grounded, symbols_of

FIRST_CANVAS = 64  # slots of a completion canvas before it grows
LAST_CANVAS = 512


@dataclass(frozen=True)
class Options:
    """How one call decodes.

    Args:
        canvas: ``"aligned"`` or ``"completion"``.
        decoding: of the completion canvas, ``"grounded"`` or ``"plain"``.
        steps: denoising steps.
        threshold: the least score of an entity, in [0, 1].
        remasking, temperature, seed, pad_penalty, outside_bias, algorithm, use_cache: see
            ``custom_generate.generate``; ``outside_bias`` None is the checkpoint's own.
    """

    canvas: str
    decoding: str
    steps: int
    threshold: float = 0.0
    remasking: bool = False
    temperature: float = 0.0
    seed: int | None = None
    pad_penalty: float = 0.0
    outside_bias: float | None = None
    algorithm: str = "maskgit_plus"
    use_cache: bool = True


@dataclass
class CanvasRunner:
    """One network and its encoder."""

    model: Any
    settings: DiffusionSettings
    encoder: PromptEncoder

    def __post_init__(self) -> None:
        self._symbols = symbols_of(self.encoder)
        # Positions that the network has: a table's length, or how far it was trained.
        self.context = int(getattr(self.model.config, "max_position_embeddings", None) or LAST_CANVAS)

    def read(self, prompts: Sequence[EncodedPrompt], options: Options) -> list[Reading]:
        """Denoise a canvas for each prompt and read it.

        A completion that fills its canvas to the last slot is written again on one twice as long, as far as
        the network's positions reach: no answer is cut silently.
        """
        if options.canvas == "aligned":
            return self.interpret(prompts, options, self._last(prompts, options))
        readings: list[Reading | None] = [None] * len(prompts)
        rows, length = list(range(len(prompts))), FIRST_CANVAS
        while rows:
            chosen = [prompts[i] for i in rows]
            step = self._last(chosen, options, length)
            for i, reading in zip(rows, self.interpret(chosen, options, step), strict=True):
                readings[i] = reading
            rows = [i for i, cut in zip(rows, self._cut(chosen, step, length), strict=True) if cut]
            length *= 2
        return [reading for reading in readings if reading is not None]

    def stream(self, prompt: EncodedPrompt, options: Options) -> Iterator[DenoisingStep]:
        """Yield the canvas of one prompt after each step; a completion starts again as ``read`` says."""
        length = FIRST_CANVAS
        while True:
            for step in self.steps([prompt], options, length):
                yield step
            if options.canvas == "aligned" or not self._cut([prompt], step, length)[0]:
                return
            length *= 2

    def steps(
        self, prompts: Sequence[EncodedPrompt], options: Options, length: int = FIRST_CANVAS
    ) -> Iterator[DenoisingStep]:
        """Yield the canvases of the prompts after each step.

        Completion canvases have ``length`` slots, or as many as the network has positions left.
        """
        device = self.model.get_input_embeddings().weight.device
        tensors = prompt_tensors(prompts, self.settings.pad_token_id, left=True)
        tensors |= aligned_tensors(prompts)
        tensors |= completion_tensors(self._slots(prompts, length), [len(p) for p in prompts])
        for name in ("prompt_positions", "aligned_positions", "completion_positions"):
            # Only one word of hundreds of tokens, which is never cut, reaches behind the last position.
            tensors[name] = tensors[name].clamp(max=self.context - 1)
        tensors = {name: value.to(device) for name, value in tensors.items()}
        pointer = hasattr(self.model, "source_logits")
        prompt = Prompt(
            tensors["prompt_ids"],
            tensors["prompt_mask"],
            tensors["prompt_positions"],
            tensors["prompt_token_types"] if pointer else None,
            tensors["prompt_sources"],
            tensors["prompt_markers"],
        )
        counts, grammar = None, None
        if options.canvas == "aligned":
            canvas = Canvas(
                "aligned", tensors["aligned_positions"], tensors["aligned_mask"], tensors["aligned_word_ids"]
            )
            counts = torch.tensor([len(p.types) for p in prompts], device=device)
        else:
            canvas = Canvas("completion", tensors["completion_positions"], tensors["completion_mask"])
            if options.decoding == "grounded":
                grammar = Grammar(self._automata(prompts), device)
        bias = self.settings.outside_bias if options.outside_bias is None else options.outside_bias
        loop = LoopSettings(
            steps=options.steps,
            algorithm=options.algorithm,
            pad_penalty=options.pad_penalty,
            remasking=options.remasking,
            temperature=options.temperature,
            outside_bias=bias,
        )
        task = make_task(
            self.model,
            self.settings,
            prompt,
            canvas,
            loop,
            options.decoding,
            grammar,
            counts,
            options.use_cache,
        )
        generator = None if options.seed is None else torch.Generator().manual_seed(options.seed)
        return task.steps(generator)

    def interpret(
        self, prompts: Sequence[EncodedPrompt], options: Options, step: DenoisingStep
    ) -> list[Reading]:
        """Read the canvases of the prompts as they stand after a step."""
        if options.canvas == "aligned":
            return read_aligned(prompts, step)
        if options.decoding == "grounded":
            return read_grounded(self.encoder, prompts, self._automata(prompts), step)
        return read_free(self.encoder, prompts, step)

    def slots(self, prompt: EncodedPrompt, options: Options, step: DenoisingStep) -> list[dict[str, Any]]:
        """Return the slots of the first row for display: text, symbol, whether revealed, how surely."""
        aligned = options.canvas == "aligned"
        own = len(prompt.words) if aligned else self._slots([prompt], step.ids.shape[1])[0]
        ids, sure = step.ids[0, :own].tolist(), step.confidence[0, :own].tolist()
        revealed = [token != self.settings.mask_token_id for token in ids]
        if aligned:
            names = {OUTSIDE: "O", INSIDE: "I"}
            names |= {FIRST_MARKER + k: name for k, name in enumerate(prompt.types)}
            texts = [prompt.text[a:b] for a, b in prompt.words]
            symbols = [names[tag] for tag in step.choice[0].tolist()]
        else:
            texts = [""] * len(ids)
            symbols = self.encoder.decode_pieces(ids)
        return [
            {"text": text, "symbol": symbol if shown else "", "revealed": shown, "confidence": score}
            for text, symbol, shown, score in zip(texts, symbols, revealed, sure, strict=False)
        ]

    def _last(
        self, prompts: Sequence[EncodedPrompt], options: Options, length: int = FIRST_CANVAS
    ) -> DenoisingStep:
        *_, step = self.steps(prompts, options, length)
        return step

    def _automata(self, prompts: Sequence[EncodedPrompt]) -> list[Automaton]:
        return [automaton_of(self.encoder, prompt, self._symbols) for prompt in prompts]

    def _slots(self, prompts: Sequence[EncodedPrompt], length: int) -> list[int]:
        """Return how many slots each canvas gets, each by itself: a batch changes no answer."""
        return [max(1, min(length, self.context - len(prompt))) for prompt in prompts]

    def _cut(self, prompts: Sequence[EncodedPrompt], step: DenoisingStep, length: int) -> list[bool]:
        """Return which completions fill their canvas to the last slot and could have a longer one."""
        slots = self._slots(prompts, length)
        longer = self._slots(prompts, min(2 * length, LAST_CANVAS))
        ends = step.ids.cpu()[torch.arange(len(slots)), torch.tensor(slots) - 1]
        full = (ends != self.settings.pad_token_id).tolist()
        return [cut and more > own for cut, own, more in zip(full, slots, longer, strict=True)]
