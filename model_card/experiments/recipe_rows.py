"""What each part of the data recipe gives: short runs from one start that differ in one thing, on dev.

    python -m model_card.recipe_rows --mix runs/mix --data DIR --output model_card/results/recipe_rows.json

Every row goes on from the same weights with the same seed, steps and batches, and is scored on CrossNER's
development sets. Runs stay in ``--runs``; one that is there is not trained again.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model_card.evidence.provenance import provenance, weights_sha256
from model_card.evidence.results import ROOT, write
from model_card.experiments.training_rows import DIALOGUES, TECHNICAL

Sources = dict[str, dict[str, Any]]
SETTING = "aligned, T=1"
CONFIG = ROOT / "modeling" / "configs" / "train_mini.yaml"
FIXED = ("--tokens_per_batch", "4096", "--learning_rate", "1e-4", "--warmup_steps", "10", "--seed", "0")
CPU = (
    *("--use_cpu", "True"),
    *("--bf16", "False"),
    *("--dataloader_num_workers", "0"),
    *("--dataloader_prefetch_factor", "None"),
    *("--dataloader_persistent_workers", "False"),
)
_GENERAL = ("fewnerd_inter_dev", "fewnerd_inter_test", "multiconer2_en")


def _weighted(factor: float) -> Callable[[Sources], Sources]:
    """Return the change that draws rows of the general sets ``factor`` times as often."""

    def change(sources: Sources) -> Sources:
        heavier = {
            name: {**entry, "weight": entry["weight"] * factor}
            for name, entry in sources.items()
            if name in _GENERAL
        }
        return {**sources, **heavier}

    return change


def _without_coarse(sources: Sources) -> Sources:
    plain = {name: {**sources[name], "coarse": {}} for name in ("pile_ner", "webnlg_distant")}
    return {**sources, **plain}


def _without(names: frozenset[str]) -> Callable[[Sources], Sources]:
    return lambda sources: {name: entry for name, entry in sources.items() if name not in names}


def _alone(sources: Sources) -> Sources:
    return {"pile_ner": sources["pile_ner"]}


@dataclass(frozen=True)
class Row:
    """One run: its name for tables, how it changes the sources of the mix, and flags of train_sft.py."""

    slug: str
    name: str
    change: Callable[[Sources], Sources] | None = None
    flags: tuple[str, ...] = ()


ROWS = (
    Row("new", "the mix as it is"),
    Row("both01", "coarse asked beside fine a quarter as often", None, ("--both_rate", "0.1")),
    Row("coarse", "no coarse names for Pile-NER's and WebNLG's types", _without_coarse),
    Row("weights", "Few-NERD and MultiCoNER half as often", _weighted(0.5)),
    Row("heavier", "Few-NERD and MultiCoNER twice as often", _weighted(2.0)),
    Row("notech", "without biomedical and technical sets", _without(TECHNICAL)),
    Row("nodial", "without dialogues", _without(DIALOGUES)),
    Row("pile", "Pile-NER alone", _alone),
)


def variant(mix: Path, row: Row, folder: Path) -> list[str]:
    """Write a mix as a row has it, sharing the rows of text, and return the flags that train on it."""
    sources: Sources = json.loads((mix / "sources.json").read_text(encoding="utf-8"))
    changed = sources if row.change is None else row.change(sources)
    folder.mkdir(parents=True, exist_ok=True)
    # Sources left out are left out by name, for the rows still hold them.
    kept = {**sources, **changed}
    (folder / "sources.json").write_text(json.dumps(kept), encoding="utf-8")
    link = folder / "train.jsonl.gz"
    link.unlink(missing_ok=True)
    link.symlink_to((mix / "train.jsonl.gz").resolve())
    names = [] if len(changed) == len(sources) else ["--sources", *changed]
    return ["--data", str(folder), *names, *row.flags]


def train(row: Row, args: argparse.Namespace) -> Path:
    """Train and score one row, unless it is scored, and return the file of its scores."""
    folder = args.runs / row.slug
    scores = folder / "dev.json"
    if scores.is_file():
        return scores
    flags = variant(args.mix, row, folder / "mix")
    device = CPU if args.device == "cpu" else ()
    start = ["--config", str(CONFIG), "--init", args.model, "--output_dir", str(folder / "model")]
    words = [*start, *flags, "--max_steps", str(args.steps), *FIXED, *device, "--eval_sample_rows", "0"]
    subprocess.run([sys.executable, str(ROOT / "train_sft.py"), *words], check=True)
    how = ["--split", "dev", "--canvas", "aligned", "--steps", "1", "--device", args.device]
    where = ["--model", str(folder / "model"), "--data", str(args.data), "--output", str(scores)]
    subprocess.run([sys.executable, "-m", "model_card", "evaluate", *where, *how], check=True, cwd=ROOT)
    return scores


def merged(reports: dict[str, dict[str, Any]], before: dict[str, Any]) -> dict[str, Any]:
    """Return F1 of each set and their mean by row.

    Args:
        reports: of ``model_card.evaluate``, by row.
        before: the same of the weights that all rows began at.

    Raises:
        ValueError: they are not of the same data.
    """
    if any(report["data_sha256"] != before["data_sha256"] for report in reports.values()):
        raise ValueError("the rows were scored on other data than the start; remove their folders")
    return {name: _f1(report) for name, report in {"before": before, **reports}.items()}


def _f1(report: dict[str, Any]) -> dict[str, Any]:
    sets = {name: scores["f1"] for name, scores in report["results"][SETTING].items()}
    return {"sets": sets, "mean": sum(sets.values()) / len(sets), "weights_sha256": report["weights_sha256"]}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mix", type=Path, required=True, help="folder that dataset_builder.mix wrote")
    parser.add_argument("--data", type=Path, required=True, help="folder of the benchmarks")
    parser.add_argument("--model", default="mini", help="what all rows begin at; default: the embedded model")
    parser.add_argument("--steps", type=int, default=120, help="of every row; default: 120")
    parser.add_argument("--rows", nargs="+", choices=[row.slug for row in ROWS], help="default: all")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; default: cpu")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "recipe", help="folder of the runs")
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the results")
    args = parser.parse_args(argv)
    rows = [row for row in ROWS if args.rows is None or row.slug in args.rows]
    try:
        start = args.runs / "before.json"
        if not start.is_file():
            how = ["--split", "dev", "--canvas", "aligned", "--steps", "1", "--device", args.device]
            where = ["--model", args.model, "--data", str(args.data), "--output", str(start)]
            subprocess.run(
                [sys.executable, "-m", "model_card", "evaluate", *where, *how], check=True, cwd=ROOT
            )
        reports = {row.name: json.loads(train(row, args).read_text(encoding="utf-8")) for row in rows}
        before = json.loads(start.read_text(encoding="utf-8"))
        found = merged(reports, before)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    report = {
        "what": "CrossNER dev, aligned canvas, one step, strict F1, after the same few steps from one start",
        "start_sha256": weights_sha256(args.model),
        "steps": args.steps,
        "flags": " ".join(FIXED),
        **provenance(torch.device(args.device), before["data_sha256"]),
        "results": found,
    }
    write(args.output.parent, args.output.stem, report)
    for name, entry in found.items():
        print(f"{name:56} {100 * entry['mean']:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
