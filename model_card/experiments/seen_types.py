"""The type names that a model was trained on, for the reading of seen against unseen types.

python -m model_card experiment seen_types --mix runs/mix --model mini
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

from dataset_builder.mix.built import type_names
from model_card.experiments.protocol import Context, Experiment


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the experiment's own flags."""
    parser.add_argument("--mix", type=Path, required=True, help="folder that dataset_builder.mix wrote")


def run(context: Context) -> dict[str, Any]:
    """Read the names from the mix."""
    types = type_names(context.args.mix)
    return {**depends(context), "types": types}


def depends(context: Context) -> dict[str, Any]:
    """Return the checksum of the mix."""
    sources = context.args.mix / "sources.json"
    type_names(context.args.mix)  # says what is missing
    return {"source_sha256": hashlib.sha256(sources.read_bytes()).hexdigest()}


EXPERIMENT = Experiment(
    "seen_types", "type names of the training data", run, depends=depends, flags=flags, standard=False
)
