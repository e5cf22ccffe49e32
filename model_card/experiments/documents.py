"""Strict F1 on ordinary documents, by kind: emails, invoices, notes and the like.

    python -m model_card experiment documents --documents FILE.jsonl

All labels of a document are asked at once, under the setting that users get if they name none. A mention is
right if its character offsets and its label are those of the reference.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from model_card.evidence.answers import answers_of
from model_card.evidence.documents import TEST, Counts, checksum, counted, read_documents
from model_card.experiments.protocol import Context, Experiment
from model_card.figures.documents import documents


def flags(parser: argparse.ArgumentParser) -> None:
    """Add the experiment's own flags."""
    parser.add_argument("--documents", type=Path, default=TEST, help="JSON Lines file; default: test.jsonl")


def depends(context: Context) -> dict[str, Any]:
    """Return the checksum of the documents."""
    return {"documents_sha256": checksum(read_documents(context.args.documents)[: context.limit])}


def run(context: Context) -> dict[str, Any]:
    """Score every document, and sum by kind and in all."""
    own = read_documents(context.args.documents)[: context.limit]
    predictor, setting = context.predictor, context.headline
    asked = [(document.labels, document.text) for document in own]
    answers = answers_of(predictor.extractor, asked, setting, predictor.batch_size)
    sums: dict[str, Counts] = {}
    everything = Counts()
    for document, (answer,) in zip(own, answers, strict=True):
        counts = counted({(e.start, e.end, e.label) for e in answer.entities}, document)
        sums[document.kind] = sums.get(document.kind, Counts()) + counts
        everything += counts
    number = Counter(document.kind for document in own)
    return {
        "setting": setting.name,
        "documents": len(own),
        "labels": len({label for document in own for label in document.labels}),
        "kinds": {kind: {"documents": number[kind], **sums[kind].scores()} for kind in sorted(sums)},
        "all": everything.scores(),
    }


EXPERIMENT = Experiment(
    "documents",
    "strict micro-F1 on offsets and label of ordinary documents, all labels of one asked at once",
    run,
    {"documents": documents},
    depends=depends,
    flags=flags,
    standard=False,
)
