"""The cards of the model repositories, written from the files beside them and from results files."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from dataset_builder.benchmarks import BENCHMARKS
from model_card.evidence.provenance import weights_sha256
from model_card.release.artefact import KINDS, PLACEHOLDER
from modeling.canvas.template import render_prompt

CARDS = Path(__file__).parent / "cards"
PUBLISHED_DREAM = "Dream-org/Dream-v0-Base-7B"
TAGS = ["named-entity-recognition", "zero-shot", "masked-diffusion", "diffusion-language-model"]
EXAMPLE_TYPES = ("person", "organization", "date")
EXAMPLE_TEXT = "Ronaldo plays for Al Nassr since January 2023"
_METRICS = {"precision": "precision", "recall": "recall", "f1": "F1"}


def model_card(key: str, folder: Path, results: Iterable[Path]) -> str:
    """Return the card of an assembled base, adapter or full model.

    Args:
        key: of the artefact.
        folder: its files.
        results: files of ``model_card.evaluate``; those measured on other weights are not used.
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
    _add_results(data, report, kind.name, _settings(folder).get("canvas", "completion"))
    ids = {name: _id(name) for name in KINDS}
    card = ModelCard.from_template(
        data,
        template_path=str(CARDS / f"{key}.md"),
        repository=_id(key),
        ids=ids,
        published_dream=PUBLISHED_DREAM,
        types=list(EXAMPLE_TYPES),
        text=EXAMPLE_TEXT,
        prompt=json.dumps(render_prompt(EXAMPLE_TYPES, EXAMPLE_TEXT)),
        settings=_settings(folder),
        adapter=_json(folder / "adapter_config.json"),
        conversion=_json(folder / "conversion.json"),
        merge=_json(folder / "merge.json"),
        training=_json(folder / "training_log.json").get("metrics", {}),
        table=_table(report),
    )
    return str(card).rstrip() + "\n"


def mini_card(folder: Path, results: Iterable[Path]) -> str:
    """Return the embedded model's own card with what its repository adds: how to use it, the model index."""
    card = ModelCard((folder / "README.md").read_text(encoding="utf-8"))
    use = (CARDS / "mini_use.md").read_text(encoding="utf-8").replace("{{ repository }}", _id("mini"))
    # Behind the heading and its first paragraph.
    opening = re.compile(r"\A\s*# .+?\n\n.+?\n\n", re.DOTALL)
    card.text, found = opening.subn(lambda match: f"{match[0]}{use}\n", card.text, count=1)
    if not found:
        raise ValueError(f"{folder / 'README.md'} does not begin with a heading and a paragraph")
    if not getattr(card.data, "eval_results", None):  # a card of the evidence brings its own model index
        canvas = _settings(folder).get("canvas", "completion")
        _add_results(card.data, _measured_on(folder, results), KINDS["mini"].name, canvas)
    return str(card).rstrip() + "\n"


def _id(key: str) -> str:
    return f"{PLACEHOLDER}/{KINDS[key].name}"


def _settings(folder: Path) -> dict[str, Any]:
    return _json(folder / "generation_config.json")


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _measured_on(folder: Path, results: Iterable[Path]) -> dict[str, Any] | None:
    """Return the results of these very weights with the most settings, if there are any."""
    own = weights_sha256(str(folder))
    reports = [r for r in map(_json, results) if r.get("weights_sha256") == own and r.get("results")]
    best = max(reports, key=lambda report: len(_rows(report)), default=None)
    return best if best is not None and _rows(best) else None


def _rows(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings that were measured on all benchmarks."""
    return {name: scores for name, scores in report["results"].items() if set(BENCHMARKS) <= set(scores)}


def _add_results(data: Any, report: dict[str, Any] | None, name: str, canvas: str) -> None:
    """Put the scores of the model's own canvas into the model index."""
    if report is None:
        return
    data.model_name = name
    data.eval_results = [
        EvalResult(
            task_type="token-classification",
            task_name="Zero-shot named entity recognition",
            dataset_type=benchmark,
            dataset_name=_title(benchmark),
            dataset_split=report["split"],
            metric_type=metric,
            metric_name=f"Strict micro {label} ({setting})",
            metric_value=round(scores[benchmark][metric], 4),
        )
        for setting, scores in _rows(report).items()
        if setting.startswith(canvas)
        for benchmark in BENCHMARKS
        for metric, label in _METRICS.items()
    ]


def _table(report: dict[str, Any] | None) -> str:
    if report is None:
        return ""
    heads: Sequence[str] = ["decoding", *(_title(name) for name in BENCHMARKS), "mean"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for setting, scores in _rows(report).items():
        values = [100 * scores[name]["f1"] for name in BENCHMARKS]
        cells = [f"{value:.1f}" for value in values]
        lines.append(f"| {setting} | " + " | ".join(cells) + f" | **{sum(values) / len(values):.1f}** |")
    lines += ["", f"Measured {report['date']} on {report['hardware']} by `{report['command']}`."]
    return "\n".join(lines)


def _title(benchmark: str) -> str:
    """Return a name for readers: ``crossner_ai`` is CrossNER AI."""
    family, part = benchmark.split("_")
    names = {"crossner": "CrossNER", "mit": "MIT", "ai": "AI"}
    return f"{names.get(family, family)} {names.get(part, part.capitalize())}"
