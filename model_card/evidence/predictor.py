"""Answers of one model to the benchmarks: kept ones are read, missing ones are computed and kept."""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from dataset_builder.benchmarks import BENCHMARKS, Benchmark, load_benchmark, source_of
from model_card.evidence.answers import answers_of
from model_card.evidence.predictions import RUNS, Prediction, folder, load, save, slug, unit_path
from model_card.evidence.provenance import provenance, weights_key, weights_sha256
from model_card.evidence.setting import Setting
from model_card.evidence.timing import LEAST_ROUNDS, LEAST_SECONDS, spread, timed
from modeling import EntityExtractor
from modeling.backbones.devices import checked_device

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TIMED = 100  # sentences of each set


class Predictor:
    """One model over the benchmarks.

    Args:
        model: folder or Hub id; ``"mini"`` is the embedded default.
        data: folder of the benchmarks; None downloads them.
        device: such as ``"cuda"``; None: a GPU if there is one. Answers kept on another machine are found by
            the device that they were computed on.
        dtype: ``"float32"`` or ``"bfloat16"``.
        quantize: ``"int8"``, the encoder in 8-bit integers; None: as ``dtype`` says.
        revision: branch, tag or commit of a Hub repository.
        batch_size: prompts that run at once.
        limit: the first sentences of each set; None: all.
        runs: folder of the kept predictions.
        progress: whether to show progress bars.

    Raises:
        OSError, ValueError: there is no such model, or no such device.
    """

    def __init__(
        self,
        model: str = "mini",
        *,
        data: Path | None = None,
        device: str | None = None,
        dtype: str = "float32",
        quantize: str | None = None,
        revision: str | None = None,
        batch_size: int = 32,
        limit: int | None = None,
        runs: Path = RUNS,
        progress: bool = True,
    ) -> None:
        self.model = model
        self.data = data
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = quantize or dtype
        self.revision = revision
        self.batch_size = batch_size
        self.limit = limit
        self.runs = runs
        self.progress = progress
        self.weights = weights_sha256(model)
        self._load: dict[str, Any] = {
            "device": self.device,
            "dtype": DTYPES[dtype],
            "quantize": quantize,
            "revision": revision,
        }
        self._benchmarks: dict[tuple[str, str], Benchmark] = {}

    @cached_property
    def extractor(self) -> EntityExtractor:
        """The model itself, loaded when it is first needed: kept answers are scored without its device."""
        checked_device(self.device)
        return EntityExtractor.from_pretrained(self.model, **self._load)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What answers depend on besides data and setting: the weights and the arithmetic."""
        return {
            "system": slug(self.model),
            "weights_sha256": self.weights,
            **({} if self.weights else {"hub_commit": weights_key(self.model, self.revision)}),
            "dtype": self.dtype,
            "device": torch.device(self.device).type,
        }

    @cached_property
    def folder(self) -> Path:
        """Where the predictions are kept."""
        key = self.weights or self.identity["hub_commit"]
        return folder(self.model, key, self.runs, dtype=self.dtype, device=self.identity["device"])

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
        types = benchmark.all_types or benchmark.types if setting.misc else benchmark.types
        documents = [(types, sentence.text) for sentence in sentences]
        title = f"{benchmark.title} {benchmark.split}, {setting.name}" if self.progress else None
        start = time.perf_counter()
        answers = answers_of(self.extractor, documents, setting, self.batch_size, title)
        seconds = time.perf_counter() - start
        header = {
            **self.identity,
            "setting": setting.name,
            "set": benchmark.name,
            "split": benchmark.split,
            "data_sha256": benchmark.sha256,
            "sentences": len(sentences),
            "limit": self.limit,
            "batch_size": self.batch_size,
            "seconds": round(seconds, 3),
            **self._origin,
        }
        return Prediction(header, answers)

    def seconds_per_sentence(self, setting: Setting) -> dict[str, Any]:
        """Measure one setting alone on the machine: seconds a sentence, batches of ``batch_size``.

        ``TIMED`` sentences spread over each test set, all types of the set asked; tokenisation and reading
        included, loading not. ``timed`` says how often they are read; the median counts.
        """
        documents = []
        for benchmark in self.benchmarks():
            sentences = benchmark.sentences[: self.limit]
            every = max(1, len(sentences) // TIMED)
            documents += [(benchmark.types, s.text) for s in sentences[::every][:TIMED]]
        # Figures of a few sentences are no evidence, so no time is spent on their spread.
        rounds, least = (LEAST_ROUNDS, LEAST_SECONDS) if self.limit is None else (1, 0.0)
        answers, seconds = timed(
            lambda: answers_of(self.extractor, documents, setting, self.batch_size),
            rounds=rounds,
            least=least,
        )
        each = spread([own / len(documents) for own in seconds])
        return {
            "seconds_per_sentence": each["median"],
            "quartiles": each["quartiles"],
            "rounds": len(seconds),
            "sentences": len(documents),
            "batch_size": self.batch_size,
            "forwards": fmean(own[-1].forwards for own in answers),
            "dtype": self.dtype,
            **self._origin,
        }

    @cached_property
    def _origin(self) -> dict[str, Any]:
        full = provenance(torch.device(self.device), {})
        return {key: full[key] for key in ("commit", "date", "hardware", "python", "versions")}
