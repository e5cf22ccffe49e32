"""All the evidence for one model, from nothing to the finished card.

    python -m model_card evidence --model mini --data DIR

Runs every standard experiment and writes the card. Predictions that are kept are not computed again, results
files that hold are not written again: a second run changes no byte, and one that was killed goes on where it
was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from model_card.experiments.protocol import context_of
from model_card.experiments.protocol import flags as shared_flags
from model_card.experiments.registry import standard
from model_card.release.card import card_folder, write_card


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    shared_flags(parser)
    parser.add_argument("--fresh", action="store_true", help="measure again even what holds")
    parser.add_argument(
        "--card", type=Path, help="folder for card and pictures; default: as the command card"
    )


def run(args: argparse.Namespace) -> int:
    """Run the experiments and write the card."""
    context = context_of(args)
    for experiment in standard():
        path, kept = experiment.measure(context, fresh=args.fresh)
        print(f"{'kept' if kept else 'wrote'} {path}", flush=True)
    write_card(args.model, context.results, args.card or card_folder(args.model, args.limit, args.runs))
    return 0
