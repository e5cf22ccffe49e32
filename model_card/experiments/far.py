"""Strict entity F1 on sets that a model's training left out, whose domains are far from it.

    python -m model_card experiment far --sets manufacturing.jsonl.gz threats.jsonl.gz
    python -m model_card experiment far --mix runs/mix --sets gner_FabNER aptner --trained-by CONFIG.yaml

A set is a file of JSON Lines with ``{"tokenized_text": [word, ...], "ner": [[first, last, type], ...]}``, the
last word included, or with ``--mix`` a source of that mix. All types of a set are asked at once; the score is
micro-F1 on exact (text, type), a set per sentence. At most ``--sentences`` of a set are drawn by seed.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from dataset_builder.benchmarks import Benchmark, Entity, Sentence
from dataset_builder.mix.built import read_sources
from model_card.evidence.evaluate import evaluate
from model_card.evidence.files import lines_of
from model_card.evidence.setting import Setting
from model_card.experiments.protocol import Context, Experiment
from model_card.figures.far import far
from model_card.flags import UsageError
from modeling.cli.flags import positive_number

SPLITS = ("train", "validation")
SEED = 0
RESAMPLES = 1000


def read_tokenized(path: Path) -> list[Sentence]:
    """Return the sentences of a file of tokenised rows, with the words joined by single spaces.

    Raises:
        ValueError: a row has no such fields, or an entity is not within the words.
    """
    return [_tokenized(json.loads(line), path, number) for number, line in enumerate(lines_of(path), 1)]


def _tokenized(row: dict[str, Any], path: Path, number: int) -> Sentence:
    try:
        words, marked = row["tokenized_text"], row["ner"]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{path}, line {number}: expected "tokenized_text" and "ner", got {row!r:.80}'
        ) from error
    starts, at = [], 0
    for word in words:
        starts.append(at)
        at += len(word) + 1
    text = " ".join(words)
    entities = []
    for first, last, kind in marked:
        if not 0 <= first <= last < len(words):
            raise ValueError(
                f"{path}, line {number}: words {first} to {last} of {len(words)}, counted from 0"
            )
        start, end = starts[first], starts[last] + len(words[last])
        entities.append(Entity(kind, text[start:end], start, end))
    return Sentence(f"{path.name}/{number}", text, tuple(sorted(entities, key=lambda e: (e.start, e.end))))


def read_mix(mix: Path, names: Collection[str]) -> dict[str, tuple[str, list[str], list[Sentence]]]:
    """Return title, types and sentences of sources of a mix, of both splits.

    Raises:
        FileNotFoundError: the folder is no mix.
        ValueError: it lacks a source, or a source does not mark all mentions.
    """
    sources = read_sources(mix)
    for name in names:
        if name not in sources:
            raise ValueError(f"{mix} holds no source {name!r}; it has {', '.join(sources)}")
        if not sources[name]["exhaustive"]:
            raise ValueError(f"{name} does not mark all its mentions, so answers cannot be judged by it")
    found: dict[str, list[Sentence]] = {name: [] for name in names}
    for row in _rows(mix):
        if row["source"] in found:
            entities = (Entity(e["type"], e["text"], e["start"], e["end"]) for e in row["entities"])
            found[row["source"]].append(Sentence(row["id"], row["text"], tuple(entities)))
    return {name: (sources[name]["origin"], sources[name]["types"], found[name]) for name in names}


def _rows(mix: Path) -> Iterator[dict[str, Any]]:
    for split in SPLITS:
        with gzip.open(mix / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def load_far(names: Sequence[str], mix: Path | None, count: int) -> list[Benchmark]:
    """Return at most ``count`` sentences of each set, drawn by seed, as benchmarks.

    Raises:
        OSError, ValueError: a set cannot be read; see `read_tokenized` and `read_mix`.
    """
    if mix is not None:
        found = read_mix(mix, names)
    else:
        found = {}
        for name in names:
            stem, sentences = Path(name).name.split(".")[0], read_tokenized(Path(name))
            found[stem] = (stem, sorted({e.type for s in sentences for e in s.entities}), sentences)
    return [_drawn(name, *own, count) for name, own in found.items()]


def _drawn(name: str, title: str, types: Collection[str], sentences: list[Sentence], count: int) -> Benchmark:
    drawn = tuple(random.Random(SEED).sample(sentences, min(count, len(sentences))))
    checksum = hashlib.sha256(repr(drawn).encode()).hexdigest()
    return Benchmark(name, title, tuple(sorted(types)), drawn, "far", name, checksum)


def check_left_out(config: Path, names: Collection[str]) -> None:
    """Check that a training configuration names its sources, and none of these among them.

    Raises:
        UsageError: it does not.
    """
    trained = yaml.safe_load(config.read_text(encoding="utf-8")).get("sources")
    if trained is None:
        raise UsageError(f"{config} trains on all sources of the mix, so none is far from it")
    if both := [name for name in names if name in trained]:
        raise UsageError(f"{config} trains on {', '.join(both)}: name other sources with --sets")


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the experiment's own flags."""
    parser.add_argument("--sets", nargs="+", required=True, help="files, or with --mix names of its sources")
    parser.add_argument("--mix", type=Path, help="folder that dataset_builder.mix wrote")
    parser.add_argument("--trained-by", type=Path, help="YAML file of the training: checked to lack the sets")
    parser.add_argument("--sentences", type=positive_number, default=1000, help="of a set; default: 1000")
    parser.add_argument("--steps", type=positive_number, nargs="+", default=[1, 8], help="default: 1 8")


def depends(context: Context) -> dict[str, Any]:
    """Return the checksums of what is drawn."""
    args = context.args
    if args.trained_by is not None:
        check_left_out(args.trained_by, args.sets)
    sets = load_far(args.sets, args.mix, args.sentences)
    return {"data_sha256": {b.name: b.sha256 for b in sets}, "steps": args.steps}


def run(context: Context) -> dict[str, Any]:
    """Score every set under the default canvas, at each number of steps."""
    args, predictor = context.args, context.predictor
    sets = load_far(args.sets, args.mix, args.sentences)
    settings = [Setting(context.canvases[0], steps=steps) for steps in args.steps]
    return {
        "sentences": args.sentences,
        "titles": {b.name: b.title for b in sets},
        "types": {b.name: len(b.types) for b in sets},
        "settings": {
            setting.name: {
                b.name: evaluate(
                    predictor.extractor,
                    b,
                    setting,
                    limit=context.limit,
                    batch_size=predictor.batch_size,
                    bootstrap=RESAMPLES,
                    progress=predictor.progress,
                )
                for b in sets
            }
            for setting in settings
        },
    }


EXPERIMENT = Experiment(
    "far",
    "strict micro-F1 on exact (text, type) of sets that training left out, all types of a set at once",
    run,
    {"far": far},
    depends=depends,
    flags=flags,
    standard=False,
)
