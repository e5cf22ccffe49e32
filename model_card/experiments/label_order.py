"""Does an answer depend on the order of the labels, or on labels that the text has no mention of?

    python -m model_card experiment label_order --documents FILE.jsonl

Three questions, asked of ordinary documents under the setting that users get if they name none:

- The labels in five orders: a document changes if an order gives other entities than the first one. Scores of
  the same entity are compared.
- One label more, which the document lacks: how many of the answers to the other labels change.
- Each label alone: of a label that the text has no mention of every answer is a false one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from model_card.evidence.answers import answers_of
from model_card.evidence.documents import Document, read_documents
from model_card.evidence.predictions import Answer
from model_card.experiments.documents import depends, flags
from model_card.experiments.protocol import Context, Experiment
from model_card.figures.documents import label_order

ORDERS = 5
SEED = 0

Scored = dict[tuple[int, int, str], float]  # start, end and label -> score


def orders(labels: Sequence[str], seed: str) -> list[tuple[str, ...]]:
    """Return ``ORDERS`` orders of the labels: as they are, reversed, and shuffled by seed."""
    draw = random.Random(seed)
    shuffled = (tuple(draw.sample(labels, len(labels))) for _ in range(ORDERS - 2))
    return [tuple(labels), tuple(reversed(labels)), *shuffled]


def absent(document: Document, pool: Sequence[str]) -> str | None:
    """Return a label of the pool that the document does not ask for, drawn by seed; None: there is none."""
    others = sorted(set(pool) - set(document.labels))
    return random.Random(f"{SEED}/{document.id}").choice(others) if others else None


def run(context: Context) -> dict[str, Any]:
    """Ask all three questions."""
    documents = read_documents(context.args.documents)[: context.limit]
    return {
        "setting": context.headline.name,
        "documents": len(documents),
        "orders": _orders(context, documents),
        "one_more": _one_more(context, documents),
        "alone": _alone(context, documents),
    }


def _ask(context: Context, asked: Sequence[tuple[Sequence[str], str]]) -> list[Scored]:
    predictor = context.predictor
    answers = answers_of(predictor.extractor, asked, context.headline, predictor.batch_size)
    return [_scored(answer) for (answer,) in answers]


def _scored(answer: Answer) -> Scored:
    return {(e.start, e.end, e.label): e.score for e in answer.entities}


def _orders(context: Context, documents: Sequence[Document]) -> dict[str, Any]:
    asked = [(order, d.text) for d in documents for order in orders(d.labels, f"{SEED}/{d.id}")]
    found = _ask(context, asked)
    changed, largest, entities = 0, 0.0, 0
    for at in range(0, len(found), ORDERS):
        first, *others = found[at : at + ORDERS]
        entities += len(first)
        changed += any(set(other) != set(first) for other in others)
        gaps = (abs(first[key] - other[key]) for other in others for key in first if key in other)
        largest = max(largest, *gaps, 0.0)
    return {"orders": ORDERS, "entities": entities, "changed": changed, "largest_score_difference": largest}


def _one_more(context: Context, documents: Sequence[Document]) -> dict[str, Any]:
    pool = [label for document in documents for label in document.labels]
    chosen = [(d, label) for d in documents if (label := absent(d, pool)) is not None]
    plain = _ask(context, [(d.labels, d.text) for d, _ in chosen])
    more = _ask(context, [((*d.labels, label), d.text) for d, label in chosen])
    answers = changed = false = 0
    for (document, label), before, after in zip(chosen, plain, more, strict=True):
        kept = {key for key in after if key[2] != label}
        for own in document.labels:  # the answer to one label is the set of its mentions
            answers += 1
            changed += {k for k in before if k[2] == own} != {k for k in kept if k[2] == own}
        false += len(after) - len(kept)
    return {"documents": len(chosen), "answers": answers, "changed": changed, "false_entities": false}


def _alone(context: Context, documents: Sequence[Document]) -> dict[str, Any]:
    pool = sorted({label for document in documents for label in document.labels})
    marked = {d.id: {label for _, _, label in d.mentions} for d in documents}
    # Only the labels of a document are known to be marked in it, so a label without a mention is absent.
    lacking = [(d, label) for d in documents for label in d.labels if label not in marked[d.id]]
    having = [(d, label) for d in documents for label in sorted(marked[d.id])]
    false = _ask(context, [((label,), d.text) for d, label in lacking])
    found = _ask(context, [((label,), d.text) for d, label in having])
    right = sum(len(set(own) & set(d.mentions)) for (d, _), own in zip(having, found, strict=True))
    answers = sum(map(len, found)) + sum(map(len, false))
    return {
        "labels": len(pool),
        "asked_absent": len(lacking),
        "answered_absent": sum(bool(own) for own in false),
        "false_entities": sum(map(len, false)),
        "asked_present": len(having),
        "precision": right / answers if answers else 0.0,
    }


EXPERIMENT = Experiment(
    "label_order",
    "answers under five orders of the labels, with one absent label more, and of each label alone",
    run,
    {"label-order": label_order},
    depends=depends,
    flags=flags,
    standard=False,
)
