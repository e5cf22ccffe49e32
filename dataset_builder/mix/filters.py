"""What is taken out of the sets, by reason: mentions that name nothing, broken mentions, useless rows.

Every removal is counted in a :class:`Tally` with examples, so that the report can show what went and why.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources

import yaml

from dataset_builder.mix.detokenize import normalize_token
from dataset_builder.mix.hashing import stable_hash
from dataset_builder.mix.nesting import one_layer
from dataset_builder.mix.sources import Sentence, Source, Span

_WORDS: dict[str, str] = yaml.safe_load(
    resources.files(__package__).joinpath("words.yaml").read_text("utf-8")
)
PRONOUNS = frozenset(_WORDS["pronouns"].split()) | {
    "no one",
    "each other",
    "one another",
    "every one",
    "some one",
}
FUNCTION_WORDS = frozenset(_WORDS["function_words"].split())
TITLES = frozenset(_WORDS["titles"].split())
_DETERMINERS = frozenset(_WORDS["determiners"].split())
_CLAUSE = re.compile(
    r"(?:^|\s)(?:who|whom|which|whose|that|is|are|was|were|has|had|have|will|would|said|says|n't|--)(?:\s|$)",
    re.I,
)
_PLACEHOLDER = re.compile(
    r"^(?:Question_ID|Question_URL|Answer_to_Question_ID|CODE_BLOCK|OUTPUT_BLOCK|-DOCSTART-)\b"
)
_ABBREVIATION = re.compile(
    r"(?:\w\.)*\w$|(?:Inc|Corp|Co|Ltd|Jr|Sr|St|Mr|Mrs|Ms|Dr|Prof|Ph\.?D|Bros|No|Vol|etc|vs|Fig)$", re.I
)

_YEAR = re.compile(r"1[5-9]\d\d|20\d\d")
EVENTS = frozenset(["event", "sports event", "election"])

MAX_WORDS = 200
MAX_MENTION_WORDS = 20
MAX_NOUN_PHRASE_WORDS = 6
MIN_EMPTY_WORDS = 4
_EXAMPLES = 5
_LONG = f"mention: longer than {MAX_MENTION_WORDS} words"
_PHRASE = "mention: clause or long phrase"
_WHOLE = "mention: whole sentence"
_LEAVES_ENTITIES = frozenset([_LONG, _PHRASE, _WHOLE])
_MARKUP = re.compile(r"& ?(?:lt|gt|amp|nbsp|quot)\b|</?(?:br|ref|div|span|sub|sup)\b")


@dataclass
class Tally:
    """Counts per reason, with the first few examples of each."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, reason: str, example: str) -> None:
        """Count one removal."""
        self.counts[reason] += 1
        if len(self.examples[reason]) < _EXAMPLES and example not in self.examples[reason]:
            self.examples[reason].append(example[:120])

    def as_dict(self) -> dict[str, dict[str, object]]:
        """Reason -> count and examples, most frequent first."""
        ordered = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return {reason: {"count": count, "examples": self.examples[reason]} for reason, count in ordered}


def clean_tokens(sentence: Sentence) -> Sentence:
    """Normalise the tokens and remove empty ones; mentions keep the words they cover, empty mentions vanish.

    "<nUm>", which Matscholar has in the place of every number, becomes a number drawn from the row's id.
    """
    position = [0]
    tokens = []
    for index, token in enumerate(map(normalize_token, sentence.tokens)):
        if "<nUm>" in token:
            token = token.replace("<nUm>", str(1 + stable_hash(f"{sentence.id}:{index}") % 900))
        if token:
            tokens.append(token)
        position.append(len(tokens))
    spans = tuple(
        replace(span, start=position[span.start], end=position[span.end]) for span in sentence.spans
    )
    return replace(
        sentence, tokens=tuple(tokens), spans=tuple(span for span in spans if span.end > span.start)
    )


def no_entity_reason(words: Sequence[str], noun_phrases: bool = False, title: bool = False) -> str | None:
    """Why a mention names nothing, or ``None`` if it may stay.

    Args:
        words: the words of the mention.
        title: the mention stands inside a sentence, where a capital is a sign of a name ("Who", a band).
        noun_phrases: the source marks whole noun phrases, so long ones and clauses are annotation of syntax.
    """
    text = " ".join(words)
    # Capitals are kept: "IT", "WHO" are names, "As" and "No" are symbols of elements.
    named = len(text) > 1 and (text.isupper() or (title and text[0].isupper() and not noun_phrases))
    if (text.lower() in PRONOUNS and not named) or (noun_phrases and text == "us"):
        return "mention: pronoun"
    if len(words) <= (MAX_NOUN_PHRASE_WORDS if noun_phrases else 2) and all(
        word in FUNCTION_WORDS or word in PRONOUNS for word in words
    ):
        return "mention: function words only"
    if not any(character.isalnum() or character in "$£€¥₹₽₩" for character in text):
        return "mention: no letter or digit"
    if len(words) > MAX_MENTION_WORDS:
        return _LONG
    if noun_phrases and (len(words) > MAX_NOUN_PHRASE_WORDS or _CLAUSE.search(text)):
        return _PHRASE
    if _PLACEHOLDER.match(text):
        return "mention: placeholder"
    return None


def trim(span: Span, tokens: Sequence[str], noun_phrases: bool) -> Span:
    """Cut what does not belong to a mention: punctuation at its ends, a full stop that ends the sentence,
    and, for noun phrases, determiners before a lower-case word ("the city", but "The Hague").
    """
    start, end = span.start, span.end
    while end - start > 1 and tokens[end - 1] in (",", ";", ":", "!", "?"):
        end -= 1
    if (
        end - start > 1
        and tokens[end - 1] == "."
        and end == len(tokens)
        and not _ABBREVIATION.match(tokens[end - 2])
    ):
        end -= 1
    while end - start > 1 and tokens[start] in (",", ";", ":", "."):
        start += 1
    if noun_phrases:
        while (
            end - start > 1 and tokens[start].lower() in _DETERMINERS and not tokens[start + 1][:1].isupper()
        ):
            start += 1
        if end - start > 1 and tokens[start] in (
            "the",
            "a",
            "an",
            "this",
            "that",
            "his",
            "her",
            "their",
            "its",
            "our",
        ):
            start += 1
    return replace(span, start=start, end=end)


def with_year(span: Span, tokens: Sequence[str], taken: Collection[int]) -> Span:
    """Let a mention of an event begin at the year before it, as sets mark it in one place and not in the next
    ("the [1982 Commonwealth Games]"). Behind "in" the year may stand for itself.
    """
    year = span.start - 1
    if (
        span.type in EVENTS
        and year >= 0
        and year not in taken
        and _YEAR.fullmatch(tokens[year])
        and tokens[span.start][0].isupper()
        and (
            year == 0 or tokens[year - 1].lower() not in ("in", "since", "until", "by", "and", "-", "–", ",")
        )
    ):
        return replace(span, start=year)
    return span


def resolve_overlaps(spans: Sequence[Span], key: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """Make mentions flat; returns (kept in order, removed).

    Of mentions that overlap the longest stays, then the first. One span with several types stays once: the
    type is chosen by ``key`` (a row id: deterministic, and spread over rows), the others become ``also``.
    """
    types: dict[tuple[int, int], dict[str, None]] = defaultdict(dict)
    for span in spans:
        for name in (span.type, *span.also):
            types[span.start, span.end][name] = None
    kept: list[Span] = []
    removed: list[Span] = []
    for (start, end), names in sorted(types.items(), key=lambda item: (item[0][0] - item[0][1], item[0][0])):
        ordered = sorted(names)
        chosen = ordered[stable_hash(f"{key}:{start}:{end}") % len(ordered)]
        span = Span(start, end, chosen, tuple(name for name in ordered if name != chosen))
        clash = any(start < other.end and other.start < end for other in kept)
        (removed if clash else kept).append(span)
    return tuple(sorted(kept, key=lambda span: span.start)), tuple(removed)


def drop_unusual_labels(sentences: Sequence[Sentence], tally: Tally) -> list[Sentence]:
    """Of a distantly labelled set, keep a label only where its mention bears it at least half as often as the
    label it bears most: "United Kingdom" is a country, and a building only by a wrong match.
    """
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in sentences:
        for span in sentence.spans:
            labels[" ".join(sentence.tokens[span.start : span.end])][span.type] += 1
    cleaned = []
    for sentence in sentences:
        spans = []
        for span in sentence.spans:
            mention = " ".join(sentence.tokens[span.start : span.end])
            if 2 * labels[mention][span.type] >= max(labels[mention].values()):
                spans.append(span)
            else:
                tally.add("mention: label is unusual for it", f"{span.type}: {mention}")
        cleaned.append(sentence.with_spans(tuple(spans)))
    return cleaned


def clean_mentions(sentence: Sentence, source: Source, tally: Tally) -> Sentence | None:
    """Trim, filter and flatten the mentions of one sentence.

    Returns:
        the sentence, with the types that nesting hides, or ``None`` if a mention was removed that is an
        entity or holds some (too long, a clause): its words would be wrong negatives in a source that is
        exhaustive.
    """
    tokens = sentence.tokens
    spans = []
    unmarked = False
    taken = {place for span in sentence.spans for place in range(span.start, span.end)}
    for span in sentence.spans:
        span = with_year(trim(span, tokens, source.noun_phrases), tokens, taken)
        words = tokens[span.start : span.end]
        title = span.start > 0 and tokens[span.start - 1][-1].isalnum()
        reason = no_entity_reason(words, source.noun_phrases, title)
        if reason is None and source.noun_phrases and len(words) > 3 and len(words) >= len(tokens) - 1:
            reason = _WHOLE
        if reason is None:
            spans.append(span)
        else:
            tally.add(reason, f"{span.type}: {' '.join(words)}")
            unmarked = unmarked or reason in _LEAVES_ENTITIES
    if unmarked and source.exhaustive:
        tally.add("row: a long mention was removed", " ".join(tokens))
        return None
    if source.nested:
        layer, hidden = one_layer(spans, sentence.id)
        tally.counts["mention: nested, its type is not asked in the row"] += sum(
            span.type in hidden for span in spans
        )
        sentence = replace(sentence, hidden=tuple(sorted({*sentence.hidden, *hidden})))
        spans = list(layer)
    kept, removed = resolve_overlaps(spans, sentence.id)
    for span in removed:
        tally.add("mention: overlaps a longer one", f"{span.type}: {' '.join(tokens[span.start : span.end])}")
    return sentence.with_spans(kept)


def useless_row_reason(sentence: Sentence, source: Source) -> str | None:
    """Why a whole row is of no use for training, or ``None``."""
    text = " ".join(sentence.tokens)
    if not any(character.isalnum() for character in text):
        return "row: no letter or digit"
    if len(sentence.tokens) > MAX_WORDS:
        return f"row: longer than {MAX_WORDS} words"
    if _PLACEHOLDER.match(text):
        return "row: placeholder"
    if source.name != "stackoverflow_ner" and _MARKUP.search(text):
        return "row: markup"
    if not sentence.spans and not source.exhaustive:
        return "row: no mention left, source is not exhaustive"
    if not sentence.spans and len(sentence.tokens) < MIN_EMPTY_WORDS:
        return f"row: empty and shorter than {MIN_EMPTY_WORDS} words"
    return None
