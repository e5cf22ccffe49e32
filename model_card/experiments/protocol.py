"""What an experiment is, and what all of them share: predictions, a results file that is kept, tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from dataset_builder.benchmark_queries import QuerySet, queries_of
from dataset_builder.benchmarks import Benchmark
from model_card.evidence.intervals import Counts, counts_of
from model_card.evidence.predictions import BASELINE, Prediction, baselines, load, unit_path
from model_card.evidence.predictor import Predictor
from model_card.evidence.provenance import provenance
from model_card.evidence.results import holds, results_folder, write
from model_card.evidence.scores import references, written
from model_card.evidence.setting import Setting, default_setting
from model_card.flags import add_data, add_model, add_runs
from modeling.backbones.sources import read_json, resolve


@dataclass(frozen=True)
class Unit:
    """What is predicted at once and kept: one setting on one split of one data set."""

    setting: Setting
    split: str
    set: str


@dataclass
class Context:
    """What an experiment measures with.

    Args:
        predictor: the model and the data.
        results: folder of the results files.
        args: values of the experiment's own flags.
    """

    predictor: Predictor
    results: Path
    args: argparse.Namespace = field(default_factory=argparse.Namespace)
    _queries: dict[str, QuerySet | None] = field(default_factory=dict, repr=False)

    @property
    def limit(self) -> int | None:
        """The first sentences of each set that count; None: all."""
        return self.predictor.limit

    @cached_property
    def canvases(self) -> list[str]:
        """The canvases of the model, its default first."""
        config = read_json(resolve(self.predictor.model), "generation_config.json") or {}
        if config.get("outside_token_id", -1) < 0:
            return ["completion"]
        first = config.get("canvas", "completion")
        return [first, *(c for c in ("aligned", "completion") if c != first)]

    @property
    def headline(self) -> Setting:
        """The setting that users get if they name none."""
        return default_setting(self.canvases[0])

    def predictions(self, setting: Setting, split: str = "test") -> Iterator[tuple[Benchmark, Prediction]]:
        """Yield each data set of the split with the model's answers under one setting."""
        for benchmark in self.predictor.benchmarks(split):
            yield benchmark, self.predictor(setting, benchmark)

    def counts(self, setting: Setting) -> list[Counts]:
        """Return the counts of strict F1 of every test sentence under one setting, set by set."""
        return [self.counts_of(prediction, b) for b, prediction in self.predictions(setting)]

    def counts_of(self, prediction: Prediction, benchmark: Benchmark) -> Counts:
        """Return the counts of strict F1 of every sentence of one data set."""
        return counts_of(written(prediction, benchmark), references(benchmark, self.limit))

    @cached_property
    def _baselines(self) -> dict[str, Path]:
        every = baselines(self.predictor.runs).items()
        benchmarks = self.predictor.benchmarks()
        return {
            name: folder
            for name, folder in every
            if any(unit_path(folder, BASELINE, b, self.limit).is_file() for b in benchmarks)
        }

    @property
    def baselines(self) -> list[str]:
        """Names of the baselines whose answers to so many sentences are at hand."""
        return list(self._baselines)

    def baseline(self, name: str, benchmark: Benchmark) -> Prediction | None:
        """Return a baseline's answers, or None if it has not answered this data set."""
        path = unit_path(self._baselines[name], BASELINE, benchmark, self.limit)
        return load(path, benchmark, self.limit) if path.is_file() else None

    def queries(self, name: str) -> QuerySet | None:
        """Return UniNER's queries for a data set, read once, or None if it published none."""
        if name not in self._queries:
            self._queries[name] = queries_of(name, self.predictor.data)
        return self._queries[name]

    def identity(self, units: Sequence[Unit]) -> dict[str, Any]:
        """Return what predictions of these units depend on: while it stays the same, a results file holds."""
        used = sorted({(unit.split, unit.set) for unit in units})
        return {
            **self.predictor.identity,
            "limit": self.limit,
            "settings": sorted({unit.setting.name for unit in units}),
            "data_sha256": {
                f"{name}/{split}": self.predictor.benchmark(name, split).sha256 for split, name in used
            },
        }

    def baseline_digests(self) -> dict[str, dict[str, str]]:
        """Return checksums of the answers of each baseline."""
        return {
            name: {
                b.name: prediction.digest
                for b in self.predictor.benchmarks()
                if (prediction := self.baseline(name, b)) is not None
            }
            for name in self.baselines
        }


Settings = Callable[[Context], dict[str, list[Setting]]]


@dataclass(frozen=True)
class Experiment:
    """One experiment. A further one is an entry of `registry.EXPERIMENTS`.

    Attributes:
        name: on the command line, and of its results file.
        what: is measured, in one line.
        run: measures, and returns the results: plain JSON values.
        tables: name of a figure block -> its Markdown, given the folder of the results files.
        version: raised when the same predictions are scored in another way.
        settings: the settings it needs on each split, {split: settings}.
        depends: further things that the results depend on, by name.
        timed: the settings whose speed it needs.
        flags: adds its own flags to a parser.
        standard: whether it runs with all others, without flags of its own.
        passed: whether results are as they must be; else the command ends with status 1.
    """

    name: str
    what: str
    run: Callable[[Context], dict[str, Any]]
    tables: Mapping[str, Callable[[Path], str]] = field(default_factory=dict)
    version: int = 1
    settings: Settings = lambda _: {}
    depends: Callable[[Context], dict[str, Any]] = lambda _: {}
    timed: Callable[[Context], list[Setting]] = lambda _: []
    flags: Callable[[argparse.ArgumentParser], None] = lambda _: None
    standard: bool = True
    passed: Callable[[dict[str, Any]], bool] = lambda _: True

    def units(self, context: Context) -> list[Unit]:
        """Return everything it needs predicted, setting by setting."""
        return [
            Unit(setting, split, benchmark.name)
            for split, settings in self.settings(context).items()
            for setting in settings
            for benchmark in context.predictor.benchmarks(split)
        ]

    def measure(self, context: Context, *, fresh: bool = False) -> tuple[Path, bool]:
        """Run and write the results file, unless it holds already; return its path and whether it did."""
        units = self.units(context)
        identity = {"version": self.version, **context.identity(units)}
        identity |= {"baselines": context.baseline_digests()} if units else {}
        identity |= self.depends(context)
        if not fresh and holds(context.results, self.name, identity):
            return context.results / f"{self.name}.json", True
        results = self.run(context)
        scored = provenance(torch.device("cpu"), {})
        report = {
            "what": self.what,
            "model": context.predictor.identity["system"],
            "limit": context.limit,
            "identity": identity,
            "scored": {key: scored[key] for key in scored if key != "data_sha256"},
            "predicted": origins(context, units),
            "results": results,
        }
        return write(context.results, self.name, report), False


def origins(context: Context, units: Sequence[Unit]) -> list[dict[str, Any]]:
    """Return where the predictions were computed: one entry for each different machine and version."""
    found: list[dict[str, Any]] = []
    for unit in units:
        benchmark = context.predictor.benchmark(unit.set, unit.split)
        path = context.predictor.path(unit.setting, benchmark)
        if not path.is_file():
            continue
        header = load(path, benchmark, context.limit).header
        keys = ("commit", "date", "hardware", "python", "versions", "dtype", "batch_size")
        entry = {key: header[key] for key in keys}
        if entry not in found:
            found.append(entry)
    return found


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that every experiment takes."""
    add_model(parser)
    add_data(parser, only=False)
    add_runs(parser)


def context_of(args: argparse.Namespace) -> Context:
    """Return the context that the command line describes.

    Raises:
        OSError, ValueError: the model cannot be found, or the device cannot be used.
    """
    predictor = Predictor(
        args.model,
        data=args.data,
        device=args.device,
        dtype=args.dtype,
        revision=args.revision,
        batch_size=args.batch_size,
        limit=args.limit,
        runs=args.runs,
        progress=sys.stderr.isatty(),
    )
    return Context(predictor, args.results or results_folder(args.model, args.limit, args.runs), args)
