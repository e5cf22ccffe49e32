"""Tables of the speed measurements: at Dream-7B's shape on a GPU, and of the embedded model on the CPU."""

from __future__ import annotations

from typing import Any

from dataset_builder.benchmarks import BENCHMARKS
from model_card.figures.markdown import short_title, table

VLLM = "UniNER-7B's work on vLLM, bf16"


def gpu_rates(report: dict[str, Any]) -> str:
    """Return sentences a second by setting: all sentences, vLLM's multiple, share of the limit, each set."""
    names = _names(report)
    heads = ["sentences/s", "forwards", "all", "times vLLM", "of the limit", *(short_title(n) for n in names)]
    rows = []
    vllm = report.get("vllm")
    for title, entry in _settings(report):
        every = entry["all"]
        times = f"{every['sentences_per_s'] / vllm['all']:.1f}" if vllm else ""
        cells = [title, f"{entry['forwards']:.2f}", f"**{every['sentences_per_s']:.0f}**", times]
        cells.append(f"{every['share_of_limit']:.0%}")
        rows.append(cells + [f"{entry['sets'][name]['sentences_per_s']:.0f}" for name in names])
    plain = report.get("plain", {}).get("aligned, T=1")
    if plain:
        share = f"{plain['share_of_limit']:.0%}"
        times = f"{plain['sentences_per_s'] / vllm['all']:.1f}" if vllm else ""
        cells = [
            "plain path, bf16, aligned, T=1",
            "1.00",
            f"**{plain['sentences_per_s']:.0f}**",
            times,
            share,
        ]
        rows.append(cells + [""] * len(names))
    if vllm:
        cells = [VLLM, "", f"**{vllm['all']:.0f}**", "1.0", ""]
        rows.append(cells + [f"{vllm['sets'][name]:.0f}" for name in names])
    return table(heads, rows)


def gpu_latency(report: dict[str, Any]) -> str:
    """Return the latency of one sentence with all its types, p50 / p95 in ms, by setting and set."""
    names = _names(report)
    rows = []
    entries = [(title, entry["latency"]) for title, entry in _settings(report) if "latency" in entry]
    if report.get("vllm"):
        entries.append((VLLM, report["vllm"]["latency"]))
    for title, latency in entries:
        cells = [f"{latency[n]['p50_ms']:.0f} / {latency[n]['p95_ms']:.0f}" for n in names]
        rows.append([title, *cells])
    return table(["one sentence, p50 / p95 ms", *map(short_title, names)], rows)


def gpu_terms(report: dict[str, Any]) -> str:
    """Return what was replayed and what was not, and what the limit counts."""
    errors = report["check"]["state_errors"]["aligned"]
    return (
        f"The limit counts {report['operations_per_token'] / 1e9:.2f} GFLOP for each token of a prompt and "
        f"for each slot of every forward, at the {report['peak_tflops']:.0f} TFLOP/s that a large bf16 "
        "product reached in the same run. "
        f"Replayed: {'; '.join(report['replayed'])}. Not replayed: {'; '.join(report['not_replayed'])}. "
        f"Against the plain path in fp32 ({report['check']['layers']} layers of the full width) the states "
        f"of the engine are off by {errors['engine, fp32']:.1e} in fp32 and by "
        f"{errors['engine, bf16, packed']:.1e} in bf16, those of the plain path in bf16 by "
        f"{errors['plain, bf16']:.1e}"
        + (f", of float8 by {errors['engine, float8']:.1e}." if "engine, float8" in errors else ".")
    )


def cpu_rates(report: dict[str, Any]) -> str:
    """Return sentences a second of every contender by batch size, and of single sentences the latency."""
    batches = list(next(iter(report["results"].values())))
    heads = ["sentences/s", *(f"{b} (times GLiNER-small)" for b in batches), "one sentence, p50 / p95 ms"]
    rows = []
    for name, entries in report["results"].items():
        cells = [name]
        for batch in batches:
            times = report["times_gliner"][batch][name]
            cells.append(f"{entries[batch]['sentences_per_s']:.0f} ({times:.1f})")
        single = entries["batch 1"]["sets"].values()
        low, high = ([e[key] for e in single] for key in ("p50_ms", "p95_ms"))
        cells.append(f"{min(low):.0f}-{max(low):.0f} / {min(high):.0f}-{max(high):.0f}")
        rows.append(cells)
    what = report["what"]
    return "\n".join(
        [table(heads, rows), "", f"Latency: the least and the greatest of the seven sets. Compared: {what}."]
    )


def _settings(report: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{precision}, {title}", entry)
        for precision, entries in report["results"].items()
        for title, entry in entries.items()
    ]


def _names(report: dict[str, Any]) -> list[str]:
    return [name for name in BENCHMARKS if name in next(entry["sets"] for _, entry in _settings(report))]
