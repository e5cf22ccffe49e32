"""The type names that a model was trained on, for the reading of seen against unseen types.

    python -m model_card.training_types --mix runs/mix --model mini

Writes ``seen_types.json`` beside the model's results.
"""

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from dataset_builder.mix.built import type_names
from model_card.evidence.provenance import command_line
from model_card.evidence.results import results_folder, write

NAME = "seen_types"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mix", type=Path, required=True, help="folder that dataset_builder.mix wrote")
    parser.add_argument("--model", default="mini", help="whose results folder; default: mini")
    parser.add_argument(
        "--results", type=Path, help="folder of the results; default: model_card/results/MODEL"
    )
    args = parser.parse_args(argv)
    try:
        types = type_names(args.mix)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report = {
        "what": "type names of the training data",
        "command": command_line(),
        "source_sha256": hashlib.sha256((args.mix / "sources.json").read_bytes()).hexdigest(),
        "types": types,
    }
    print(f"wrote {write(args.results or results_folder(args.model), NAME, report)}: {len(types)} types")
    return 0


if __name__ == "__main__":
    sys.exit(main())
