"""A spaCy component that fills ``doc.ents`` with entities of any type.

>>> import spacy, modeling.integrations.spacy_component  # the import registers the component
>>> nlp = spacy.blank("en")
>>> component = nlp.add_pipe("diffusion_ner", config={"labels": ["person", "organization"]})
>>> [(entity.text, entity.label_) for entity in nlp("Ronaldo plays for Al Nassr").ents]

spaCy is optional: ``pip install -r requirements-spacy.txt``.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc, Span, Token
from spacy.util import minibatch

from ..canvas.template import check_types
from ..extraction.extractor import EntityExtractor

NAME = "diffusion_ner"


class DiffusionNer:
    """Runs an extractor over docs.

    Entities replace those that the doc has; their probability is ``span._.score``. spaCy's tokens need not
    end where a mention does: such a token is split, so that the entities are exactly the extractor's.

    Args:
        extractor: what finds the entities.
        labels: the entity types to look for.
        threshold: the least score of an entity, in [0, 1].
        options: the other options of ``EntityExtractor.predict_entities``.
    """

    def __init__(
        self, extractor: EntityExtractor, labels: Iterable[str], threshold: float = 0.0, **options: Any
    ) -> None:
        self.extractor = extractor
        self.labels = check_types(list(labels))
        self.threshold = threshold
        self.options = options
        extractor.options(None, options.get("decoding"), options.get("steps"), threshold=threshold)

    def __call__(self, doc: Doc) -> Doc:
        """Return the doc with its entities."""
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], batch_size: int = 16) -> Iterator[Doc]:
        """Yield the docs with their entities, ``batch_size`` of them read at once."""
        for docs in minibatch(stream, batch_size):
            found = self.extractor.batch_predict_entities(
                [doc.text for doc in docs],
                self.labels,
                self.threshold,
                batch_size=batch_size,
                **self.options,
            )
            for doc, entities in zip(docs, found, strict=True):
                yield mark(doc, entities)


def mark(doc: Doc, entities: Iterable[dict[str, Any]]) -> Doc:
    """Give a doc entities as ``EntityExtractor`` returns them, in order and not overlapping."""
    entities = list(entities)
    split_tokens(doc, {place for entity in entities for place in (entity["start"], entity["end"])})
    spans = []
    for entity in entities:
        span = doc.char_span(entity["start"], entity["end"], label=entity["label"])
        assert span is not None  # there is a token boundary at both ends now
        span._.score = entity["score"]
        spans.append(span)
    doc.set_ents(spans)
    return doc


def split_tokens(doc: Doc, places: set[int]) -> None:
    """Split the tokens that one of the places, as character offsets, lies inside of."""
    with doc.retokenize() as retokenizer:
        for token in doc:
            cuts = [place - token.idx for place in places if token.idx < place < token.idx + len(token)]
            if cuts:
                pieces = [token.text[a:b] for a, b in pairwise([0, *sorted(cuts), len(token)])]
                # The first piece keeps the token's place in a parse; the others hang on it.
                heads: list[Token | tuple[Token, int]] = [(token, 0) for _ in pieces]
                if token.head != token:
                    heads[0] = token.head
                retokenizer.split(token, pieces, heads=heads)


@Language.factory(
    NAME,
    assigns=["doc.ents", "token.ent_iob", "token.ent_type", "span._.score"],
    default_config={
        "labels": [],
        "model": None,
        "threshold": 0.0,
        "steps": None,
        "decoding": None,
        "canvas": None,
        "device": None,
        "revision": None,
    },
)
def create_component(
    nlp: Language,
    name: str,
    labels: list[str],
    model: str | None,
    threshold: float,
    steps: int | None,
    decoding: str | None,
    canvas: str | None,
    device: str | None,
    revision: str | None,
) -> DiffusionNer:
    """Return the component of one pipeline.

    Args:
        nlp: the pipeline; not used.
        name: of the component; not used.
        labels: the entity types to look for.
        model, device, canvas, revision: see ``EntityExtractor.from_pretrained``.
        threshold, steps, decoding: see ``EntityExtractor.predict_entities``.

    Raises:
        ValueError: no labels, or an option is wrong.
        OSError: the model cannot be loaded.
    """
    check_types(labels)  # before the model loads
    extractor = EntityExtractor.from_pretrained(model, device=device, canvas=canvas, revision=revision)
    return DiffusionNer(extractor, labels, threshold, steps=steps, decoding=decoding)


if not Span.has_extension("score"):
    Span.set_extension("score", default=None)
