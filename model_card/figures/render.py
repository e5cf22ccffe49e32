"""Fill the figures of README files from the results files: no number in them is typed.

    python -m model_card render            # rewrite the blocks
    python -m model_card render --check    # exit 1 if a block is not what the results say
    python -m model_card render --examples # also run the commands whose output the README shows

A block stands between ``<!-- figures: NAME -->`` and ``<!-- /figures -->``. An example stands between
``<!-- example: NAME -->`` and ``<!-- /example -->``, behind the command whose output it is.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from model_card.evidence.files import atomic_write
from model_card.figures import corpus_cost, registry, speed, training, trust
from model_card.figures.markdown import heads, origin, points, table

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "model_card" / "results"
FILES = (
    ROOT / "README.md",
    ROOT / "modeling" / "mini" / "README.md",
    ROOT / "modeling" / "mini" / "EVIDENCE.md",
    ROOT / "model_card" / "EVIDENCE.md",
    ROOT / "model_card" / "FAULTS.md",
)
_BLOCK = re.compile(r"(<!-- figures: (?P<name>[\w-]+) -->\n)(?P<body>.*?)(<!-- /figures -->)", re.DOTALL)
_EXAMPLE = re.compile(
    r"(\$ python (?P<words>[^\n]+)\n```\n\n<!-- example: [\w-]+ -->\n```\n)(.*?)(```\n<!-- /example -->)",
    re.DOTALL,
)


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
    titles = heads(*(scores for report in reports for scores in report["results"].values()))
    rows = []
    for report, note in zip(reports, notes, strict=True):
        for setting, scores in report["results"].items():
            values = [scores[name]["f1"] for name in titles]
            rows.append([f"{setting}{note}", *map(points, values), f"**{points(fmean(values))}**"])
    return "\n".join(
        [table(["decoding", *titles.values(), "mean"], rows), "", "\n".join(map(origin, reports))]
    )


def mini_latency() -> str:
    """CPU latency of one sentence with all types of its data set."""
    report = load("mini_latency")
    rows = [
        [label, *(f"{entry[key]:.0f}" for entry in report["results"].values())]
        for key, label in (("p50_ms", "median, ms"), ("p95_ms", "95th percentile, ms"))
    ]
    return "\n\n".join([table(["", *(n.split("_")[1] for n in report["results"])], rows), origin(report)])


def full_shape() -> str:
    """Loading, extraction and a backward pass at Dream-7B's full shape."""
    report = load("full_shape")
    rows = [
        [name.replace("_", " "), f"{entry['seconds']:.2f}", str(entry.get("peak_gib", ""))]
        for name, entry in report["results"].items()
        if isinstance(entry, dict) and "seconds" in entry
    ]
    return "\n\n".join([table(["step", "seconds", "peak GPU memory, GiB"], rows), origin(report)])


def mini_mix() -> str:
    """The data of the embedded model by source."""
    report = load("mini_mix")
    totals = report["totals"]
    rows = [
        [entry["origin"], f"{entry['rows']:,}", str(entry["weight"]), entry["licence"]]
        for entry in report["sources"].values()
    ]
    summary = (
        f"{totals['train']:,} training rows ({totals['validation']:,} for validation), "
        f"{totals['mentions']:,} mentions of {totals['types']:,} types; "
        f"{report['empty_percent']}% of the rows hold no mention."
    )
    return "\n\n".join([table(["source", "rows", "weight", "licence"], rows), summary])


def mini_training() -> str:
    """Steps, time and losses of the embedded model's training in two stages."""
    folder = ROOT / "modeling" / "mini"
    log = json.loads((folder / "training_log.json").read_text(encoding="utf-8"))
    first, second = log["metrics"]["steps"]
    runs = 1 + max(entry["run"] for entry in log["history"] if entry["stage"] == 2)
    last = [e for e in log["history"] if e["stage"] == 2 and e.get("step") == second and "aligned_nll" in e]
    aligned, completion = (
        fmean(entry[f"{kind}_nll"] for entry in last) for kind in ("aligned", "completion")
    )
    size = sum(p.stat().st_size for p in folder.glob("*.safetensors"))
    return (
        f"{first:,} steps, then {runs} runs of {second:,} steps from there, whose weights are averaged: "
        f"{log['metrics']['train_runtime']:.0f} seconds, the runs side by side on one GPU. Training loss of "
        f"a masked slot over the last steps: {aligned:.3f} nats aligned, {completion:.3f} completion. "
        f"{size / 1e6:.1f} MB of weights, two bytes a parameter."
    )


def drift() -> str:
    """The newest versions with which the suite last passed."""
    path = RESULTS / "drift.json"
    return trust.drift(json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None)


def speed_gpu() -> str:
    """Throughput and latency at Dream-7B's shape beside UniNER-7B's work on vLLM."""
    report = load("speed_h100")
    parts = (speed.gpu_rates(report), speed.gpu_latency(report), speed.gpu_terms(report), origin(report))
    return "\n\n".join(parts)


def _with_origin(name: str, show: Callable[[dict[str, Any]], str]) -> Callable[[], str]:
    """Return the figure that one table and its origin make."""

    def figure() -> str:
        report = load(name)
        return "\n\n".join((show(report), origin(report)))

    return figure


FIGURES: dict[str, Callable[[], str]] = {
    "drift": drift,
    "mini-latency": mini_latency,
    "mini-mix": mini_mix,
    "mini-training": mini_training,
    "full-shape": full_shape,
    "speed-gpu": speed_gpu,
    "speed-cpu": _with_origin("speed_cpu", speed.cpu_rates),
    "mini-cpu-f1": mini_cpu_f1,
    "training-7b": _with_origin("training_7b_h100", training.rates),
    "faults": _with_origin("faults", trust.fault_table),
    "fuzz": _with_origin("fuzz", trust.fuzz_table),
    "scale": _with_origin("scale_cpu", trust.scale_table),
    "scale-overhead": _with_origin("annotate_h100", trust.overhead_table),
    "corpus-cost": _with_origin("speed_h100", corpus_cost.costs),
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
        known = {**FIGURES, **registry.tables(), **registry.IMAGES}
        if name not in known:
            raise KeyError(f"no figure is called {name!r}; known are {', '.join(known)}")
        return f"{match[1]}{registry.fill(name, folder or RESULTS / 'mini')}\n{match[4]}"

    return _BLOCK.sub(fill, text)


def run_examples(text: str) -> str:
    """Return the text with the output of every example as its command writes it now.

    Raises:
        CalledProcessError: a command failed.
    """

    def fill(match: re.Match[str]) -> str:
        done = subprocess.run(
            [sys.executable, *shlex.split(match["words"])],
            cwd=ROOT,
            env={**os.environ, "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return f"{match[1]}{done.stdout}{match[4]}"

    return _EXAMPLE.sub(fill, text)


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.add_argument("--examples", action="store_true", help="run the commands of the examples too")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a block is stale")


def run(args: argparse.Namespace) -> int:
    """Fill the blocks of all files."""
    stale = []
    for path in FILES:
        old = path.read_text(encoding="utf-8")
        new = render(run_examples(old) if args.examples else old)
        if new != old:
            stale.append(path.relative_to(ROOT))
            if not args.check:
                atomic_write(path, new)
    for name in stale:
        print(f"{'stale' if args.check else 'rewritten'}: {name}")
    return int(bool(stale) and args.check)
