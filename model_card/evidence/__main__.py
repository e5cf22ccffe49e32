"""All the evidence for one model, from nothing to the finished card.

    python -m model_card.evidence --model mini --data DIR

Runs every experiment and writes the card. Predictions that are kept are not computed again, results files
that hold are not written again: a second run changes no byte, and one that was killed goes on where it was.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from model_card.experiments.driver import arguments, context_of
from model_card.experiments.registry import EXPERIMENTS
from model_card.release.card import card, card_folder, pictures


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = arguments(__doc__)
    parser.add_argument("--fresh", action="store_true", help="score again even what holds")
    parser.add_argument(
        "--card", type=Path, help="folder for card and pictures; default: as model_card.build"
    )
    args = parser.parse_args(argv)
    try:
        context = context_of(args)
        for experiment in EXPERIMENTS:
            path, kept = experiment.run(context, fresh=args.fresh)
            print(f"{'kept' if kept else 'wrote'} {path}", flush=True)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    folder = args.card or card_folder(args.model, args.limit, args.runs)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(card(args.model, context.results), encoding="utf-8")
    drawn = pictures(context.results, folder)
    print(f"wrote {folder / 'README.md'} and {len(drawn)} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
