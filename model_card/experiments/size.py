"""How much F1 a megabyte holds: the model beside published ones, each with the metric of its own report.

    python -m model_card experiment size --model mini --data DIR

The model's size is that of its weight files (an adapter's and its base's); a published model's is two bytes
for each of its parameters, as it would be stored in 16 bits.
"""

from pathlib import Path
from statistics import fmean
from typing import Any

from huggingface_hub import snapshot_download

from model_card.evidence.results import RESULTS, read
from model_card.evidence.scores import strict, uniner
from model_card.evidence.setting import Setting
from model_card.experiments.protocol import Context, Experiment
from model_card.figures import quality
from modeling.backbones.sources import base_of, read_json, resolve

MEGABYTE = 10**6
BYTES = 2  # of a parameter in 16 bits


def settings(context: Context) -> dict[str, list[Setting]]:
    """Return the headline setting."""
    return {"test": [context.headline]}


def run(context: Context) -> dict[str, Any]:
    """Weigh the model, score it by each script, and put the published models beside it."""
    pairs = list(context.predictions(context.headline))
    means = {
        "strict, a set per sentence": fmean(strict(p, b)["f1"] for b, p in pairs),
        "UniNER's script": fmean(uniner(p, b, context.queries(b.name))["f1"] for b, p in pairs),
        "character offsets": fmean(strict(p, b, span=True)["f1"] for b, p in pairs),
    }
    own = weight_bytes(context.predictor.model) / MEGABYTE
    rows = [
        {"model": "this model", "metric": metric, "megabytes": own, "f1": f1, "published": False}
        for metric, f1 in means.items()
    ]
    anchors = read(RESULTS, "anchors")
    assert anchors is not None  # kept in the repository
    for name, entry in anchors["models"].items():
        megabytes = BYTES * entry["parameters"] / MEGABYTE
        f1 = entry["mean"] / 100
        rows.append(
            {"model": name, "metric": entry["metric"], "megabytes": megabytes, "f1": f1, "published": True}
        )
    return {"setting": context.headline.name, "rows": rows}


def weight_bytes(model: str) -> int:
    """Return the bytes of a model's weight files on disk, those of an adapter's base included.

    Raises:
        OSError: a Hub model is not in the cache.
    """
    source = resolve(model)
    folder = Path(source) if Path(source).is_dir() else Path(snapshot_download(source, local_files_only=True))
    own = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    adapter = read_json(source, "adapter_config.json")
    return own if adapter is None else own + weight_bytes(base_of(source, adapter))


EXPERIMENT = Experiment(
    "size",
    "F1 against megabytes of weights, beside published models",
    run,
    {"size": quality.size},
    settings=settings,
)
