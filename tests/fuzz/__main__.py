"""Fuzz all targets for some minutes, and write how many cases they took and what failed.

    python -m tests.fuzz --minutes 30 --output model_card/results/fuzz.json --seed 0

Every target runs in slices, by each engine in turn, in processes of their own. What is done is kept under
``--work``: a run that was stopped goes on there, and a target that takes its process down costs one slice.
The exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from model_card.evidence.provenance import ROOT, provenance
from model_card.evidence.results import write
from tests.fuzz.campaign import Campaign
from tests.fuzz.targets import NAMES, target_of
from tests.fuzz.worker import ENGINES, engines


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--minutes", type=float, default=30, help="of the clock, all slices together (default: 30)")
    add("--seed", type=int, default=0, help="of the first slice; the others follow (default: 0)")
    add("--processes", type=int, default=2, help="that run at once (default: 2)")
    add("--only", nargs="+", choices=NAMES, default=NAMES, help="targets (default: all)")
    add("--work", type=Path, default=ROOT / "runs" / "fuzz", help="where it is kept (default: runs/fuzz)")
    add("--output", type=Path, metavar="FILE", help="JSON to write")
    arguments = parser.parse_args()
    names = engines()
    campaign = Campaign(arguments.work, arguments.seed, arguments.only, names)
    campaign.run(arguments.minutes * 60, arguments.processes)
    report = {
        **provenance(torch.device("cpu"), {}),
        "minutes": round(campaign.seconds / 60, 1),
        "processes": arguments.processes,
        "seed": arguments.seed,
        "engines": {name: ENGINES[name] for name in names},
        "targets": {
            name: {"holds": target_of(name).holds, **campaign.summary(name)} for name in arguments.only
        },
    }
    if arguments.output is not None:
        output = arguments.output.resolve()
        write(output.parent, output.stem, report)
    failures = 0
    for name, target in report["targets"].items():
        cases = {engine: f"{own['cases']:,}" for engine, own in target["engines"].items()}
        print(f"{name:12} {cases} {len(target['crashes'])} failures")
        failures += len(target["crashes"])
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
