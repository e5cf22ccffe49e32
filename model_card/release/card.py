"""Write a model's card: metadata with the model index, tables and pictures, from results files only.

    python -m model_card.build --model mini
    python -m model_card.build --model ORG/diffusion-ner-zero --output FOLDER
    python -m model_card.build --model mini --check      # exit 1 if the card is not what the results say

What has no results file stands in the card as not measured.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from dataset_builder.benchmarks import BENCHMARKS, source_of
from model_card.evidence.predictions import RUNS, slug
from model_card.evidence.results import ROOT, read, results_folder
from model_card.figures.render import render

TEMPLATES = Path(__file__).parents[1] / "templates"
TAGS = ["named-entity-recognition", "zero-shot", "masked-diffusion"]
PREFIX = "card_"  # of the pictures, which lie beside the card
_METRICS = {"f1": "F1", "precision": "precision", "recall": "recall"}


def metadata(model: str, results: Path) -> ModelCardData:
    """Return the card's metadata; the model index holds the default setting's strict scores of each set."""
    mini = slug(model) == "mini"
    data = ModelCardData(
        license="cc-by-nc-4.0",
        language="en",
        library_name="transformers",
        pipeline_tag="token-classification",
        base_model="sentence-transformers/all-MiniLM-L6-v2" if mini else "Dream-org/Dream-v0-Base-7B",
        tags=TAGS,
        metrics=["f1"],
    )
    report = read(results, "main")
    if report is not None and report["limit"] is None:
        data.model_name = "DiffusionNER-Zero mini" if mini else Path(model).name
        data.eval_results = _eval_results(report["results"])
    return data


def _eval_results(results: dict[str, Any]) -> list[EvalResult]:
    setting = results["headline"]
    sets = results["settings"][setting]["sets"]
    return [
        EvalResult(
            task_type="token-classification",
            task_name="Zero-shot named entity recognition",
            dataset_type=name,
            dataset_name=source_of(name).title,
            dataset_split="test",
            metric_type=metric,
            metric_name=f"Strict micro {label} ({setting})",
            metric_value=round(sets[name][metric], 4),
        )
        for name in BENCHMARKS
        for metric, label in _METRICS.items()
    ]


def card(model: str, results: Path) -> str:
    """Return the text of the card.

    Args:
        model: ``"mini"``, or a folder or Hub id of a tuned Dream.
        results: folder of its results files.
    """
    template = TEMPLATES / ("mini.md" if slug(model) == "mini" else "dream.md")
    filled = ModelCard.from_template(metadata(model, results), template_path=str(template), model=model)
    return render(str(filled).rstrip() + "\n", results)


def card_folder(model: str, limit: int | None = None, runs: Path = RUNS) -> Path:
    """Return where a card goes by default: the embedded model's beside its weights, others among the runs."""
    if slug(model) == "mini" and limit is None:
        return ROOT / "modeling" / "mini"
    return runs / f"{slug(model)}-card" if limit is None else results_folder(model, limit, runs)


def pictures(results: Path, folder: Path) -> list[Path]:
    """Draw all pictures beside the card, and return the files."""
    # Only who draws needs matplotlib.
    from model_card.figures import animation, plots

    return [*plots.draw_all(results, folder, PREFIX), *animation.draw(results, folder, PREFIX)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini", help="Hub id or folder; default: the embedded model")
    parser.add_argument(
        "--results", type=Path, help="folder of the results; default: model_card/results/MODEL"
    )
    parser.add_argument("--output", type=Path, help="folder for card and pictures; default: modeling/mini")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the card is stale")
    args = parser.parse_args(argv)
    results = args.results or results_folder(args.model)
    folder = args.output or card_folder(args.model)
    path = folder / "README.md"
    text = card(args.model, results)
    if args.check:
        stale = not path.is_file() or path.read_text(encoding="utf-8") != text
        print(f"{path} is {'stale: run python -m model_card.build' if stale else 'what the results say'}")
        return int(stale)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    drawn = pictures(results, folder)
    print(f"wrote {path} and {len(drawn)} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
