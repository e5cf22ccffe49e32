"""One experiment from the command line.

    python -m model_card experiment pareto --model mini --data DIR

A results file that holds is kept. Predictions are kept too: a run that was killed goes on where it was.
"""

from __future__ import annotations

import argparse

from model_card.evidence.results import read
from model_card.experiments.protocol import Experiment, context_of
from model_card.experiments.protocol import flags as shared_flags
from model_card.flags import FAILED


def flags(parser: argparse.ArgumentParser, experiment: Experiment) -> None:
    """Add the flags of an experiment."""
    shared_flags(parser)
    parser.add_argument("--fresh", action="store_true", help="measure again even if the results file holds")
    experiment.flags(parser)


def run(args: argparse.Namespace, experiment: Experiment) -> int:
    """Measure, and print the tables."""
    context = context_of(args)
    path, kept = experiment.measure(context, fresh=args.fresh)
    for table in experiment.tables.values():
        print(table(context.results), end="\n\n")
    print(f"{'kept' if kept else 'wrote'} {path}")
    report = read(context.results, experiment.name)
    assert report is not None  # just written, or found to hold
    return 0 if experiment.passed(report["results"]) else FAILED
