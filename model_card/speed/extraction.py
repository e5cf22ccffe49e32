"""How fast extraction is.

    python -m model_card speed --device cpu --replay FILE
    python -m model_card speed --device cuda --replay FILE --vllm-log FILE --output FILE.json

On the CPU: the embedded default beside GLiNER-small's backbone, on the same texts and types. On a GPU: a
network of Dream-7B's shape beside UniNER-7B's work on vLLM (``uniner_replay.py`` prints it into
``--vllm-log``). The sentences are the 700 of the replay file, a hundred of each benchmark. The output says
what is replayed.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from model_card.evidence.files import write_json
from model_card.evidence.provenance import provenance
from model_card.flags import add_output
from model_card.speed.cpu import WHAT_CPU, compare
from model_card.speed.cuda import NOT_REPLAYED, REPLAYED
from model_card.speed.dream import Measurement, read_vllm
from model_card.speed.replay import FORWARDS, checksum, load_replay, read_forwards
from modeling import load_tokenizer
from modeling.cli.flags import positive_number

DREAM = "Dream-org/Dream-v0-Base-7B"


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    parser.add_argument("--replay", type=Path, required=True, help="replay.json.gz")
    parser.add_argument("--limit", type=positive_number, help="sentences of each data set; default all")
    add_output(parser)
    parser.add_argument("--model", default="mini", help="CPU: folder or Hub id")
    parser.add_argument("--threads", type=positive_number, help="CPU: threads of both; default torch's own")
    parser.add_argument("--tokenizer", default=DREAM, help="GPU: Dream's, folder or Hub id")
    parser.add_argument("--forwards", type=Path, default=FORWARDS, help="GPU: recorded forwards")
    parser.add_argument("--vllm-log", type=Path, help="GPU: output of uniner_replay.py on the same device")
    parser.add_argument("--no-float8", action="store_true", help="GPU: leave float8 out")
    parser.add_argument(
        "--seconds", type=float, default=600, help="GPU: begin no further part after so many seconds"
    )
    parser.add_argument(
        "--tiny", action="store_true", help="rehearse the GPU measurement with a tiny network, on any device"
    )


def run(args: argparse.Namespace) -> int:
    """Measure on the CPU or the GPU; exit status 1 if a part failed."""
    if args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("torch sees no GPU; --device cpu measures the embedded default")
    sentences = load_replay(args.replay, args.limit)
    report: dict[str, Any] = {
        "limit": args.limit,
        **provenance(torch.device(args.device), checksum(args.replay)),
    }

    def save(results: dict[str, Any]) -> None:
        if args.output is not None:
            write_json(args.output, {**report, **results})

    if args.device == "cpu" and not args.tiny:
        report |= {"what": WHAT_CPU}
        compare(args.model, sentences, args.threads, save)
        return 0
    report |= {
        "what": "Dream-7B's shape beside UniNER-7B-type's work on vLLM, the same sentences and types",
        "tiny": args.tiny,
        "replayed": REPLAYED,
        "not_replayed": NOT_REPLAYED,
    }
    print("replayed:", *REPLAYED, "not replayed:", *NOT_REPLAYED, sep="\n  ", flush=True)
    if args.vllm_log is not None:
        report |= {"vllm": read_vllm(args.vllm_log)}
    measurement = Measurement(
        sentences,
        read_forwards(args.forwards, sentences),
        load_tokenizer(args.tokenizer),
        torch.device(args.device),
        args.tiny,
        not args.no_float8,
        args.seconds,
        save,
    )
    results = measurement.run()
    print(summary(results, report.get("vllm")))
    return int(bool(results.get("failed")))


def summary(results: dict[str, Any], vllm: dict[str, Any] | None) -> str:
    """Return the GPU results as an aligned text table, vLLM's line last."""
    names = list(vllm["sets"]) if vllm else []
    lines = [f"{'sentences/s':34}{'all':>8}{'limit':>8}{'share':>7}  by set / p50 ms by set"]
    for precision, entries in results.get("results", {}).items():
        for title, entry in entries.items():
            names = list(entry["sets"])
            rates = " ".join(f"{entry['sets'][name]['sentences_per_s']:6.0f}" for name in names)
            times = " ".join(f"{e['p50_ms']:5.0f}" for e in entry.get("latency", {}).values())
            every = entry["all"]
            lines.append(
                f"{precision + ', ' + title:34}{every['sentences_per_s']:8.1f}{every['limit']:8.1f}"
                f"{every['share_of_limit']:7.0%}  {rates} / {times}"
            )
    if vllm:
        rates = " ".join(f"{vllm['sets'][name]:6.0f}" for name in names)
        times = " ".join(f"{entry['p50_ms']:5.0f}" for entry in vllm["latency"].values())
        lines.append(f"{'UniNER-7B work on vLLM, bf16':34}{vllm['all']:8.1f}{'':15}  {rates} / {times}")
    return "\n".join(lines)
