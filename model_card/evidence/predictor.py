"""Answers of one model under one setting: kept ones are read, missing ones are computed and kept."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import torch
from tqdm import tqdm

from dataset_builder.benchmarks import BENCHMARKS, Benchmark, load_benchmark, source_of
from model_card.evidence.evaluate import check_offsets
from model_card.evidence.predictions import RUNS, Answer, Prediction, folder, load, save, unit_path
from model_card.evidence.provenance import provenance, weights_sha256
from model_card.evidence.setting import SAMPLES, Setting
from modeling import EntityExtractor
from modeling.extraction.chunking import Entity, flat, plan
from modeling.extraction.prediction import Reading

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TIMED = 100  # sentences of each set
LONG = 20.0  # seconds


class Predictor:
    """One model over the benchmarks.

    Args:
        model: folder or Hub id; ``"mini"`` is the embedded default.
        data: folder of the benchmarks; None downloads them.
        device: such as ``"cuda"``; None: a GPU if there is one.
        dtype: ``"float32"`` or ``"bfloat16"``.
        batch_size: prompts that run at once.
        limit: the first sentences of each set; None: all.
        runs: folder of the kept predictions.
        progress: whether to show progress bars.
    """

    def __init__(
        self,
        model: str = "mini",
        *,
        data: Path | None = None,
        device: str | None = None,
        dtype: str = "float32",
        batch_size: int = 32,
        limit: int | None = None,
        runs: Path = RUNS,
        progress: bool = True,
    ) -> None:
        self.model = model
        self.data = data
        self.device = device
        self.dtype = dtype
        self.batch_size = batch_size
        self.limit = limit
        self.runs = runs
        self.progress = progress
        self.weights = weights_sha256(model)
        self.folder = folder(model, self.weights, runs)
        self._benchmarks: dict[tuple[str, str], Benchmark] = {}

    @cached_property
    def extractor(self) -> EntityExtractor:
        """The model itself, loaded when it is first needed."""
        return EntityExtractor.from_pretrained(self.model, device=self.device, dtype=DTYPES[self.dtype])

    def benchmark(self, name: str, split: str = "test") -> Benchmark:
        """Return a benchmark, read once."""
        if (name, split) not in self._benchmarks:
            self._benchmarks[name, split] = load_benchmark(name, split, self.data)
        return self._benchmarks[name, split]

    def benchmarks(self, split: str = "test") -> list[Benchmark]:
        """Return all benchmarks that have this split."""
        return [self.benchmark(name, split) for name in BENCHMARKS if split in source_of(name).sizes]

    def path(self, setting: Setting, benchmark: Benchmark) -> Path:
        """Return where the answers of one unit are kept."""
        return unit_path(self.folder, setting.slug, benchmark, self.limit)

    def __call__(self, setting: Setting, benchmark: Benchmark) -> Prediction:
        """Return the answers of one unit, computed if they are not kept."""
        path = self.path(setting, benchmark)
        if not path.is_file():
            # Reading back what was written: a first run and a second one score the same rounded answers.
            save(path, self.predict(setting, benchmark))
        return load(path, benchmark, self.limit)

    def predict(self, setting: Setting, benchmark: Benchmark) -> Prediction:
        """Compute the answers of one unit."""
        sentences = benchmark.sentences[: self.limit]
        types = benchmark.all_types if setting.misc else benchmark.types
        documents = [(list(types), sentence.text) for sentence in sentences]
        title = f"{benchmark.title} {benchmark.split}, {setting.name}"
        start = time.perf_counter()
        if setting.answers == "samples":
            answers = self._samples(documents, setting, title)
        elif setting.answers == "steps":
            answers = self._steps(documents, setting, title)
        else:
            answers = [[answer] for answer in self._final(documents, setting, title)]
        seconds = time.perf_counter() - start
        for sentence, own in zip(sentences, answers, strict=True):
            for answer in own:
                check_offsets(sentence.text, 0, answer.entities, types)
        return Prediction(self._header(setting, benchmark, seconds), answers)

    def seconds_per_sentence(self, setting: Setting) -> dict[str, Any]:
        """Measure one setting alone on the machine: seconds a sentence, batches of ``batch_size``.

        ``TIMED`` sentences spread over each test set, all types of the set asked, after a warm-up on
        ``batch_size`` of them; tokenisation and reading included, loading not. What takes less than
        ``LONG`` seconds is measured thrice, and the median kept.
        """
        documents = []
        for benchmark in self.benchmarks():
            sentences = benchmark.sentences[: self.limit]
            every = max(1, len(sentences) // TIMED)
            documents += [(list(benchmark.types), s.text) for s in sentences[::every][:TIMED]]
        self._final(documents[:: max(1, len(documents) // self.batch_size)], setting, "warm-up")
        rounds: list[float] = []
        while not rounds or (len(rounds) < 3 and rounds[0] < LONG):
            start = time.perf_counter()
            answers = self._final(documents, setting, f"timing {setting.name}")
            rounds.append(time.perf_counter() - start)
        return {
            "seconds_per_sentence": median(rounds) / len(documents),
            "sentences": len(documents),
            "batch_size": self.batch_size,
            "forwards": sum(a.forwards for a in answers) / len(answers),
            "dtype": self.dtype,
            **self._origin,
        }

    def _header(self, setting: Setting, benchmark: Benchmark, seconds: float) -> dict[str, Any]:
        return {
            "system": self.model if self.model == "mini" else Path(self.model).name,
            "weights_sha256": self.weights,
            "setting": setting.name,
            "set": benchmark.name,
            "split": benchmark.split,
            "data_sha256": benchmark.sha256,
            "sentences": len(benchmark.sentences[: self.limit]),
            "limit": self.limit,
            "dtype": self.dtype,
            "batch_size": self.batch_size,
            "seconds": round(seconds, 3),
            **self._origin,
        }

    @cached_property
    def _origin(self) -> dict[str, Any]:
        full = provenance(self.extractor.device, {})
        return {key: full[key] for key in ("commit", "date", "hardware", "python", "versions")}

    def _final(
        self, documents: Sequence[tuple[list[str], str]], setting: Setting, title: str
    ) -> list[Answer]:
        """Return the last answer for each document."""
        extractor = self.extractor
        options = extractor.options(setting.canvas, setting.decoding, setting.steps, **setting.options())
        gathered: list[list[Reading]] = [[] for _ in documents]
        placed: list[list[Entity]] = [[] for _ in documents]
        readings = extractor.read(documents, options, self.batch_size)
        for request, reading in self._bar(readings, len(documents), title):
            gathered[request.document].append(reading)
            placed[request.document] += request.placed(reading.entities)
        return [_answer(own, found) for own, found in zip(gathered, placed, strict=True)]

    def _steps(
        self, documents: Sequence[tuple[list[str], str]], setting: Setting, title: str
    ) -> list[list[Answer]]:
        """Return the answer after every step for each document."""
        extractor = self.extractor
        options = extractor.options(setting.canvas, setting.decoding, setting.steps, **setting.options())
        requests = plan(extractor.encoder, documents, extractor.limits)
        requests.sort(key=lambda r: (len(r.prompt), r.document, r.offset))
        readings: dict[tuple[int, int], list[Reading]] = defaultdict(list)
        placed: dict[tuple[int, int], list[Entity]] = defaultdict(list)
        batches = range(0, len(requests), self.batch_size)
        for at in self._bar(iter(batches), len(batches), title):
            batch = requests[at : at + self.batch_size]
            trajectories = extractor.runner.read_steps([r.prompt for r in batch], options)
            for request, own in zip(batch, trajectories, strict=True):
                # A canvas that was finished early stays as it is.
                for step in range(setting.steps):
                    reading = own[min(step, len(own) - 1)]
                    readings[request.document, step].append(reading)
                    placed[request.document, step] += request.placed(reading.entities)
        return [
            [_answer(readings[d, step], placed[d, step]) for step in range(setting.steps)]
            for d in range(len(documents))
        ]

    def _samples(
        self, documents: Sequence[tuple[list[str], str]], setting: Setting, title: str
    ) -> list[list[Answer]]:
        """Return the answers of the seeded runs for each document."""
        answers: list[list[Answer]] = []
        starts = range(0, len(documents), self.batch_size)
        for at in self._bar(iter(starts), len(starts), title):
            types, texts = zip(*documents[at : at + self.batch_size], strict=True)
            runs = self.extractor.batch_sample_entities(
                texts,
                types,
                SAMPLES,
                batch_size=self.batch_size * SAMPLES,  # it counts runs as rows
                canvas=setting.canvas,
                decoding=setting.decoding,
                steps=setting.steps,
                seed=0,
                **setting.options(),
            )
            answers += [[_sampled(run) for run in own] for own in runs]
        return answers

    def _bar(self, items: Iterator[Any], total: int, title: str) -> Iterator[Any]:
        return iter(tqdm(items, total=total, desc=title, disable=not self.progress, leave=False))


def _sampled(found: Sequence[dict[str, Any]]) -> Answer:
    return Answer(tuple(Entity(e["start"], e["end"], e["text"], e["label"], e["score"]) for e in found))


def _answer(readings: Sequence[Reading], placed: Sequence[Entity]) -> Answer:
    return Answer(
        tuple(flat(placed)),
        tuple(pair for r in readings for pair in r.hallucinations),
        sum(r.segments for r in readings),
        sum(len(r.violations) for r in readings),
        sum(r.forwards for r in readings),
    )
