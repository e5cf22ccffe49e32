"""What a system answered on one benchmark, kept so that every experiment scores the same answers."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builder.benchmarks import Benchmark
from model_card.evidence.files import atomic_write
from modeling.extraction.chunking import Entity

RUNS = Path("runs") / "evidence"
BASELINE = "baseline"  # the setting under which a baseline's answers are kept
DIGITS = 5  # of a score
_VERSION = 2

Item = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What was found in one sentence.

    Attributes:
        entities: in order, not overlapping, ``sentence.text[start:end] == text``.
        invented: (type, text) pairs whose text is not in the sentence.
        segments: pieces of a free completion (or answers of a model queried by type), 0 if grounded.
        violations: those of them that could not be read.
        forwards: how often the network ran for this sentence; 0 where nobody counted.
        repeated: mentions named more often than the sentence has them.
        truncated: canvases whose answer fills the longest canvas.
    """

    entities: tuple[Entity, ...] = ()
    invented: tuple[tuple[str, str], ...] = ()
    segments: int = 0
    violations: int = 0
    forwards: float = 0
    repeated: int = 0
    truncated: int = 0

    def returned(self) -> list[Item]:
        """Return the entities for the metric, offsets included."""
        return [{"type": e.label, "text": e.text, "start": e.start, "end": e.end} for e in self.entities]

    def written(self, length: int) -> list[Item]:
        """Return the entities and the invented ones, which no reference can match.

        ``length`` is the sentence's: an invented entity gets an offset behind it.
        """
        extra = [
            {"type": kind, "text": text, "start": length + 1 + i, "end": length + 2 + i}
            for i, (kind, text) in enumerate(self.invented)
        ]
        return self.returned() + extra


@dataclass(frozen=True)
class Prediction:
    """All answers of one system on one benchmark.

    Attributes:
        header: the system, its setting and where it ran; plain JSON values.
        answers: per sentence the answers: one, or one a step, or one a sample.
    """

    header: dict[str, Any]
    answers: list[list[Answer]]

    @property
    def final(self) -> list[Answer]:
        """The last answer of each sentence."""
        return [own[-1] for own in self.answers]

    @property
    def digest(self) -> str:
        """A checksum of the answers, not of when and where they were computed."""
        body = json.dumps(
            [
                [[[e.label, e.start, e.end, round(e.score, DIGITS)] for e in a.entities], a.invented]
                for own in self.answers
                for a in own
            ]
        )
        return hashlib.sha256(body.encode()).hexdigest()[:16]


def save(path: Path, prediction: Prediction) -> None:
    """Write a prediction whole or not at all."""
    labels: dict[str, int] = {}
    answers = [[_packed(answer, labels) for answer in own] for own in prediction.answers]
    content = {
        "version": _VERSION,
        **prediction.header,
        "labels": list(labels),
        "answers": answers,
    }
    # No time stamp in the file: the same answers are the same bytes.
    body = json.dumps(content, separators=(",", ":")).encode()
    atomic_write(path, gzip.compress(body, 6, mtime=0))


def load(path: Path, benchmark: Benchmark, limit: int | None) -> Prediction:
    """Read a prediction and check that it is of this benchmark.

    Raises:
        ValueError: it is of other data, of another number of sentences, or of another version of the format.
    """
    content = json.loads(gzip.decompress(path.read_bytes()))
    sentences = benchmark.sentences[:limit]
    wanted = {"version": _VERSION, "data_sha256": benchmark.sha256, "sentences": len(sentences)}
    for key, value in wanted.items():
        if content.get(key) != value:
            raise ValueError(
                f"{path} has {key} {content.get(key)!r} instead of {value!r}: delete it to predict again"
            )
    labels, answers = content.pop("labels"), content.pop("answers")
    if len(answers) != len(sentences):
        raise ValueError(f"{path} holds {len(answers)} answers for {len(sentences)} sentences: delete it")
    texts = (sentence.text for sentence in sentences)
    return Prediction(
        content, [[_unpacked(a, labels, text) for a in own] for own, text in zip(answers, texts, strict=True)]
    )


def folder(model: str, weights: str, runs: Path = RUNS, *, dtype: str, device: str) -> Path:
    """Return where the predictions of one set of weights in one kind of arithmetic are kept.

    Args:
        model: folder or Hub id.
        weights: checksum of the weights, or the commit of a Hub repository.
        runs: folder of all predictions.
        dtype: of the numbers, such as ``"float32"``.
        device: its kind, such as ``"cuda"``.
    """
    return runs / f"{slug(model)}-{weights[:12]}-{dtype}-{device}"


def baseline_folder(model: str, runs: Path = RUNS) -> Path:
    """Return where the answers of a baseline are kept."""
    return runs / f"{slug(model)}-{BASELINE}"


def slug(model: str) -> str:
    """Return a model's name as a folder is called: the last part of its path or id."""
    name = Path(model).name or "model"
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in name).lower()


def unit_path(base: Path, setting: str, benchmark: Benchmark, limit: int | None) -> Path:
    """Return the file of one (setting, set)."""
    split = benchmark.split if limit is None else f"{benchmark.split}-first-{limit}"
    return base / split / setting / f"{benchmark.name}.json.gz"


def baselines(runs: Path = RUNS) -> dict[str, Path]:
    """Return the folders of the baselines that have answered something, by name, in order."""
    if not runs.is_dir():
        return {}
    found = sorted(path for path in runs.iterdir() if path.name.endswith(f"-{BASELINE}"))
    return {path.name.removesuffix(f"-{BASELINE}"): path for path in found}


def _packed(answer: Answer, labels: dict[str, int]) -> list[Any]:
    entities = [
        [e.start, e.end, labels.setdefault(e.label, len(labels)), round(e.score, DIGITS)]
        for e in answer.entities
    ]
    counts = [answer.segments, answer.violations, round(answer.forwards, 3)]
    counts += [answer.repeated, answer.truncated]
    return [entities, [list(pair) for pair in answer.invented], *counts]


def _unpacked(packed: Sequence[Any], labels: Sequence[str], text: str) -> Answer:
    entities, invented, *counts = packed
    return Answer(
        tuple(Entity(a, b, text[a:b], labels[kind], score) for a, b, kind, score in entities),
        tuple((kind, span) for kind, span in invented),
        *counts,
    )
