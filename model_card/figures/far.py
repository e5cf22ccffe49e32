"""F1 on sets that training left out, and the sources of the variant for commercial use."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import yaml

from model_card.evidence.results import RESULTS, ROOT, read
from model_card.figures.markdown import NotMeasured, heads, interval, origin, points, results_of, table

CONFIG = ROOT / "modeling" / "configs" / "train_mini_open.yaml"


def far(folder: Path) -> str:
    """Strict F1 on sets of other domains that the model was not trained on."""
    report = results_of(folder, "far")
    results = report["results"]
    titles = {
        name: f"{results['titles'][name]} ({results['types'][name]} types)" for name in results["titles"]
    }
    note = (
        f"At most {results['sentences']:,} sentences of each, all types of a set asked at once; low where "
        "types such as those are rare in the training data, and because each set marks by its own rules. "
        f"{origin(report)}"
    )
    return "\n\n".join([_table(results["settings"], titles), note])


def mini_open(folder: Path) -> str:
    """Strict F1 of the variant trained on sources alone that allow commercial use."""
    report = read(RESULTS, "mini_open")
    if report is None:
        raise NotMeasured("evaluate --model runs/mini_open")
    sources = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["sources"]
    note = f"Trained on {', '.join(f'`{name}`' for name in sources)}. {origin(report)}"
    return "\n\n".join([_table(report["results"], heads(*report["results"].values())), note])


def _table(settings: dict, titles: dict[str, str]) -> str:
    rows = []
    for setting, sets in settings.items():
        cells = [f"{points(sets[n]['f1'])} ({interval(sets[n]['bootstrap']['f1'])})" for n in titles]
        rows.append([setting, *cells, f"**{points(fmean(sets[n]['f1'] for n in titles))}**"])
    return table(["decoding", *titles.values(), "mean"], rows)
