"""The sentences that speed is measured on, and how many forwards each takes.

    python -m model_card speed replay --replay FILE --output model_card/results/mini_forwards.json

The command counts, for each sentence of the replay file (``uniner_replay.py`` reads the same one) and on both
canvases, how many forwards the embedded default takes under the adaptive rule. A network with random weights
is never sure of anything, so the measurement at Dream-7B's shape takes these numbers instead of its own.
"""

import argparse
import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from model_card.evidence.files import atomic_write
from model_card.evidence.provenance import provenance, weights_sha256
from modeling import EntityExtractor
from modeling.cli.flags import positive_number
from modeling.custom_generate.config import DecodingConfig
from modeling.custom_generate.rounds import Task, rounds
from modeling.custom_generate.settings import CANVASES
from modeling.custom_generate.state import DenoisingStep, bucket_of
from modeling.custom_generate.unmasking import Rule, Slots
from modeling.extraction.options import Options

FORWARDS = Path(__file__).resolve().parents[1] / "results" / "mini_forwards.json"


@dataclass(frozen=True)
class Sentence:
    """One sentence of the replay; ``prompt_tokens`` and (gold answer) ``completion_tokens`` are Dream's."""

    text: str
    types: tuple[str, ...]
    prompt_tokens: int
    completion_tokens: int

    @property
    def bucket(self) -> int:
        """The completion canvas that the gold answer needs, in slots."""
        return bucket_of(self.completion_tokens)


def load_replay(path: Path, limit: int | None = None) -> dict[str, list[Sentence]]:
    """Return the sentences by data set, the first ``limit`` of each.

    Raises:
        OSError: there is no such file.
    """
    with gzip.open(path, "rt", encoding="utf-8") as file:
        content = json.load(file)
    return {
        name: [
            Sentence(row["text"], tuple(row["types"]), row["dream_prompt_len"], row["dream_completion_len"])
            for row in rows[:limit]
        ]
        for name, rows in content.items()
    }


def checksum(path: Path) -> dict[str, str]:
    """Return the file's name with its sha256, as results files name their data."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}


def adaptive_options(extractor: EntityExtractor, canvas: str) -> Options:
    """Return what ``adaptive=True`` means on this canvas."""
    return extractor.options(canvas, None, None, adaptive=True)


def count_forwards(extractor: EntityExtractor, sentences: Sequence[Sentence], canvas: str) -> list[int]:
    """Return how many forwards each sentence takes under the adaptive rule, growing canvases included."""
    options = adaptive_options(extractor, canvas)
    documents = [(list(s.types), s.text) for s in sentences]
    counts = [0] * len(documents)
    for request, prediction in extractor.predict(documents, options, batch_size=32):
        counts[request.document] += prediction.forwards
    return counts


def replay(task: Task, forwards: Sequence[int]) -> DenoisingStep:
    """Denoise a batch with a given number of forwards for each row, and return its last step.

    The denoising loop itself, with a schedule that spreads each row's slots evenly over its own number of
    steps.

    Args:
        task: the batch.
        forwards: one number a row, at least 1. A canvas with fewer slots takes no more than it has.
    """
    own = torch.tensor(forwards, device=task.denoiser.canvas.mask.device)

    def even(slots: Slots, config: DecodingConfig) -> torch.Tensor:
        return -(-slots.eligible.sum(1) // (own[slots.rows] - slots.step).clamp(min=1))

    chosen = replace(
        task,
        config=replace(task.config, steps=max(forwards)),
        rules=replace(task.rules, schedule=Rule(even)),
    )
    *_, last = rounds(chosen)
    return last.step


def read_forwards(path: Path, replayed: dict[str, list[Sentence]]) -> dict[str, dict[str, list[int]]]:
    """Return the recorded forwards by canvas and data set, for as many sentences as the replay has.

    Raises:
        OSError: there is no such file.
        ValueError: it is of fewer sentences.
    """
    recorded = json.loads(path.read_text(encoding="utf-8"))["results"]
    for canvas in CANVASES:
        for name, sentences in replayed.items():
            have = len(recorded[canvas][name])
            if have < len(sentences):
                raise ValueError(
                    f"{path} has {have} of {len(sentences)} sentences of {name}; count them again"
                )
    return {
        canvas: {name: recorded[canvas][name][: len(rows)] for name, rows in replayed.items()}
        for canvas in CANVASES
    }


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.add_argument("--replay", type=Path, required=True, help="replay.json.gz")
    parser.add_argument("--model", default="mini", help="folder or Hub id")
    parser.add_argument("--limit", type=positive_number, help="sentences of each data set")
    parser.add_argument("--output", type=Path, default=FORWARDS, help="JSON file")


def run(args: argparse.Namespace) -> int:
    """Count the forwards of every sentence on both canvases."""
    replayed = load_replay(args.replay, args.limit)
    extractor = EntityExtractor.from_pretrained(args.model, device="cpu")
    results: dict[str, Any] = {}
    for canvas in CANVASES:
        results[canvas] = {n: count_forwards(extractor, rows, canvas) for n, rows in replayed.items()}
        counts = [count for own in results[canvas].values() for count in own]
        print(f"{canvas}: {sum(counts) / len(counts):.2f} forwards on average, {max(counts)} at most")
    report = {
        "what": "forwards of the network over each sentence's canvas under the default adaptive rule",
        "options": {canvas: asdict(adaptive_options(extractor, canvas)) for canvas in CANVASES},
        "weights_sha256": weights_sha256(args.model),
        **provenance(torch.device("cpu"), checksum(args.replay)),
        "results": results,
    }
    atomic_write(args.output, json.dumps(report) + "\n")
    return 0
