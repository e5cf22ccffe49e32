"""Runs canvases for a batch of encoded prompts: tensors in, predictions out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..canvas.encoding import EncodedPrompt, PromptEncoder
from ..canvas.tensors import aligned_tensors, completion_tensors, prompt_tensors
from ..custom_generate.config import GROUNDED
from ..custom_generate.grammar import Automaton, Grammar
from ..custom_generate.network import Canvas, Prompt, context_of
from ..custom_generate.rounds import Round, Task, make_task, rounds
from ..custom_generate.row_noise import row_seed
from ..custom_generate.settings import DiffusionSettings
from ..custom_generate.state import DenoisingStep
from ..custom_generate.tagging import FIRST_MARKER, INSIDE, OUTSIDE
from .options import Options
from .prediction import Prediction, automaton_of, predict_aligned, predict_free, predict_grounded, symbols_of

LONGEST_PLAIN = 512  # slots of a plain completion: each holds a distribution over the whole vocabulary
FIRST_CANVAS = 64  # slots of a completion canvas before it is fitted to its answer, or grows


@dataclass
class Decoder:
    """One network and its encoder."""

    model: Any
    settings: DiffusionSettings
    encoder: PromptEncoder

    def __post_init__(self) -> None:
        self._symbols = symbols_of(self.encoder)
        self.context = context_of(self.model)

    def predict(
        self,
        prompts: Sequence[EncodedPrompt],
        options: Options,
        runs: Sequence[int] | None = None,
        batch_size: int | None = None,
    ) -> list[Prediction]:
        """Denoise a canvas for each prompt and read it.

        A completion that fills its canvas to the last slot is written again on one twice as long, as far as
        the network's positions reach (a plain one up to ``LONGEST_PLAIN``); one that fills that too is marked
        as truncated.

        Args:
            runs: with a temperature, which of the runs over a prompt each is; a prompt that comes several
                times (the same object) is encoded once.
            batch_size: how many canvases run together at most; default: all.
        """
        predictions: list[Prediction | None] = [None] * len(prompts)
        automata = self._automata(prompts, options)
        for one in self._rounds(prompts, options, automata, runs, batch_size):
            if not one.step.last:
                continue
            for row, prediction in self._predictions(prompts, options, automata, one):
                before = predictions[row]
                prediction.forwards += before.forwards if before is not None else 0
                predictions[row] = prediction
        return [prediction for prediction in predictions if prediction is not None]

    def predict_steps(self, prompts: Sequence[EncodedPrompt], options: Options) -> list[list[Prediction]]:
        """Return, for each prompt, what its canvas says after each step; a canvas that grows starts anew."""
        trajectories: list[list[Prediction]] = [[] for _ in prompts]
        automata = self._automata(prompts, options)
        for one in self._rounds(prompts, options, automata):
            for row, prediction in self._predictions(prompts, options, automata, one):
                if one.step.number == 0:
                    trajectories[row] = []
                trajectories[row].append(prediction)
        return trajectories

    def stream(self, prompt: EncodedPrompt, options: Options) -> Iterator[DenoisingStep]:
        """Yield the canvas of one prompt after each step; a completion starts again as ``predict`` says."""
        for one in self._rounds([prompt], options, self._automata([prompt], options)):
            yield one.step

    def interpret(
        self,
        prompts: Sequence[EncodedPrompt],
        options: Options,
        step: DenoisingStep,
        automata: Sequence[Automaton] | None = None,
    ) -> list[Prediction]:
        """Read the canvases of the prompts as they stand after a step."""
        if options.canvas == "aligned":
            predictions = predict_aligned(self.encoder, prompts, step)
        elif options.decoding == GROUNDED:
            own = automata or self._automata(prompts, options)
            predictions = predict_grounded(self.encoder, prompts, own, step)
        else:
            predictions = predict_free(self.encoder, prompts, step)
        for prediction, forwards in zip(predictions, step.forwards.tolist(), strict=True):
            prediction.forwards = forwards
        return predictions

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

    def _rounds(
        self,
        prompts: Sequence[EncodedPrompt],
        options: Options,
        automata: Sequence[Automaton],
        runs: Sequence[int] | None = None,
        batch_size: int | None = None,
    ) -> Iterator[Round]:
        """Yield the canvases after every step; a prompt that comes several times is encoded once."""
        firsts: dict[int, int] = {}
        for i, one in enumerate(prompts):
            firsts.setdefault(id(one), i)
        place = {key: i for i, key in enumerate(firsts)}
        rows = [place[id(one)] for one in prompts]
        own = [automata[i] for i in firsts.values()] if automata else []
        task = self._task([prompts[i] for i in firsts.values()], options, own)
        most: list[int] | None = None
        if options.canvas == "completion":
            longest = task.longest_canvases()
            if options.decoding != GROUNDED:
                longest = [min(n, LONGEST_PLAIN) for n in longest]
            most = [longest[row] for row in rows]
        seeds: list[int] | None = None
        if options.temperature > 0:
            seed = int(torch.randint(2**62, ())) if options.seed is None else options.seed
            given = [0] * len(prompts) if runs is None else runs
            seeds = [row_seed(seed, p.input_ids, run) for p, run in zip(prompts, given, strict=True)]
        return rounds(task, prompts=rows, most=most, seeds=seeds, batch_size=batch_size)

    def _predictions(
        self,
        prompts: Sequence[EncodedPrompt],
        options: Options,
        automata: Sequence[Automaton],
        one: Round,
    ) -> Iterator[tuple[int, Prediction]]:
        """Yield what the canvases of a round say, each with its row of the batch."""
        chosen = [prompts[i] for i in one.rows]
        own = [automata[i] for i in one.rows] if automata else None
        for row, prediction in zip(one.rows, self.interpret(chosen, options, one.step, own), strict=True):
            prediction.truncated = row in one.truncated
            yield row, prediction

    def _task(
        self, prompts: Sequence[EncodedPrompt], options: Options, automata: Sequence[Automaton]
    ) -> Task:
        """Return what denoises the first canvases of a batch of prompts."""
        device = self.model.get_input_embeddings().weight.device
        tensors = prompt_tensors(prompts, self.settings.pad_token_id, left=True)
        if options.canvas == "aligned":
            tensors |= aligned_tensors(prompts)
        else:
            slots = [max(1, min(FIRST_CANVAS, self.context - one.end_position)) for one in prompts]
            tensors |= completion_tensors(slots, [p.end_position for p in prompts])
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
            tensors.get("prompt_blocks"),
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
            options,
            Grammar(automata, device) if automata else None,
            torch.tensor([len(p.types) for p in prompts], device=device),
        )

    def _automata(self, prompts: Sequence[EncodedPrompt], options: Options) -> list[Automaton]:
        """Return the automaton of each prompt, or none where the decoding needs none."""
        if options.canvas == "aligned" or options.decoding != GROUNDED:
            return []
        made: dict[int, Automaton] = {}
        for prompt in prompts:
            if id(prompt) not in made:
                made[id(prompt)] = automaton_of(self.encoder, prompt, self._symbols)
        return [made[id(prompt)] for prompt in prompts]
