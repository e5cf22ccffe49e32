"""A document and its types cut into requests that fit the model, and the answers put together again."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from modeling.encoding import EncodedPrompt, PromptEncoder
from modeling.words import windows

OVERLAP = 24  # words that two windows share: longer than any mention worth its name


@dataclass(frozen=True)
class Entity:
    """A mention found: ``text == document[start:end]``, ``score`` in [0, 1]."""

    start: int
    end: int
    text: str
    label: str
    score: float

    def as_dict(self) -> dict:
        """Return the entity as GLiNER shapes it."""
        return {
            "start": self.start,
            "end": self.end,
            "text": self.text,
            "label": self.label,
            "score": self.score,
        }


@dataclass(frozen=True)
class Request:
    """One prompt of one document.

    ``offset`` is where its text begins in the document. Mentions that begin in [``keep_from``,
    ``keep_to``), as offsets into the document, are this request's: the neighbouring windows report
    the others.
    """

    document: int
    prompt: EncodedPrompt
    offset: int
    keep_from: int
    keep_to: int


@dataclass(frozen=True)
class Limits:
    """What one prompt may hold.

    Args:
        prompt_tokens: the most tokens of a prompt.
        types: the most types of a prompt.
        type_tokens: the most tokens that the types of a prompt take.
    """

    prompt_tokens: int = 384
    types: int = 40
    type_tokens: int = 160


def plan(
    encoder: PromptEncoder, documents: Sequence[tuple[Sequence[str], str]], limits: Limits
) -> list[Request]:
    """Return the requests for (types, text) pairs, in order; none for a text without words."""
    groups = [group_types(encoder, types, limits) for types, _ in documents]
    first = [(group, text) for chunks, (_, text) in zip(groups, documents, strict=True) for group in chunks]
    origin = [i for i, chunks in enumerate(groups) for _ in chunks]
    requests: list[Request] = []
    for document, (group, text), prompt in zip(origin, first, encoder.encode_batch(first), strict=True):
        if not prompt.words:
            continue
        if len(prompt) <= limits.prompt_tokens:
            requests.append(Request(document, prompt, 0, 0, len(text)))
        else:
            requests += _windows(encoder, document, prompt, group, limits)
    return requests


def group_types(encoder: PromptEncoder, types: Sequence[str], limits: Limits) -> list[list[str]]:
    """Split types over as many prompts as they need, in order and evenly filled.

    Raises:
        ValueError: one type alone takes more tokens than a prompt has for types, or none at all.
    """
    for name, ids in zip(types, encoder.token_ids(types), strict=True):
        if not ids:
            raise ValueError(
                f"label {name!r} has no token in this model's vocabulary; use a name in other characters"
            )
    costs = [encoder.type_cost(name) for name in types]
    for name, cost in zip(types, costs, strict=True):
        if cost > limits.type_tokens:
            raise ValueError(
                f"label {name!r} takes {cost} tokens, more than the {limits.type_tokens} that a prompt "
                "has for labels; use a shorter name"
            )
    count = max(-(-len(types) // limits.types), -(-sum(costs) // limits.type_tokens))
    size = min(limits.types, -(-len(types) // count))
    chunks: list[list[str]] = [[]]
    spent = 0
    for name, cost in zip(types, costs, strict=True):
        if chunks[-1] and (len(chunks[-1]) >= size or spent + cost > limits.type_tokens):
            chunks.append([])
            spent = 0
        chunks[-1].append(name)
        spent += cost
    return chunks


def _windows(
    encoder: PromptEncoder, document: int, whole: EncodedPrompt, types: list[str], limits: Limits
) -> list[Request]:
    text, words = whole.text, whole.words
    frame = len(whole) - (whole.text_span[1] - whole.text_span[0])
    # A token or two may split differently at the cuts.
    budget = max(1, limits.prompt_tokens - frame - 2)
    following = [*whole.word_positions[1:], whole.text_span[1]]
    costs = [max(1, b - a) for a, b in zip(whole.word_positions, following, strict=True)]
    ranges = windows(text, words, costs, budget, OVERLAP)
    pieces = [text[words[a][0] : words[b - 1][1]] for a, b in ranges]
    prompts = encoder.encode_batch([(types, piece) for piece in pieces])
    # The middle of an overlap decides which of two windows a mention belongs to.
    cuts = [words[(following[0] + this[1]) // 2][0] for this, following in pairwise(ranges)]
    return [
        Request(document, prompt, words[a][0], start, end)
        for prompt, (a, _), start, end in zip(prompts, ranges, [0, *cuts], [*cuts, len(text)], strict=True)
    ]


def flat(entities: Iterable[Entity]) -> list[Entity]:
    """Return entities that do not overlap, in order: of two that do, the surer one stays, then the longer.

    Entities from different prompts over one text (many labels) meet here.
    """
    kept: list[Entity] = []  # by start, so that only the neighbours can overlap
    for entity in sorted(entities, key=lambda e: (-e.score, e.start - e.end, e.start, e.label)):
        at = bisect_left(kept, entity.start, key=lambda e: e.start)
        if (at == 0 or kept[at - 1].end <= entity.start) and (
            at == len(kept) or entity.end <= kept[at].start
        ):
            kept.insert(at, entity)
    return kept
