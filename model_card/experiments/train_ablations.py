"""Train the ablation rows that need training, each with the same budget, and score them on the test sets.

    python -m model_card.train_ablations --mix runs/mix --encoder ENCODER --max-steps 600
    python -m model_card.train_ablations --rows reference lora-rank-32 --mix runs/mix --encoder ENCODER

Every row takes the same number of steps over the same rows with the same seed. A row that has scores is not
trained again. Scores go to ``runs/evidence/ablations/ROW/scores.json``, where
`model_card.experiments.ablations` finds them.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model_card.evidence.intervals import counts_of, mean_f1
from model_card.evidence.predictor import Predictor
from model_card.evidence.results import ROOT, rounded
from model_card.evidence.scores import references, written
from model_card.evidence.setting import Setting
from model_card.experiments.driver import Context, arguments, context_of
from model_card.experiments.training_rows import REFERENCE, ROWS, TrainingRow, folder, scores_path

CONFIG = ROOT / "modeling" / "configs" / "train_mini.yaml"
STEPS = (1, 8)


def command(
    row: TrainingRow, output: Path, reference: Path, mix: Path, encoder: str, max_steps: int
) -> list[str]:
    """Return the training command of one row."""
    start = ["--new_pointer_from", encoder]
    if row.start == "reference":
        start = ["--model_name_or_path", str(reference)]
    fixed = ["--data", str(mix), "--output_dir", str(output), "--max_steps", str(max_steps), "--seed", "0"]
    return [sys.executable, str(ROOT / "train_sft.py"), "--config", str(CONFIG), *start, *fixed, *row.flags]


def train(context: Context, row: TrainingRow, args: argparse.Namespace) -> None:
    """Train and score one row, unless its scores are there.

    Raises:
        FileNotFoundError: the row goes on from the reference, which is not trained yet.
        subprocess.CalledProcessError: the training failed; its own message stands above.
    """
    runs = context.predictor.runs
    path = scores_path(runs, row, context.limit)
    if path.is_file():
        print(f"kept {path}")
        return
    reference = folder(runs, REFERENCE, context.limit) / "model"
    if row.start == "reference" and not reference.is_dir():
        raise FileNotFoundError(
            f"{row.name!r} goes on from the reference: train that first (--rows reference)"
        )
    model = path.parent / "model"
    if not (model / "training_log.json").is_file():
        words = command(row, model, reference, args.mix, args.encoder, args.max_steps)
        subprocess.run([*words, *args.flags.split()], check=True)
    scores = {"max_steps": args.max_steps, "seed": 0, **score(context, model)}
    path.write_text(json.dumps(rounded(scores), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}")


def score(context: Context, model: Path) -> dict[str, Any]:
    """Return the mean F1 of a trained folder at one and at eight steps, and how long it trained."""
    p = context.predictor
    own = Context(
        Predictor(
            str(model),
            data=p.data,
            device=p.device,
            dtype=p.dtype,
            batch_size=p.batch_size,
            limit=p.limit,
            runs=model.parent / "predictions",
            progress=p.progress,
        ),
        context.results,
    )
    found = {}
    for setting in [Setting(canvas, steps=t) for canvas in own.canvases for t in STEPS]:
        found[setting.name] = mean_f1(
            [
                counts_of(written(prediction, benchmark), references(benchmark, p.limit))
                for benchmark, prediction in own.predictions(setting)
            ]
        )
    log = json.loads((model / "training_log.json").read_text(encoding="utf-8"))
    return {"train_seconds": log["metrics"]["train_runtime"], "settings": found}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = arguments(__doc__)
    names = {row.slug: row for row in ROWS}
    parser.add_argument("--rows", nargs="+", choices=list(names), help="rows to train; default: all")
    parser.add_argument("--mix", type=Path, required=True, help="folder that dataset_builder.mix wrote")
    parser.add_argument("--encoder", required=True, help="BERT encoder to start from: folder or Hub id")
    parser.add_argument("--max-steps", type=int, default=600, help="of every row; default: 600")
    parser.add_argument("--flags", default="", help='further flags of train_sft.py, such as "--use_cpu True"')
    args = parser.parse_args(argv)
    try:
        context = context_of(args)
        for name in args.rows or list(names):
            train(context, names[name], args)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
