"""The cards of all models: metadata with the model index, tables and pictures, from results files only.

    python -m model_card card --model mini
    python -m model_card card --model ORG/diffusion-ner-zero --output FOLDER
    python -m model_card card --model mini --check      # exit 1 if the card is not what the results say

What has no results file stands in the card as not measured.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from dataset_builder.benchmarks import BENCHMARKS, source_of
from model_card.evidence.files import atomic_write, read_json
from model_card.evidence.predictions import RUNS, slug
from model_card.evidence.provenance import weights_sha256
from model_card.evidence.results import ROOT, read, results_folder
from model_card.figures.markdown import origin, points, table
from model_card.figures.render import render
from model_card.release.artefact import KINDS, PLACEHOLDER
from modeling.canvas.template import render_prompt

TEMPLATES = Path(__file__).parents[1] / "templates"
PUBLISHED_DREAM = "Dream-org/Dream-v0-Base-7B"
TAGS = ["named-entity-recognition", "zero-shot", "masked-diffusion", "diffusion-language-model"]
EXAMPLE_TYPES = ("person", "organization", "date")
EXAMPLE_TEXT = "Ronaldo plays for Al Nassr since January 2023"
PREFIX = "card_"  # of the pictures, which lie beside the card
CARD, EVIDENCE = "README.md", "EVIDENCE.md"
_METRICS = {"f1": "F1", "precision": "precision", "recall": "recall"}

Scores = Mapping[str, Mapping[str, Any]]  # of each test set


def card(model: str, results: Path) -> str:
    """Return the evidence card of a model.

    Args:
        model: ``"mini"``, or a folder or Hub id of a tuned Dream.
        results: folder of its results files.
    """
    mini = slug(model) == "mini"
    data = ModelCardData(
        license="cc-by-nc-4.0",
        language="en",
        library_name="transformers",
        pipeline_tag="token-classification",
        base_model="sentence-transformers/all-MiniLM-L6-v2" if mini else PUBLISHED_DREAM,
        tags=TAGS[:3],
        metrics=["f1"],
    )
    report = read(results, "main")
    if report is not None and report["limit"] is None:
        setting = report["results"]["headline"]
        scores = report["results"]["settings"][setting]["sets"]
        _index(data, "DiffusionNER-Zero mini" if mini else Path(model).name, {setting: scores}, "test")
    template = TEMPLATES / ("mini.md" if mini else "dream.md")
    filled = ModelCard.from_template(data, template_path=str(template), model=model)
    return render(str(filled).rstrip() + "\n", results)


def pages(model: str, results: Path) -> dict[str, str]:
    """Return the card of a model, and the page of its further evidence where it has one, by file name.

    The embedded model's card is short, and the rest stands in ``EVIDENCE.md`` beside it; a tuned Dream's card
    holds everything.
    """
    found = {CARD: card(model, results)}
    if slug(model) == "mini":
        template = (TEMPLATES / "mini_evidence.md").read_text(encoding="utf-8")
        found[EVIDENCE] = render(template.replace("{{ model }}", model), results)
    return found


def artefact_card(key: str, folder: Path, results: Iterable[Path]) -> str:
    """Return the card of an assembled base, adapter or full model.

    Args:
        key: of the artefact.
        folder: its files.
        results: files that the command evaluate wrote; those measured on other weights are not used.
    """
    kind = KINDS[key]
    data = ModelCardData(
        license=kind.licence,
        language="en",
        library_name="peft" if key == "adapter" else "transformers",
        pipeline_tag="text-generation" if key == "base" else "token-classification",
        base_model=PUBLISHED_DREAM if key == "base" else _id("base"),
        base_model_relation={"adapter": "adapter", "full": "merge"}.get(key),
        datasets=None if key == "base" else [_id("dataset")],
        tags=TAGS[2:] if key == "base" else TAGS,
    )
    report = _measured_on(folder, results)
    settings = _json(folder / "generation_config.json")
    _index_report(data, kind.name, report, settings)
    filled = ModelCard.from_template(
        data,
        template_path=str(TEMPLATES / f"{key}.md"),
        repository=_id(key),
        ids={name: _id(name) for name in KINDS},
        published_dream=PUBLISHED_DREAM,
        types=list(EXAMPLE_TYPES),
        text=EXAMPLE_TEXT,
        prompt=json.dumps(render_prompt(EXAMPLE_TYPES, EXAMPLE_TEXT)),
        settings=settings,
        adapter=_json(folder / "adapter_config.json"),
        conversion=_json(folder / "conversion.json"),
        merge=_json(folder / "merge.json"),
        training=_json(folder / "training_log.json").get("metrics", {}),
        table=_table(report),
    )
    return str(filled).rstrip() + "\n"


def mini_card(folder: Path, results: Iterable[Path]) -> str:
    """Return the embedded model's own card with what its repository adds: how to use it, the model index."""
    own = ModelCard((folder / "README.md").read_text(encoding="utf-8"))
    use = (TEMPLATES / "mini_use.md").read_text(encoding="utf-8").replace("{{ repository }}", _id("mini"))
    # Behind the heading and its first paragraph.
    opening = re.compile(r"\A\s*# .+?\n\n.+?\n\n", re.DOTALL)
    own.text, found = opening.subn(lambda match: f"{match[0]}{use}\n", own.text, count=1)
    if not found:
        raise ValueError(f"{folder / 'README.md'} does not begin with a heading and a paragraph")
    if not getattr(own.data, "eval_results", None):  # a card of the evidence brings its own model index
        settings = _json(folder / "generation_config.json")
        _index_report(own.data, KINDS["mini"].name, _measured_on(folder, results), settings)
    return str(own).rstrip() + "\n"


def _id(key: str) -> str:
    return f"{PLACEHOLDER}/{KINDS[key].name}"


def _json(path: Path) -> dict[str, Any]:
    return read_json(path) or {}


def _measured_on(folder: Path, results: Iterable[Path]) -> dict[str, Any] | None:
    """Return the results of these very weights with the most settings, if there are any."""
    own = weights_sha256(str(folder))
    reports = [r for r in map(_json, results) if r.get("weights_sha256") == own and r.get("results")]
    best = max(reports, key=lambda report: len(_complete(report)), default=None)
    return best if best is not None and _complete(best) else None


def _complete(report: dict[str, Any]) -> dict[str, Scores]:
    """Return the settings that were measured on all benchmarks."""
    return {name: scores for name, scores in report["results"].items() if set(BENCHMARKS) <= set(scores)}


def _index_report(data: Any, name: str, report: dict[str, Any] | None, settings: dict[str, Any]) -> None:
    """Put the scores of the model's own canvas into the model index, if there are any."""
    if report is not None:
        canvas = settings.get("canvas", "completion")
        chosen = {own: scores for own, scores in _complete(report).items() if own.startswith(canvas)}
        _index(data, name, chosen, report["split"])


def _index(data: Any, name: str, settings: Mapping[str, Scores], split: str) -> None:
    """Put scores into the model index."""
    data.model_name = name
    data.eval_results = [
        EvalResult(
            task_type="token-classification",
            task_name="Zero-shot named entity recognition",
            dataset_type=benchmark,
            dataset_name=source_of(benchmark).title,
            dataset_split=split,
            metric_type=metric,
            metric_name=f"Strict micro {label} ({setting})",
            metric_value=round(scores[benchmark][metric], 4),
        )
        for setting, scores in settings.items()
        for benchmark in BENCHMARKS
        if benchmark in scores
        for metric, label in _METRICS.items()
    ]


def _table(report: dict[str, Any] | None) -> str:
    if report is None:
        return ""
    rows = []
    for setting, scores in _complete(report).items():
        values = [scores[name]["f1"] for name in BENCHMARKS]
        rows.append([setting, *map(points, values), f"**{points(fmean(values))}**"])
    head = ["decoding", *(source_of(name).title for name in BENCHMARKS), "mean"]
    return f"{table(head, rows)}\n\n{origin(report)}"


def card_folder(model: str, limit: int | None = None, runs: Path = RUNS) -> Path:
    """Return where a card goes by default: the embedded model's beside its weights, others among the runs."""
    if slug(model) == "mini" and limit is None:
        return ROOT / "modeling" / "mini"
    return runs / f"{slug(model)}-card" if limit is None else results_folder(model, limit, runs)


def write_card(model: str, results: Path, folder: Path) -> None:
    """Write a model's card with all pictures beside it."""
    # Only who draws needs matplotlib.
    from model_card.figures import animation, plots

    written = [atomic_write(folder / name, text) for name, text in pages(model, results).items()]
    drawn = [*plots.draw_all(results, folder, PREFIX), *animation.draw(results, folder, PREFIX)]
    print(f"wrote {' and '.join(map(str, written))}, and {len(drawn)} pictures")


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.add_argument("--model", default="mini", help="Hub id or folder; default: the embedded model")
    parser.add_argument("--results", type=Path, help="folder of the results; default: results/MODEL")
    parser.add_argument("--output", type=Path, help="folder for card and pictures; default: modeling/mini")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the card is stale")


def run(args: argparse.Namespace) -> int:
    """Write the card, or check it."""
    results = args.results or results_folder(args.model)
    folder = args.output or card_folder(args.model)
    if not args.check:
        write_card(args.model, results, folder)
        return 0
    stale = False
    for name, text in pages(args.model, results).items():
        path = folder / name
        differs = not path.is_file() or path.read_text(encoding="utf-8") != text
        print(f"{path} is {'stale: run python -m model_card card' if differs else 'what the results say'}")
        stale = stale or differs
    return int(stale)
