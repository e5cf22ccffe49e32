"""Fill the figures of README files from the results files: no number in them is typed.

    python -m model_card.render            # rewrite the blocks
    python -m model_card.render --check    # exit 1 if a block is not what the results say

A block stands between ``<!-- figures: NAME -->`` and ``<!-- /figures -->``.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dataset_builder.benchmarks import BENCHMARKS
from model_card.figures import corpus_cost, recipe, registry, speed, training, trust
from model_card.figures.markdown import origin as _origin

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "model_card" / "results"
FILES = (ROOT / "README.md", ROOT / "modeling" / "mini" / "README.md", ROOT / "model_card" / "FAULTS.md")
_BLOCK = re.compile(r"(<!-- figures: (?P<name>[\w-]+) -->\n)(?P<body>.*?)(<!-- /figures -->)", re.DOTALL)


def load(name: str) -> dict[str, Any]:
    """Return one results file.

    Raises:
        FileNotFoundError: there is none; the message says so.
    """
    path = RESULTS / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"a figure needs {path.relative_to(ROOT)}, which does not exist; measure it first"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def mini_cpu_f1() -> str:
    """F1 of the embedded default under the adaptive rule and in 8-bit integers."""
    return _f1_table([load("mini_adaptive"), load("mini_int8")], ["", ", int8"])


def _f1_table(reports: list[dict[str, Any]], notes: list[str]) -> str:
    """Return the table of several reports, a note behind each report's settings, and their origins."""
    heads = ["AI", "Literature", "Music", "Politics", "Science", "Movie", "Restaurant", "mean"]
    rows = ["| decoding | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for report, note in zip(reports, notes, strict=True):
        for setting, scores in report["results"].items():
            values = [scores[name]["f1"] * 100 for name in BENCHMARKS]
            mean = sum(values) / len(values)
            cells = " | ".join(f"{v:.1f}" for v in values)
            rows.append(f"| {setting}{note} | {cells} | **{mean:.1f}** |")
    return "\n".join([*rows, "", "\n".join(map(_origin, reports))])


def mini_latency() -> str:
    """CPU latency of one sentence with all types of its data set."""
    report = load("mini_latency")
    rows = ["| | " + " | ".join(n.split("_")[1] for n in report["results"]) + " |"]
    rows.append("|---" * (len(report["results"]) + 1) + "|")
    for key, label in (("p50_ms", "median, ms"), ("p95_ms", "95th percentile, ms")):
        rows.append(f"| {label} | " + " | ".join(f"{e[key]:.0f}" for e in report["results"].values()) + " |")
    return "\n".join([*rows, "", _origin(report)])


def full_shape() -> str:
    """Loading, extraction and a backward pass at Dream-7B's full shape."""
    report = load("full_shape")
    rows = ["| step | seconds | peak GPU memory, GiB |", "|---|---|---|"]
    for name, entry in report["results"].items():
        if isinstance(entry, dict) and "seconds" in entry:
            peak = entry.get("peak_gib", "")
            rows.append(f"| {name.replace('_', ' ')} | {entry['seconds']:.2f} | {peak} |")
    return "\n".join([*rows, "", _origin(report)])


def mini_mix() -> str:
    """The data of the embedded model by source."""
    report = load("mini_mix")
    totals = report["totals"]
    rows = ["| source | rows | weight | licence |", "|---|---|---|---|"]
    for entry in report["sources"].values():
        rows.append(f"| {entry['origin']} | {entry['rows']:,} | {entry['weight']} | {entry['licence']} |")
    summary = (
        f"{totals['train']:,} training rows ({totals['validation']:,} for validation), "
        f"{totals['mentions']:,} mentions of {totals['types']:,} types; "
        f"{report['empty_percent']}% of the rows hold no mention."
    )
    return "\n".join([*rows, "", summary])


def mini_training() -> str:
    """Steps, time and losses of the embedded model's training."""
    log = json.loads((ROOT / "modeling" / "mini" / "training_log.json").read_text(encoding="utf-8"))
    metrics, steps = log["metrics"], log["history"][-1]["step"]
    size = sum(p.stat().st_size for p in (ROOT / "modeling" / "mini").glob("*.safetensors"))
    return (
        f"{steps:,} steps in {metrics['train_runtime']:.0f} seconds; validation loss of a masked slot: "
        f"{metrics['eval_aligned_nll']:.3f} nats aligned, {metrics['eval_completion_nll']:.3f} completion; "
        f"{size / 1e6:.1f} MB of weights, two bytes a parameter."
    )


def speed_gpu() -> str:
    """Throughput and latency at Dream-7B's shape beside UniNER-7B's work on vLLM."""
    report = load("speed_h100")
    parts = (speed.gpu_rates(report), speed.gpu_latency(report), speed.gpu_terms(report), _origin(report))
    return "\n\n".join(parts)


def speed_cpu() -> str:
    """Throughput and latency of the embedded default beside GLiNER-small's backbone."""
    report = load("speed_cpu")
    return "\n\n".join((speed.cpu_rates(report), _origin(report)))


def training_7b() -> str:
    """LoRA training at Dream-7B's shape."""
    report = load("training_7b_h100")
    return "\n\n".join((training.rates(report), _origin(report)))


def faults() -> str:
    """Every fault that the tests provoke, with what a user sees of it."""
    report = load("faults")
    return "\n\n".join((trust.fault_table(report), _origin(report)))


def fuzz() -> str:
    """Cases and crashes of the fuzz run, by target."""
    report = load("fuzz")
    return "\n\n".join((trust.fuzz_table(report), _origin(report)))


def scale() -> str:
    """A corpus annotated on Ray while a worker and the driver are killed."""
    report = load("scale_cpu")
    return "\n\n".join((trust.scale_table(report), _origin(report)))


def scale_overhead() -> str:
    """A worker on Ray beside the bare extractor on one GPU."""
    report = load("annotate_h100")
    return "\n\n".join((trust.overhead_table(report), _origin(report)))


def recipe_rows() -> str:
    """What each part of the embedded model's data recipe gives on the development sets."""
    report = load("recipe_rows")
    return "\n\n".join((recipe.recipe_table(report), _origin(report)))


def corpus_costs() -> str:
    """What a billion sentences take and cost at Dream-7B's shape, beside UniNER-7B's work on vLLM."""
    report = load("speed_h100")
    return "\n\n".join((corpus_cost.costs(report), _origin(report)))


FIGURES: dict[str, Callable[[], str]] = {
    "mini-latency": mini_latency,
    "mini-mix": mini_mix,
    "mini-training": mini_training,
    "full-shape": full_shape,
    "speed-gpu": speed_gpu,
    "speed-cpu": speed_cpu,
    "mini-cpu-f1": mini_cpu_f1,
    "training-7b": training_7b,
    "faults": faults,
    "fuzz": fuzz,
    "scale": scale,
    "scale-overhead": scale_overhead,
    "corpus-cost": corpus_costs,
    "recipe-rows": recipe_rows,
}


def render(text: str, folder: Path | None = None) -> str:
    """Return the text with every block filled anew.

    Args:
        text: Markdown with blocks.
        folder: results files of the model that the text is about; None: the embedded model's.

    Raises:
        KeyError: a block names a figure that does not exist.
    """

    def fill(match: re.Match[str]) -> str:
        name = match["name"]
        if name in FIGURES:
            return f"{match[1]}{FIGURES[name]()}\n{match[4]}"
        known = {**FIGURES, **registry.TABLES, **registry.IMAGES}
        if name not in known:
            raise KeyError(f"no figure is called {name!r}; known are {', '.join(known)}")
        return f"{match[1]}{registry.fill(name, folder or RESULTS / 'mini')}\n{match[4]}"

    return _BLOCK.sub(fill, text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a block is stale")
    args = parser.parse_args(argv)
    stale = []
    for path in FILES:
        old = path.read_text(encoding="utf-8")
        new = render(old)
        if new != old:
            stale.append(path.relative_to(ROOT))
            if not args.check:
                path.write_text(new, encoding="utf-8")
    for path in stale:
        print(f"{'stale' if args.check else 'rewritten'}: {path}")
    return int(bool(stale) and args.check)


if __name__ == "__main__":
    sys.exit(main())
