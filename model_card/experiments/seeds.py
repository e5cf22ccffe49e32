"""Put the scores of several training seeds side by side: each run, their mean and their spread.

    python -m model_card.evaluate --model runs/seed-0 --data DIR --canvas aligned completion \\
        --steps 1 2 4 8 16 --bootstrap 1000 --output seed-0.json          # and so on for each seed
    python -m model_card.seeds seed-0.json seed-1.json seed-2.json --output model_card/results/mini_main.json
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from dataset_builder.benchmarks import BENCHMARKS
from model_card.evidence.provenance import weights_sha256
from model_card.evidence.results import rounded

# The same in every report, or they cannot be compared.
SHARED = ("what", "split", "limit", "dtype", "options", "data_sha256")
OWN = ("weights_sha256", "command", "commit", "date", "hardware", "python", "versions")


def merged(reports: Sequence[dict[str, Any]], shipped: str) -> dict[str, Any]:
    """Return one report of several runs of the same recipe.

    Args:
        reports: as ``model_card.evaluate`` writes them, one a seed, in the order of the seeds.
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
        "results": {name: _setting([r["results"][name] for r in reports]) for name in first["results"]},
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reports", type=Path, nargs="+", help="files of model_card.evaluate, one a seed")
    parser.add_argument("--model", default="mini", help="the released one; default: the embedded model")
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the results")
    args = parser.parse_args(argv)
    try:
        found = [json.loads(path.read_text(encoding="utf-8")) for path in args.reports]
        shipped = weights_sha256(args.model)
        if shipped is None:
            raise ValueError(f"--model {args.model!r} must be a folder, so that its weights can be told")
        report = merged(found, shipped)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(rounded(report), indent=1) + "\n", encoding="utf-8")
    for name, row in report["results"].items():
        mean = row["mean"]
        runs = ", ".join(f"{100 * value:.1f}" for value in mean["runs"])
        print(f"{name:28} {100 * mean['mean']:5.1f} +- {100 * mean['sd']:.1f}   ({runs})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
