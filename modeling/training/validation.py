"""Decoding a small validation sample while a network trains: strict F1 and format compliance."""

import random
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from ..canvas.template import parse_completion
from ..extraction.extractor import EntityExtractor
from .queries import QuerySampler
from .sampler import derived_seed

BATCH = 16


@dataclass(frozen=True)
class Question:
    """Types to ask for in a text, and the (type, span) pairs that are right."""

    types: tuple[str, ...]
    text: str
    gold: frozenset[tuple[str, str]]


def questions(
    rows: Iterable[Mapping[str, Any]], queries: QuerySampler, limit: int, seed: int = 0
) -> list[Question]:
    """Return questions with known answers for the first rows that have them.

    Args:
        rows: prompt/completion rows with ``text`` and ``types``, or entity rows; rows without (or not
            exhaustively annotated) are passed over.
        queries: draws what to ask of an entity row.
        limit: the most questions.
        seed: of those draws.
    """
    found: list[Question] = []
    for number, row in enumerate(rows):
        if len(found) >= limit:
            break
        if "completion" in row:
            if not row.get("types") or not row.get("text"):
                continue
            types = tuple(row["types"])
            pairs = parse_completion(row["completion"], types).entities
            found.append(Question(types, row["text"], frozenset(pairs)))
        elif row.get("exhaustive") is not False:
            draw = derived_seed(seed, number)
            extent = replace(queries.extent(draw), full_list=False)
            query = queries(row, random.Random(draw), extent)
            pairs = [(mention.type, mention.text) for mention in query.mentions]
            found.append(Question(query.types, query.text, frozenset(pairs)))
    return found


@torch.no_grad()
def decode_sample(
    network: Any, tokenizer: PreTrainedTokenizerBase, sample: Sequence[Question], steps: int
) -> dict[str, float]:
    """Return what the network makes of the sample.

    Args:
        network: the model, in eval mode.
        tokenizer: its tokenizer.
        sample: at least one question.
        steps: denoising steps of the completion canvas.

    Returns:
        ``f1``, strict micro-F1 on sets of (type, span), decoded on the checkpoint's own canvas;
        ``format_compliance``, the share of free completions that say something and can be read whole.
    """
    extractor = EntityExtractor(network, tokenizer)
    documents = [(list(question.types), question.text) for question in sample]
    plain = extractor.options("completion", "plain", steps)
    found: list[set[tuple[str, str]]] = [set() for _ in sample]
    unread = [False] * len(sample)
    with warnings.catch_warnings():
        # An untrained network fills any canvas; that is counted here as what cannot be read.
        warnings.simplefilter("ignore", UserWarning)
        for request, prediction in extractor.predict(documents, plain, BATCH):
            found[request.document] |= {(entity.label, entity.text) for entity in prediction.entities}
            found[request.document] |= set(prediction.hallucinations)
            unread[request.document] |= bool(prediction.violations) or not prediction.segments
    if extractor.canvas == "aligned":
        found = [set() for _ in sample]
        for request, prediction in extractor.predict(documents, extractor.options(None, None, None), BATCH):
            found[request.document] |= {(entity.label, entity.text) for entity in prediction.entities}
    right = sum(len(own & question.gold) for own, question in zip(found, sample, strict=True))
    named = sum(len(own) for own in found) + sum(len(question.gold) for question in sample)
    return {
        "f1": 2 * right / named if named else 1.0,
        "format_compliance": 1 - sum(unread) / len(unread),
    }
