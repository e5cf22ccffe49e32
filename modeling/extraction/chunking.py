"""A document and its types cut into requests that fit the model, and the answers put together again."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..canvas.encoding import EncodedPrompt, PromptEncoder
from ..canvas.words import windows

OVERLAPS = ("surest", "longest")
_STRETCH = 256  # characters
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
    the others. ``spent`` are the forwards that earlier tries at this text took.
    """

    document: int
    prompt: EncodedPrompt
    offset: int
    keep_from: int
    keep_to: int
    spent: int = 0

    @property
    def size(self) -> int:
        """Tokens of the prompt and words of its text: what a batch of it costs."""
        return len(self.prompt) + len(self.prompt.words)

    def placed(self, entities: Iterable[Entity], threshold: float = 0.0) -> Iterator[Entity]:
        """Yield this request's own entities with offsets into the document, of those read off its prompt."""
        for entity in entities:
            start, end = entity.start + self.offset, entity.end + self.offset
            if self.keep_from <= start < max(self.keep_to, 1) and entity.score >= threshold:
                yield Entity(start, end, entity.text, entity.label, entity.score)


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
    costs = [encoder.type_cost(name) for name in types]
    for name, cost in zip(types, costs, strict=True):
        if not cost:
            raise ValueError(
                f"label {name!r} has no token in this model's vocabulary; use a name in other characters"
            )
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


def split(encoder: PromptEncoder, request: Request, spent: int = 0) -> list[Request]:
    """Return two requests for the halves of a request's text, which share ``OVERLAP`` words.

    Both report together what the whole one would. A text of so few words that the halves would be
    little but overlap is not split: the answer is an empty list.

    Args:
        spent: forwards that the whole one took.
    """
    words, text = request.prompt.words, request.prompt.text
    if len(words) < 2 * OVERLAP:
        return []
    middle = len(words) // 2
    cut = min(max(request.offset + words[middle][0], request.keep_from), request.keep_to)
    ranges = [(0, middle + OVERLAP // 2), (middle - OVERLAP // 2, len(words))]
    pieces = [text[words[a][0] : words[b - 1][1]] for a, b in ranges]
    first, second = encoder.encode_batch([(request.prompt.types, piece) for piece in pieces])
    offsets = [request.offset + words[a][0] for a, _ in ranges]
    return [
        Request(request.document, first, offsets[0], request.keep_from, cut, spent),
        Request(request.document, second, offsets[1], cut, request.keep_to),
    ]


def pack(
    requests: Iterable[Request], batch_size: int, batch_tokens: int | None = None
) -> Iterator[list[Request]]:
    """Yield batches of requests of like length, the longest first.

    Args:
        batch_size: the most requests of a batch.
        batch_tokens: the most that requests x longest (tokens and words) of a batch may be; default: no
            bound. A longer request runs alone.
    """
    batch: list[Request] = []
    for request in sorted(requests, key=lambda r: (-r.size, r.document, r.offset)):
        full = len(batch) == batch_size
        if batch and (full or (batch_tokens and (len(batch) + 1) * batch[0].size > batch_tokens)):
            yield batch
            batch = []
        batch.append(request)
    if batch:
        yield batch


def flat(entities: Iterable[Entity], overlaps: str = "surest") -> list[Entity]:
    """Return entities that do not overlap, in order.

    Entities from different prompts over one text (many labels) meet here, and those that one completion
    writes over each other.

    Args:
        overlaps: of two that overlap, ``"surest"`` keeps the surer one, then the longer; ``"longest"``
            the longer one, then the surer.
    """
    kept: list[Entity] = []  # by start, so that only the neighbours can overlap
    for entity in _ranked(entities, overlaps):
        at = bisect_left(kept, entity.start, key=lambda e: e.start)
        if (at == 0 or kept[at - 1].end <= entity.start) and (
            at == len(kept) or entity.end <= kept[at].start
        ):
            kept.insert(at, entity)
    return kept


def nested(entities: Iterable[Entity], overlaps: str = "surest") -> list[Entity]:
    """Return entities of which one may hold another but none crosses another, in order, the outer one first.

    The same place may have several labels, but not one twice. ``overlaps`` is as in ``flat``.
    """
    kept: list[Entity] = []
    near: dict[int, list[Entity]] = {}  # by stretch of the text, so that only neighbours are compared
    for entity in _ranked(entities, overlaps):
        stretches = range(entity.start // _STRETCH, entity.end // _STRETCH + 1)
        if all(_may_nest(entity, other) for s in stretches for other in near.get(s, ())):
            kept.append(entity)
            for stretch in stretches:
                near.setdefault(stretch, []).append(entity)
    return sorted(kept, key=lambda e: (e.start, -e.end, e.label))


def _ranked(entities: Iterable[Entity], overlaps: str) -> list[Entity]:
    if overlaps == "longest":
        return sorted(entities, key=lambda e: (e.start - e.end, -e.score, e.start, e.label))
    return sorted(entities, key=lambda e: (-e.score, e.start - e.end, e.start, e.label))


def _may_nest(one: Entity, other: Entity) -> bool:
    if (one.start, one.end) == (other.start, other.end):
        return one.label != other.label
    apart = one.end <= other.start or other.end <= one.start
    inside = other.start <= one.start and one.end <= other.end
    around = one.start <= other.start and other.end <= one.end
    return apart or inside or around
