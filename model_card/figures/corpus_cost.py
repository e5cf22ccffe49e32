"""What a corpus costs: measured sentences a second, times a price of an hour.

The prices are parameters with a source and a day, and no measurement: put in your own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from model_card.figures.markdown import table
from model_card.figures.speed import VLLM

SENTENCES = 1_000_000_000
GPUS = 8  # of one machine
SETTINGS = ("aligned, adaptive", "completion, adaptive")


@dataclass(frozen=True)
class Price:
    """What an hour of one H100 (SXM, 80 GB) costs on demand.

    Args:
        dollars: US dollars an hour and GPU.
        offer: who asks it.
        source: where it stands.
        read: the day it was read there.
    """

    dollars: float
    offer: str
    source: str
    read: str


_COLLECTED = "as collected in https://github.com/datareceipts/data-receipts (109-gpu-pricing)"
PRICES = (
    Price(2.69, "RunPod Community Cloud", f"https://www.runpod.io/pricing, {_COLLECTED}", "2026-11-09"),
    Price(6.88, "AWS p5.48xlarge, us-east-1", f"AWS on-demand prices, {_COLLECTED}", "2026-11-09"),
)


def costs(report: dict[str, Any], prices: Sequence[Price] = PRICES) -> str:
    """Return hours, days and dollars of a billion sentences by setting, and what is assumed.

    Args:
        report: of ``model_card.speed --device cuda`` with a log of vLLM from the same call.
        prices: of an hour of the GPU that was measured.

    Raises:
        ValueError: the report has no measurement of vLLM to compare with.
    """
    rates = list(_rates(report))
    baseline = rates[-1][1]
    rows = []
    for name, rate in rates:
        hours = gpu_hours(rate)
        row = [name, f"{rate:,.1f}", f"{hours:,.0f}", f"{hours / 24 / GPUS:,.1f}"]
        row += [f"${dollars(rate, price):,.0f}" for price in prices]
        rows.append([*row, f"{baseline / rate:.0%}"])
    head = ["1 billion sentences", "sentences/s", "GPU hours", f"days on {GPUS} GPUs"]
    head += [f"at ${price.dollars:.2f} an hour" for price in prices]
    asked = "; ".join(f"${p.dollars:.2f}: {p.offer} ({p.source}, read {p.read})" for p in prices)
    note = (
        "GPU hours = sentences / (sentences a second x 3600); cost = GPU hours x price. Sentences a second: "
        "one GPU, the test sets together, all types of a set asked of a sentence, full batches; UniNER asks "
        f"for each type by itself. Prices of an hour of one H100 SXM 80 GB on demand, {asked}; they change "
        "by the week. Assumed: eight GPUs are eight times one. Not counted: loading, storage, transfer, idle "
        "time, failed work. Quality is not part of this table: the 7B model is not trained yet, and 8-bit "
        "floats change answers."
    )
    return "\n\n".join([table([*head, "of UniNER's cost"], rows), note])


def gpu_hours(sentences_per_s: float, sentences: int = SENTENCES) -> float:
    """Return the hours that one GPU takes for so many sentences."""
    return sentences / sentences_per_s / 3600


def dollars(sentences_per_s: float, price: Price, sentences: int = SENTENCES) -> float:
    """Return what so many sentences cost, in US dollars."""
    return gpu_hours(sentences_per_s, sentences) * price.dollars


def _rates(report: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield name and sentences a second of what is compared, vLLM last."""
    if not report.get("vllm"):
        raise ValueError(
            "the cost table compares with vLLM, which was not measured in the same call; run it again"
        )
    for precision, entries in report["results"].items():
        for setting in SETTINGS:
            if setting in entries:
                yield f"{precision}, {setting}", entries[setting]["all"]["sentences_per_s"]
    yield VLLM, report["vllm"]["all"]
