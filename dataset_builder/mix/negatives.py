"""Which types are reliably absent: relations between types, and sampled negatives."""

import random
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate

from dataset_builder.mix.sources import Sentence, Span

MIN_SHARED_MENTIONS = 2
MIN_SHARED_RATIO = 0.1
MAX_CONTRAST = 0.02
_LONGEST_LOOKUP = 5


def mention_key(tokens: Sequence[str], span: Span) -> str:
    """The words of a mention, lower-cased, as they are compared."""
    return " ".join(tokens[span.start : span.end]).lower()


def span_types(span: Span) -> tuple[str, ...]:
    """All types of a mention."""
    return (span.type, *span.also)


def is_named(name: str, tokens: Sequence[str]) -> bool:
    """Whether the head word of a type stands in the text, as singular or plural: such a text is about
    the type, and a missing annotation is then no proof that it is absent.
    """
    head = name.split()[-1].lower()
    return not {token.lower() for token in tokens}.isdisjoint((head, head + "s", head + "es"))


def related_types(sentences: Iterable[Sentence], contrast: bool = True) -> dict[str, list[str]]:
    """Pairs of types of one source that may name the same thing in different rows.

    Two types are related if they share mentions (at least two different ones, and a tenth of the smaller
    type's), unless the annotation contrasts them: with ``contrast``, types that occur together in a
    fiftieth of the rarer one's rows are told apart on purpose (departure and destination city) and make
    good negatives.

    Returns:
        type -> sorted related types; types without any are left out.
    """
    mentions: dict[str, set[str]] = defaultdict(set)
    rows: Counter[str] = Counter()
    together: Counter[tuple[str, str]] = Counter()
    for sentence in sentences:
        present: set[str] = set()
        for span in sentence.spans:
            for name in span_types(span):
                mentions[name].add(mention_key(sentence.tokens, span))
                present.add(name)
        ordered = sorted(present)
        rows.update(ordered)
        together.update((one, other) for index, one in enumerate(ordered) for other in ordered[index + 1 :])
    related: dict[str, list[str]] = defaultdict(list)
    names = sorted(mentions)
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            shared = len(mentions[one] & mentions[other])
            smaller = min(len(mentions[one]), len(mentions[other]))
            if shared < MIN_SHARED_MENTIONS or shared < MIN_SHARED_RATIO * smaller:
                continue
            if contrast and together[one, other] >= MAX_CONTRAST * min(rows[one], rows[other]):
                continue
            related[one].append(other)
            related[other].append(one)
    return {name: sorted(related[name]) for name in sorted(related)}


class NegativeSampler:
    """Draws types that a row very probably does not hold, for sources without a closed inventory.

    A type is excluded if it is present, is related to a present one, shares its head word with one
    ("medical condition", "condition") or is named in the text, or if any word sequence of the row was
    annotated with it anywhere in the source. The rest is drawn without replacement, in proportion to the
    number of rows of each type.
    """

    def __init__(self, sentences: Sequence[Sentence]) -> None:
        self.related = related_types(sentences, contrast=False)
        self._types_of: dict[str, set[str]] = defaultdict(set)
        rows: Counter[str] = Counter()
        for sentence in sentences:
            rows.update(sorted({name for span in sentence.spans for name in span_types(span)}))
            for span in sentence.spans:
                self._types_of[mention_key(sentence.tokens, span)].update(span_types(span))
        self._names = sorted(rows)
        self._cumulative = list(accumulate(rows[name] for name in self._names))

    def sample(self, sentence: Sentence, present: set[str], count: int, seed: str) -> list[str]:
        """Draw up to ``count`` absent types.

        Args:
            sentence: the row.
            present: types that are in the row, or were asked of the passage it comes from.
            count: how many to draw; fewer are returned if forty draws each find no more.
            seed: makes the draw reproducible.
        """
        blocked = set(present)
        for name in present:
            blocked.update(self.related.get(name, ()))
        heads = {name.split()[-1] for name in present}
        words = [token.lower() for token in sentence.tokens]
        for start in range(len(words)):
            for end in range(start + 1, min(len(words), start + _LONGEST_LOOKUP) + 1):
                blocked |= self._types_of.get(" ".join(words[start:end]), set())
        generator = random.Random(seed)
        drawn: list[str] = []
        total = self._cumulative[-1] if self._cumulative else 0
        for _ in range(40 * count if total else 0):
            if len(drawn) == count:
                break
            name = self._names[bisect_right(self._cumulative, generator.randrange(total))]
            if name in blocked or name.split()[-1] in heads:
                continue
            blocked.add(name)
            if not is_named(name, sentence.tokens):
                drawn.append(name)
        return drawn
