"""What all experiments share: the command line, the predictions they need, and their results file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from dataset_builder.benchmark_queries import QuerySet, queries_of
from dataset_builder.benchmarks import BENCHMARKS, Benchmark
from model_card.evidence.predictions import BASELINE, RUNS, Prediction, baselines, load, slug, unit_path
from model_card.evidence.predictor import DTYPES, Predictor
from model_card.evidence.provenance import provenance
from model_card.evidence.results import holds, read, results_folder, write
from model_card.evidence.setting import Setting
from modeling.backbones.sources import read_json, resolve
from modeling.extraction.options import DEFAULT_STEPS


@dataclass(frozen=True)
class Unit:
    """What is predicted at once and kept: one setting on one split of one data set."""

    setting: Setting
    split: str
    set: str


@dataclass
class Context:
    """What an experiment measures with."""

    predictor: Predictor
    results: Path
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

    def identity(self, version: int, units: Sequence[Unit]) -> dict[str, Any]:
        """Return what a results file depends on: while it stays the same, the file holds."""
        used = sorted({(unit.split, unit.set) for unit in units})
        return {
            "version": version,
            "system": slug(self.predictor.model),
            "weights_sha256": self.predictor.weights,
            "limit": self.limit,
            "settings": sorted({unit.setting.name for unit in units}),
            "data_sha256": {
                f"{name}/{split}": self.predictor.benchmark(name, split).sha256 for split, name in used
            },
            "baselines": {
                name: {
                    b.name: prediction.digest
                    for b in self.predictor.benchmarks()
                    if (prediction := self.baseline(name, b)) is not None
                }
                for name in self.baselines
            },
        }


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    Attributes:
        name: of its module and its results file.
        what: is measured, in one line.
        version: raised when the same predictions are scored in another way.
        settings: the settings it needs on each split, {split: settings}.
        measure: computes the results.
        show: the results in lines for people.
        extra: further things that the results depend on, by name.
        timed: the settings whose speed it needs.
    """

    name: str
    what: str
    version: int
    settings: Callable[[Context], dict[str, list[Setting]]]
    measure: Callable[[Context], dict[str, Any]]
    show: Callable[[dict[str, Any]], str]
    extra: Callable[[Context], dict[str, Any]] = lambda _: {}
    timed: Callable[[Context], list[Setting]] = lambda _: []

    def units(self, context: Context) -> list[Unit]:
        """Return everything it needs predicted, setting by setting."""
        return [
            Unit(setting, split, benchmark.name)
            for split, settings in self.settings(context).items()
            for setting in settings
            for benchmark in context.predictor.benchmarks(split)
        ]

    def run(self, context: Context, *, fresh: bool = False) -> tuple[Path, bool]:
        """Measure and write the results file, unless it holds already; return its path and whether it did."""
        identity = {**context.identity(self.version, self.units(context)), **self.extra(context)}
        path = context.results / f"{self.name}.json"
        if not fresh and holds(context.results, self.name, identity):
            return path, True
        results = self.measure(context)
        report = {
            "what": self.what,
            "model": identity["system"],
            "limit": context.limit,
            "identity": identity,
            "scored": _scoring(),
            "predicted": origins(context, self.units(context)),
            "results": results,
        }
        return write(context.results, self.name, report), False


def default_setting(canvas: str) -> Setting:
    """Return the extractor's default setting on one canvas."""
    return Setting(canvas, steps=DEFAULT_STEPS[canvas])


def _scoring() -> dict[str, Any]:
    full = provenance(torch.device("cpu"), {})  # scoring itself needs no accelerator
    return {key: full[key] for key in ("command", "commit", "date", "python", "versions")}


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


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return the options that every experiment takes."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini", help="Hub id or folder; default: the embedded model")
    parser.add_argument("--data", type=Path, help="folder of the benchmarks; default: download")
    parser.add_argument("--device", help="such as cuda or cpu; default: a GPU if there is one")
    parser.add_argument("--dtype", default="float32", choices=sorted(DTYPES), help="default: float32")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--limit", type=int, help="the first sentences of each set; default: all")
    parser.add_argument("--runs", type=Path, default=RUNS, help=f"folder of the predictions; default: {RUNS}")
    parser.add_argument(
        "--results",
        type=Path,
        help="folder of the results; default: model_card/results/MODEL, or among the runs with --limit",
    )
    return parser


def context_of(args: argparse.Namespace) -> Context:
    """Return the context that the command line describes.

    Raises:
        OSError, ValueError: the model or the data cannot be found, or a number is out of range.
    """
    for name in ("limit", "batch_size"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    predictor = Predictor(
        args.model,
        data=args.data,
        device=args.device,
        dtype=args.dtype,
        batch_size=args.batch_size,
        limit=args.limit,
        runs=args.runs,
        progress=sys.stderr.isatty(),
    )
    return Context(predictor, args.results or results_folder(args.model, args.limit, args.runs))


def main(experiment: Experiment, description: str | None, argv: Sequence[str] | None = None) -> int:
    """Run one experiment from the command line."""
    parser = arguments(description)
    parser.add_argument("--fresh", action="store_true", help="score again even if the results file holds")
    parser.add_argument("--predict-only", action="store_true", help="compute the predictions, score nothing")
    args = parser.parse_args(argv)
    try:
        context = context_of(args)
        if args.predict_only:
            for unit in experiment.units(context):
                context.predictor(unit.setting, context.predictor.benchmark(unit.set, unit.split))
            return 0
        path, kept = experiment.run(context, fresh=args.fresh)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report = read(path.parent, experiment.name)
    assert report is not None  # just written, or found to hold
    print(experiment.show(report["results"]))
    print(f"{'kept' if kept else 'wrote'} {path}")
    return 0


def by_set(values: dict[str, Any]) -> list[Any]:
    """Return the values of the data sets in the order of the published tables."""
    return [values[name] for name in BENCHMARKS if name in values]
