"""Runs canvases for a batch of encoded prompts: tensors in, readings out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..canvas.encoding import EncodedPrompt, PromptEncoder
from ..custom_generate.fitting import Growth, is_filled
from ..custom_generate.grammar import Automaton, Grammar
from ..custom_generate.loop import DenoisingStep
from ..custom_generate.network import Canvas, Prompt
from ..custom_generate.row_noise import RowNoise, row_seed
from ..custom_generate.settings import DiffusionSettings
from ..custom_generate.tagging import FIRST_MARKER, INSIDE, OUTSIDE
from ..custom_generate.task import Task, context_of, make_task
from ..training.collator import aligned_tensors, completion_tensors, prompt_tensors
from .options import Options
from .prediction import Reading, automaton_of, read_aligned, read_free, read_grounded, symbols_of

LONGEST_PLAIN = 512  # slots of a plain completion: each holds a distribution over the whole vocabulary
FIRST_CANVAS = 64  # slots of a completion canvas before it is fitted to its answer, or grows


@dataclass
class Attempt:
    """One step of one try at some of a batch's prompts: ``rows`` are indices into the batch.

    ``last`` says that the try is over, ``truncated`` then the rows whose answers fill the longest canvas
    that they can have.
    """

    rows: list[int]
    step: DenoisingStep
    last: bool
    truncated: list[int]


@dataclass
class CanvasRunner:
    """One network and its encoder."""

    model: Any
    settings: DiffusionSettings
    encoder: PromptEncoder

    def __post_init__(self) -> None:
        self._symbols = symbols_of(self.encoder)
        self.context = context_of(self.model)

    def read(
        self, prompts: Sequence[EncodedPrompt], options: Options, runs: Sequence[int] | None = None
    ) -> list[Reading]:
        """Denoise a canvas for each prompt and read it.

        A completion that fills its canvas to the last slot is written again on one twice as long, as far as
        the network's positions reach (a plain one up to ``LONGEST_PLAIN``); one that fills that too is marked
        as truncated.

        Args:
            runs: with a temperature, which of the runs over a prompt each is; a prompt that comes several
                times (the same object) is encoded once.
        """
        readings: list[Reading | None] = [None] * len(prompts)
        automata = self._automata(prompts, options)
        for attempt in self._attempts(prompts, options, automata, runs):
            if not attempt.last:
                continue
            for row, reading in self._readings(prompts, options, automata, attempt):
                before = readings[row]
                reading.forwards += before.forwards if before is not None else 0
                readings[row] = reading
        return [reading for reading in readings if reading is not None]

    def read_steps(self, prompts: Sequence[EncodedPrompt], options: Options) -> list[list[Reading]]:
        """Return, for each prompt, what its canvas says after each step; a canvas that grows starts anew."""
        trajectories: list[list[Reading]] = [[] for _ in prompts]
        automata = self._automata(prompts, options)
        for attempt in self._attempts(prompts, options, automata):
            for row, reading in self._readings(prompts, options, automata, attempt):
                if attempt.step.number == 0:
                    trajectories[row] = []
                trajectories[row].append(reading)
        return trajectories

    def stream(self, prompt: EncodedPrompt, options: Options) -> Iterator[DenoisingStep]:
        """Yield the canvas of one prompt after each step; a completion starts again as ``read`` says."""
        for attempt in self._attempts([prompt], options, self._automata([prompt], options)):
            yield attempt.step

    def steps(
        self, prompts: Sequence[EncodedPrompt], options: Options, runs: Sequence[int] | None = None
    ) -> Iterator[DenoisingStep]:
        """Yield the first canvases of the prompts after each step."""
        task = self._task(prompts, options, self._automata(prompts, options))
        return task.steps(self._noise(prompts, options, runs or [0] * len(prompts)))

    def interpret(
        self,
        prompts: Sequence[EncodedPrompt],
        options: Options,
        step: DenoisingStep,
        automata: Sequence[Automaton] | None = None,
    ) -> list[Reading]:
        """Read the canvases of the prompts as they stand after a step."""
        if options.canvas == "aligned":
            readings = read_aligned(self.encoder, prompts, step)
        elif options.decoding == "grounded":
            own = automata or self._automata(prompts, options)
            readings = read_grounded(self.encoder, prompts, own, step)
        else:
            readings = read_free(self.encoder, prompts, step)
        for reading, forwards in zip(readings, step.forwards.tolist(), strict=True):
            reading.forwards = forwards
        return readings

    def slots(self, prompt: EncodedPrompt, options: Options, step: DenoisingStep) -> list[dict[str, Any]]:
        """Return the slots of the first row for display: text, symbol, whether revealed, how surely."""
        own = int(step.slots[0])
        ids, sure = step.ids[0, :own].tolist(), step.confidence[0, :own].tolist()
        revealed = [token != self.settings.mask_token_id for token in ids]
        if options.canvas == "aligned":
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

    def _attempts(
        self,
        prompts: Sequence[EncodedPrompt],
        options: Options,
        automata: Sequence[Automaton],
        runs: Sequence[int] | None = None,
    ) -> Iterator[Attempt]:
        """Yield every step of every try; a completion that proves too short is tried again."""
        if options.temperature > 0 and options.seed is None:  # one seed for all tries
            options = replace(options, seed=int(torch.randint(2**62, ())))
        given = list(runs) if runs is not None else [0] * len(prompts)
        whole = self._task(prompts, options, automata)
        first = whole.denoiser.canvas.mask.sum(1).tolist()
        completion = options.canvas == "completion"
        most = whole.room() if completion else first
        if options.decoding == "plain":
            most = [min(n, LONGEST_PLAIN) for n in most]
        growth = Growth(first, most)
        task = whole
        while growth.rows:
            rows = growth.rows
            noise = self._noise([prompts[i] for i in rows], options, [given[i] for i in rows])
            last: DenoisingStep | None = None
            for step in task.steps(noise):
                if last is not None:
                    yield Attempt(rows, last, False, [])
                last = step
            assert last is not None  # steps >= 1
            filled = is_filled(last.ids, last.slots, self.settings.pad_token_id) & completion
            truncated = growth.update(filled.tolist(), last.slots.tolist())
            yield Attempt(rows, last, True, truncated)
            if growth.rows:
                task = whole.rewritten(torch.tensor(growth.rows, device=last.ids.device), growth.slots)

    def _readings(
        self,
        prompts: Sequence[EncodedPrompt],
        options: Options,
        automata: Sequence[Automaton],
        attempt: Attempt,
    ) -> Iterator[tuple[int, Reading]]:
        """Yield what the canvases of an attempt say, each with its row of the batch."""
        chosen = [prompts[i] for i in attempt.rows]
        own = [automata[i] for i in attempt.rows] if automata else None
        for row, reading in zip(
            attempt.rows, self.interpret(chosen, options, attempt.step, own), strict=True
        ):
            reading.truncated = row in attempt.truncated
            yield row, reading

    def _task(
        self, prompts: Sequence[EncodedPrompt], options: Options, automata: Sequence[Automaton]
    ) -> Task:
        """Return the first task of a batch; a prompt that comes several times is encoded once."""
        firsts: dict[int, int] = {}
        for i, one in enumerate(prompts):
            firsts.setdefault(id(one), i)
        if len(firsts) < len(prompts):
            own = [automata[i] for i in firsts.values()] if automata else []
            task = self._task([prompts[i] for i in firsts.values()], options, own)
            place = {key: i for i, key in enumerate(firsts)}
            rows = [place[id(one)] for one in prompts]
            return task.select(torch.tensor(rows, device=task.denoiser.prompt.ids.device))
        device = self.model.get_input_embeddings().weight.device
        tensors = prompt_tensors(prompts, self.settings.pad_token_id, left=True)
        if options.canvas == "aligned":
            tensors |= aligned_tensors(prompts)
        else:
            slots = [max(1, min(FIRST_CANVAS, self.context - len(one))) for one in prompts]
            tensors |= completion_tensors(slots, [len(p) for p in prompts])
        for name in ("prompt_positions", f"{options.canvas}_positions"):
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
        canvas = Canvas(
            options.canvas,
            tensors[f"{options.canvas}_positions"],
            tensors[f"{options.canvas}_mask"],
            tensors.get("aligned_word_ids"),
        )
        return make_task(
            self.model,
            self.settings,
            prompt,
            canvas,
            options.loop(self.settings),
            options.decoding,
            Grammar(automata, device) if automata else None,
            torch.tensor([len(p.types) for p in prompts], device=device),
            options.use_cache,
        )

    def _automata(self, prompts: Sequence[EncodedPrompt], options: Options) -> list[Automaton]:
        """Return the automaton of each prompt, or none where the decoding needs none."""
        if options.canvas == "aligned" or options.decoding != "grounded":
            return []
        made: dict[int, Automaton] = {}
        for prompt in prompts:
            if id(prompt) not in made:
                made[id(prompt)] = automaton_of(self.encoder, prompt, self._symbols)
        return [made[id(prompt)] for prompt in prompts]

    def _noise(
        self, prompts: Sequence[EncodedPrompt], options: Options, runs: Sequence[int]
    ) -> RowNoise | None:
        if options.temperature == 0:
            return None
        seed = int(torch.randint(2**62, ())) if options.seed is None else options.seed
        return RowNoise(
            [row_seed(seed, prompt.input_ids, run) for prompt, run in zip(prompts, runs, strict=True)]
        )
