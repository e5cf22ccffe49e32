"""Batches at Dream-7B's shape: random weights, real texts, recorded numbers of forwards."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from transformers import Qwen2ForCausalLM

from model_card.evidence.timing import latency
from model_card.speed.replay import Sentence, replay
from model_card.speed.shape import DREAM_7B
from modeling import EntityExtractor
from modeling.backbones.dream import (
    DREAM_FIRST_MARKER,
    DREAM_INSIDE,
    DREAM_OUTSIDE,
    DREAM_ROWS,
    dream_to_qwen2,
)
from modeling.canvas.encoding import EncodedPrompt
from modeling.canvas.tensors import aligned_tensors, completion_tensors, prompt_tensors
from modeling.canvas.words import split_words
from modeling.custom_generate.config import DecodingConfig
from modeling.custom_generate.grammar import Automaton, Grammar
from modeling.custom_generate.network import Canvas, Prompt
from modeling.custom_generate.rounds import Task, make_task
from modeling.custom_generate.settings import DiffusionSettings
from modeling.extraction.options import Options
from modeling.extraction.prediction import Prediction, automaton_of, symbols_of

TINY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
ROUNDS = 3  # of every measurement, after one that warms up
PEAK_PRODUCTS = 5  # timed together
LATENCY_ROWS = 30  # of each data set, as many as uniner_replay.py takes
ADAPTIVE = "adaptive"
REPLAYED = [
    "text in, entities out: the texts and types of all sentences through tokenizer, prompts, canvases, "
    "network, output layer over the candidates, projection onto valid answers, scores and offsets",
    "the network's work at Dream-7B's shape, isolated prompts, random weights",
    "under the adaptive rule the number of forwards of each sentence is the embedded model's on the same "
    "sentence and canvas; otherwise it is T",
    "each completion canvas has the bucket of its gold answer (16, 32, 64 or 128 slots)",
]
NOT_REPLAYED = [
    "trained weights: the answers mean nothing, quality is not measured here",
    "the draft on a longer canvas by which a completion canvas is fitted, and canvases written again because "
    "they prove too short",
    "the adaptive rule itself, only its outcome; slots are revealed by confidence",
]


@dataclass(frozen=True)
class Work:
    """A sentence on one canvas with the number of forwards it takes."""

    sentence: Sentence
    canvas: str
    forwards: int

    @property
    def slots(self) -> int:
        """Slots of its canvas."""
        return len(split_words(self.sentence.text)) if self.canvas == "aligned" else self.sentence.bucket

    @property
    def first_tokens(self) -> int:
        """Tokens of its first forward, prompt included."""
        return self.sentence.prompt_tokens + self.slots

    @property
    def tokens(self) -> int:
        """Tokens of all its forwards."""
        return self.sentence.prompt_tokens + self.slots * min(self.forwards, self.slots)


@dataclass
class Bench:
    """One network and the sentences that run on it.

    Args:
        extractor: holds the network.
        sentences: by data set.
        forwards: recorded ones, by canvas and data set.
        peak: operations per second that a large product reaches on this device.
        budget: tokens of a batch's first forward.
        workers: threads, so that one reads answers while the other's batch keeps the device busy.
    """

    extractor: EntityExtractor
    sentences: dict[str, list[Sentence]]
    forwards: dict[str, dict[str, list[int]]]
    peak: float
    budget: int = 12288
    workers: int = 2

    def __post_init__(self) -> None:
        self.model: Any = self.extractor.model
        self.device: torch.device = self.extractor.device
        self.operations = 2 * sum(p.numel() for p in self.model.model.layers.parameters())
        self._symbols = symbols_of(self.extractor.encoder)
        # The same threads and streams for all calls: the device's memory is cached for each stream.
        self._pool = ThreadPoolExecutor(self.workers, initializer=own_stream, initargs=(self.device,))

    def works(self, canvas: str, schedule: str, names: Sequence[str]) -> list[Work]:
        """Return the sentences of some data sets; ``schedule`` is ``"adaptive"`` or a number of steps."""
        return [
            Work(sentence, canvas, recorded if schedule == ADAPTIVE else int(schedule))
            for name in names
            for sentence, recorded in zip(self.sentences[name], self.forwards[canvas][name], strict=True)
        ]

    def run(self, works: Sequence[Work]) -> list[Prediction]:
        """Extract from a batch of sentences on one kind of canvas."""
        task, prompts, automata = self.prepare(works)
        step = replay(task, [w.forwards for w in works])
        options = Options(works[0].canvas, "grounded", 1)
        return self.extractor.decoder.interpret(prompts, options, step, automata)

    def prepare(self, works: Sequence[Work]) -> tuple[Task, list[EncodedPrompt], list[Automaton] | None]:
        """Return a batch ready to be denoised, its encoded prompts and (completion canvas) automata."""
        canvas, encoder = works[0].canvas, self.extractor.encoder
        prompts = encoder.encode_batch([(w.sentence.types, w.sentence.text) for w in works])
        tensors = prompt_tensors(prompts, self.extractor.settings.pad_token_id, left=True)
        automata = None
        if canvas == "aligned":
            tensors |= aligned_tensors(prompts)
        else:
            tensors |= completion_tensors([w.slots for w in works], [len(p) for p in prompts])
            automata = [automaton_of(encoder, prompt, self._symbols) for prompt in prompts]
        tensors = {name: value.to(self.device) for name, value in tensors.items()}
        task = make_task(
            self.model,
            self.extractor.settings,
            Prompt(tensors["prompt_ids"], tensors["prompt_mask"], tensors["prompt_positions"]),
            Canvas(canvas, tensors[f"{canvas}_positions"], tensors[f"{canvas}_mask"]),
            # Each canvas has its answer's bucket, and a given number of forwards.
            DecodingConfig(canvas, fit_canvas=False),
            None if automata is None else Grammar(automata, self.device),
            torch.tensor([len(p.types) for p in prompts], device=self.device),
        )
        return task, prompts, automata

    def throughput(self, works: Sequence[Work], budget: int | None = None) -> dict[str, float]:
        """Return sentences a second, and the share of what the counted operations allow at the peak rate.

        The same batches warm up and are then timed ``ROUNDS`` times; the median round counts.
        """
        parts = batches(works, budget or self.budget)
        rounds = [self._timed(lambda: self._all(parts)) for _ in range(1 + ROUNDS)]
        limit = len(works) * self.peak / (self.operations * sum(w.tokens for w in works))
        rate = len(works) / median(rounds[1:])
        return {
            "sentences_per_s": round(rate, 1),
            "limit": round(limit, 1),
            "share_of_limit": round(rate / limit, 3),
        }

    def latency(self, works: Sequence[Work]) -> dict[str, float]:
        """Return the 50th and 95th percentile of one sentence at a time, in milliseconds.

        Of each sentence the median of ``ROUNDS`` calls counts, after one that records its bucket.
        """
        chosen = works[:LATENCY_ROWS]
        rounds = [[self._timed(partial(self.run, [w])) for w in chosen] for _ in range(1 + ROUNDS)]
        return latency([median(calls) for calls in zip(*rounds[1:], strict=True)])

    def _all(self, parts: Sequence[Sequence[Work]]) -> None:
        for _ in self._pool.map(self.run, parts):
            pass

    def _timed(self, call: Callable[[], Any]) -> float:
        synchronize(self.device)
        start = time.perf_counter()
        call()
        synchronize(self.device)
        return time.perf_counter() - start


def batches(works: Sequence[Work], budget: int) -> list[list[Work]]:
    """Return works of like length together, in batches of about equally many tokens, at most the budget.

    A work that is longer than the budget stands alone.
    """
    ordered = sorted(works, key=lambda w: (-w.slots, -w.first_tokens))
    count = -(-sum(w.first_tokens for w in ordered) // budget)
    share = sum(w.first_tokens for w in ordered) / count
    parts: list[list[Work]] = [[]]
    spent = 0
    for work in ordered:
        if parts[-1] and (spent >= share or spent + work.first_tokens > budget):
            parts.append([])
            spent = 0
        parts[-1].append(work)
        spent += work.first_tokens
    return parts


def dream_network(device: torch.device, dtype: torch.dtype, changes: dict[str, Any]) -> Any:
    """Return a network of Dream-7B's shape, with changes, its weights random."""
    config = dream_to_qwen2({**DREAM_7B, **changes})
    torch.manual_seed(0)
    with torch.device(device):
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            model = Qwen2ForCausalLM(config)
        finally:
            torch.set_default_dtype(before)
    DiffusionSettings(
        mask_token_id=DREAM_7B["mask_token_id"],
        pad_token_id=DREAM_7B["pad_token_id"],
        prompt_attention="isolated",
        canvas="aligned",
        outside_token_id=DREAM_OUTSIDE,
        inside_token_id=DREAM_INSIDE,
        first_marker_id=DREAM_FIRST_MARKER,
        max_markers=DREAM_ROWS - DREAM_FIRST_MARKER,
    ).apply(model)
    return model.eval().requires_grad_(False)


def peak_rate(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """Return the operations per second of a product of random ``[size, size]`` matrices."""
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    rates = []
    for _ in range(10):
        synchronize(device)
        start = time.perf_counter()
        for _ in range(PEAK_PRODUCTS):
            left @ right
        synchronize(device)
        rates.append(PEAK_PRODUCTS * 2 * size**3 / (time.perf_counter() - start))
    return sorted(rates)[len(rates) // 2]


def own_stream(device: torch.device) -> None:
    """Give the calling thread a stream of its own, so that it waits for its own work only."""
    if device.type == "cuda":
        torch.cuda.set_stream(torch.cuda.Stream(device))


def synchronize(device: torch.device) -> None:
    """Wait until the device has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
