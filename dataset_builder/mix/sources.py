"""The annotated sets of the mix: origin, licence, how each is read and how much of it is used."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Span:
    """A mention in token positions: ``tokens[start:end]`` (end exclusive) is of type ``type``.

    ``also`` holds further types of the same mention, which are therefore no negatives for it.
    """

    start: int
    end: int
    type: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sentence:
    """One tokenised row on its way through the builder.

    ``group`` names what must stay together in one split (rows of one passage); ``types`` are the listed
    negative candidates of rows whose source has no closed inventory. ``hidden`` are types that may hold in
    the row without being marked there, so that they are neither asked for nor absent.
    """

    id: str
    source: str
    tokens: tuple[str, ...]
    spans: tuple[Span, ...]
    group: str = ""
    types: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    def with_spans(self, spans: tuple[Span, ...]) -> "Sentence":
        """The same sentence with other mentions."""
        return replace(self, spans=spans)


# Licences that allow commercial use of texts and labels.
FREE_LICENCES = frozenset(["CC0", "CC BY 4.0", "CC BY-SA 4.0", "MIT", "Apache-2.0", "public domain"])


def allows_commercial_use(licence: str) -> bool:
    """Whether a licence allows commercial use; of several, joined by " and ", every one must allow it.

    A licence that was not read from the resource itself ("(unverified)") does not count as free.
    """
    return all(part in FREE_LICENCES for part in licence.split(" and "))


@dataclass(frozen=True)
class Source:
    """How one set is used.

    Attributes:
        name: file stem of ``<name>.jsonl.gz`` and value of the ``source`` column.
        origin: the published resource.
        licence: its licence; "(unverified)" where it was not read from the resource itself.
        weight: how often a row is drawn relative to a row of weight 1.
        label_map: key of ``label_map.json`` that spells out the labels, if any.
        cap: most rows kept, chosen so that rare combinations of types stay; ``None`` keeps all.
        exhaustive: false where unmarked spans may be mentions.
        distant: labelled by string matching, so that a label counts only where it is usual for its mention.
        split_words: the tokeniser split inside words and numbers ("long - term", "2 . 5").
        noun_phrases: mentions are whole noun phrases with determiners, which are trimmed.
        related: types of this source may name the same thing in different rows (services or intents with
            inventories of their own), so negatives exclude them (:func:`build.related_types`).
        free_types: types are free words, so that a type which a row lacks may still hold there: negatives are
            drawn row by row and listed.
        nested: mentions stand inside others; each row keeps types whose mentions do not overlap
            (:func:`nesting.one_layer`).
        levels: the types of one mention are levels from fine to general.
        passages: rows are whole passages, which are cut where they are too long.
    """

    name: str
    origin: str
    licence: str
    weight: float = 1.0
    label_map: str | None = None
    cap: int | None = None
    exhaustive: bool = True
    split_words: bool = False
    noun_phrases: bool = False
    distant: bool = False
    related: bool = False
    free_types: bool = False
    nested: bool = False
    levels: bool = False
    passages: bool = False

    @property
    def closed(self) -> bool:
        """Whether a type of the source that is not marked in a row is absent from it."""
        return self.exhaustive and not self.free_types


PILE = Source(
    "pile_ner",
    "Pile-NER-type (subset)",
    "CC BY-NC 4.0 (unverified)",
    weight=5.0,
    split_words=True,
    related=True,
    free_types=True,
)

# In the order of precedence for texts that occur twice: the first one is kept.
SOURCES = (
    Source("fewnerd_inter_dev", "Few-NERD, inter split, dev", "CC BY-SA 4.0", weight=3.0),
    Source("fewnerd_inter_test", "Few-NERD, inter split, test", "CC BY-SA 4.0", weight=3.0),
    Source("multiconer2_en", "MultiCoNER 2, English", "CC BY 4.0", weight=3.0, label_map="multiconer2"),
    Source(
        "gner_MultiNERD",
        "MultiNERD, English, dev and test",
        "CC BY-NC-SA 4.0 (unverified)",
        weight=1.5,
        label_map="multinerd",
        cap=25_000,
    ),
    Source("gner_TweetNER7", "TweetNER7", "unverified"),
    Source("gner_broad_twitter_corpus", "Broad Twitter Corpus", "CC BY 4.0 (unverified)", 0.7, "conll"),
    Source("gum_juandr", "GUM", "unverified", weight=0.7, noun_phrases=True),
    Source(
        "ufet_crowd_multilabel",
        "Ultra-Fine Entity Typing, crowd",
        "unverified",
        weight=0.5,
        exhaustive=False,
        split_words=True,
        noun_phrases=True,
    ),
    Source("bio_BC5CDR-IOB", "BC5CDR (MTL-Bioinformatics-2016)", "CC BY 4.0", 0.7, split_words=True),
    Source("bio_BioNLP13CG-IOB", "BioNLP13CG (MTL-Bioinformatics-2016)", "CC BY 4.0", split_words=True),
    Source("bio_CRAFT-IOB", "CRAFT (MTL-Bioinformatics-2016)", "CC BY 4.0", 0.5, "craft", split_words=True),
    Source("gner_AnatEM", "AnatEM", "CC BY-SA (unverified)", weight=0.7, split_words=True),
    Source("gner_ncbi", "NCBI Disease", "public domain", weight=0.5, split_words=True),
    Source("gner_FabNER", "FabNER", "CC BY (unverified)", weight=0.3, label_map="fabner"),
    Source("matscholar", "Matscholar", "unverified", 0.7, "matscholar", split_words=True),
    Source("aptner", "APTNER", "unverified", label_map="aptner"),
    Source("cs_ner", "contributions-ner-cs", "unverified", weight=0.5, cap=12_000),
    Source("stackoverflow_ner", "StackOverflowNER", "MIT", weight=0.7),
    Source("snips_slots", "Snips NLU", "CC0", weight=0.6, split_words=True, related=True),
    Source("hwu64_slots", "HWU64", "CC BY 4.0", weight=0.6, split_words=True, related=True),
    Source(
        "sgd_slots", "Schema-Guided Dialogue", "CC BY-SA 4.0", 0.6, cap=12_000, split_words=True, related=True
    ),
    Source("atis_slots", "ATIS", "unverified", weight=0.4),
    Source("restaurant8k_slots", "PolyAI Restaurant8k", "CC BY 4.0 (unverified)", 0.2, split_words=True),
    Source(
        "webnlg_distant",
        "WebNLG, distantly labelled",
        "CC BY-NC-SA (unverified)",
        weight=0.3,
        cap=8_000,
        exhaustive=False,
        split_words=True,
        distant=True,
        related=True,
    ),
)


def read_source(directory: Path, source: Source) -> Iterator[Sentence]:
    """Yield the rows of one set, labels as in the file, ids ``<source>-<line>``.

    Raises:
        FileNotFoundError: the set is not in ``directory``.
        ValueError: a mention lies outside its sentence or a row has not the expected keys.
    """
    path = directory / f"{source.name}.jsonl.gz"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the folder must hold every set of the mix")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            row = json.loads(line)
            if set(row) != {"tokenized_text", "ner"}:
                raise ValueError(f"{path}:{number + 1}: keys {sorted(row)}, expected tokenized_text and ner")
            tokens = tuple(row["tokenized_text"])
            spans = tuple(Span(start, last + 1, label) for start, last, label in row["ner"])
            for span in spans:
                if not 0 <= span.start < span.end <= len(tokens):
                    raise ValueError(f"{path}:{number + 1}: {span} lies outside the {len(tokens)} tokens")
            yield Sentence(f"{source.name}-{number}", source.name, tokens, spans)
