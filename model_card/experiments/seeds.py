"""The scores of several training seeds side by side: each run, their mean and their spread.

    python -m model_card evaluate --model runs/seed-0 --data DIR --canvas aligned completion \\
        --steps 1 2 4 8 16 --bootstrap 1000 --output seed-0.json          # and so on for each seed
    python -m model_card experiment seeds --reports seed-0.json seed-1.json seed-2.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from dataset_builder.benchmarks import BENCHMARKS
from model_card.experiments.protocol import Context, Experiment
from model_card.figures.quality import seeds
from model_card.flags import UsageError

# The same in every report, or they cannot be compared.
SHARED = ("what", "split", "limit", "dtype", "data_sha256")
OWN = ("weights_sha256", "command", "commit", "date", "hardware", "python", "versions")


def merged(reports: Sequence[dict[str, Any]], shipped: str) -> dict[str, Any]:
    """Return one report of several runs of the same recipe.

    Args:
        reports: as ``python -m model_card evaluate`` writes them, one a seed, in the order of the seeds.
        shipped: checksum of the released weights, which are those of one of the runs.

    Raises:
        ValueError: fewer than two reports, or they differ in data or settings; or none is of the released
            weights.
    """
    if len(reports) < 2:
        raise ValueError(f"a spread needs two runs at least, got {len(reports)}")
    first = reports[0]
    for key in SHARED:
        if any(report[key] != first[key] for report in reports):
            raise ValueError(f"the reports differ in {key!r}; evaluate all seeds with the same arguments")
    if any(list(report["results"]) != list(first["results"]) for report in reports):
        raise ValueError(
            "the reports hold different decoding settings; evaluate all seeds with the same ones"
        )
    weights = [report["weights_sha256"] for report in reports]
    if shipped not in weights:
        raise ValueError(f"no report is of the released weights {shipped:.12}; evaluate those too")
    if len(set(weights)) < len(weights):
        raise ValueError("two reports are of the same weights; give one of each seed")
    return {
        **{key: first[key] for key in SHARED},
        "runs": [{key: report[key] for key in OWN} for report in reports],
        "shipped": weights.index(shipped),
        "settings": {name: _setting([r["results"][name] for r in reports]) for name in first["results"]},
    }


def _setting(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = [name for name in BENCHMARKS if name in runs[0]]
    sets = {name: _spread([run[name]["f1"] for run in runs]) for name in names}
    for name in names:
        sets[name]["intervals"] = [run[name]["bootstrap"]["f1"] for run in runs]
    means = [fmean(run[name]["f1"] for name in names) for run in runs]
    return {
        "sets": sets,
        "mean": _spread(means),
        "forwards": fmean(r[n]["forwards"] for r in runs for n in names),
    }


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {"runs": list(values), "mean": fmean(values), "sd": stdev(values)}


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the experiment's own flags."""
    parser.add_argument("--reports", type=Path, nargs="+", required=True, help="of evaluate, one a seed")


def depends(context: Context) -> dict[str, Any]:
    """Return the checksums of the reports."""
    return {"reports": [hashlib.sha256(path.read_bytes()).hexdigest() for path in context.args.reports]}


def run(context: Context) -> dict[str, Any]:
    """Put the reports side by side."""
    if context.predictor.weights is None:
        raise UsageError(
            f"--model {context.predictor.model!r} must be a folder, so that its weights can be told"
        )
    reports = [json.loads(path.read_text(encoding="utf-8")) for path in context.args.reports]
    return merged(reports, context.predictor.weights)


EXPERIMENT = Experiment(
    "seeds",
    "strict F1 over training seeds of one recipe",
    run,
    {"seeds": seeds},
    depends=depends,
    flags=flags,
    standard=False,
)
