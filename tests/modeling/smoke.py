"""Train a tiny network from scratch on the CPU, with the settings of the embedded model's recipe.

    python -m tests.modeling.smoke runs/smoke

Writes rows of a toy language, trains, and checks that the loss fell and that the saved folder extracts.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from trl import ModelConfig, TrlParser

from modeling import EntityExtractor
from modeling.training.arguments import DiffusionArguments, RunArguments
from modeling.training.run import run
from tests.modeling.tiny import TYPES, save_encoder, toy_rows, toy_tokenizer, write_mix

CONFIG = Path(__file__).parents[2] / "modeling/configs/train_mini.yaml"
FALL = 0.8  # the loss of the last tenth of the steps over that of the first
F1 = 0.8  # on sentences never seen; guessing the type of a span rightly found gives a third


def smoke(folder: Path, steps: int, least: float = F1) -> str:
    """Train into ``folder`` and return what came out.

    Raises:
        RuntimeError: the loss did not fall, or the saved network extracts worse than an F1 of ``least``.
    """
    train(folder, steps)
    log = json.loads((folder / "model/training_log.json").read_text(encoding="utf-8"))
    losses = [entry["loss"] for entry in log["history"] if "loss" in entry]
    first, last = (sum(part) / 2 for part in (losses[:2], losses[-2:]))
    if last > FALL * first:
        raise RuntimeError(f"the loss did not fall: {first:.3f} at first, {last:.3f} at last")
    score = f1_of(folder / "model")
    if score < least:
        raise RuntimeError(f"the saved network reaches an F1 of {score:.3f}, less than {least}")
    return f"loss {first:.3f} -> {last:.3f}; F1 of the saved folder on new sentences {score:.3f}"


def train(folder: Path, steps: int) -> None:
    """Write rows and an encoder of the toy language into ``folder``, and train a network on them."""
    shutil.rmtree(folder, ignore_errors=True)
    data = write_mix(folder / "rows", train=1400, validation=42)
    encoder = save_encoder(folder / "encoder", toy_tokenizer())
    changes = {
        "data": data,
        "new_pointer_from": encoder,
        "output_dir": folder / "model",
        "max_steps": steps,
        "warmup_steps": steps // 16,
        "logging_steps": max(1, steps // 20),
        "learning_rate": 3e-3,
        "tokens_per_batch": 2048,
        "max_length": 128,
        "canvas_length": 64,
        "bf16": False,
        "use_cpu": True,
        "dataloader_num_workers": 0,
        "dataloader_prefetch_factor": None,
        "dataloader_persistent_workers": False,
        "eval_sample_rows": 4,
        "report_to": "none",
    }
    flags = [word for name, value in changes.items() for word in (f"--{name}", str(value))]
    parser = TrlParser([RunArguments, DiffusionArguments, ModelConfig])  # type: ignore[list-item]
    run(*parser.parse_args_and_config(["--config", str(CONFIG), *flags]))  # type: ignore[arg-type]


def f1_of(model: Path) -> float:
    """Return the strict F1 of a saved network on sentences of the toy language it has not seen."""
    rows = toy_rows(60, seed=99)
    extractor = EntityExtractor.from_pretrained(model, device="cpu")
    answers = extractor.batch_predict_entities([row["text"] for row in rows], TYPES)
    right = named = 0
    for row, entities in zip(rows, answers, strict=True):
        found = {(e["start"], e["end"], e["label"]) for e in entities}
        gold = {(e["start"], e["end"], e["type"]) for e in row["entities"]}
        right, named = right + len(found & gold), named + len(found) + len(gold)
    return 2 * right / named


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Train a tiny network on the CPU, and check it.")
    parser.add_argument("folder", type=Path, help="is emptied first")
    parser.add_argument("--steps", type=int, default=320)
    args = parser.parse_args(argv)
    print(smoke(args.folder, args.steps))
    return 0


if __name__ == "__main__":
    sys.exit(main())
