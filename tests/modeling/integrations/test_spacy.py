"""The spaCy component gives what the extractor gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling import EntityExtractor
from tests.modeling.tiny import TYPES, toy_rows

spacy = pytest.importorskip("spacy", reason="spaCy is not installed: pip install -r requirements-spacy.txt")

TEXTS = [row["text"] for row in toy_rows(12, seed=6)] + ["", "Alice-Bob/paris(cat)... london!", "  tokyo\n\n"]


@pytest.fixture(scope="module")
def nlp():
    import modeling.integrations.spacy_component  # noqa: F401  # registers the component

    return spacy.blank("en")


@pytest.fixture(scope="module")
def component(extractor: EntityExtractor, nlp):
    from modeling.integrations.spacy_component import DiffusionNer

    return DiffusionNer(extractor, TYPES)


def entities_of(doc) -> list[dict]:
    return [
        {
            "start": e.start_char,
            "end": e.end_char,
            "text": e.text,
            "label": e.label_,
            "score": pytest.approx(e._.score, abs=1e-5),
        }
        for e in doc.ents
    ]


def test_docs_get_the_extractors_entities(nlp, component, extractor):
    expected = extractor.batch_predict_entities(TEXTS, TYPES)
    assert sum(map(len, expected)) > 5
    docs = list(component.pipe(map(nlp, TEXTS), batch_size=4))
    assert [doc.text for doc in docs] == TEXTS
    assert [entities_of(doc) for doc in docs] == expected
    assert entities_of(component(nlp(TEXTS[0]))) == expected[0]


def test_it_is_added_by_name_with_its_settings(nlp, trained, extractor):
    own = spacy.blank("en")
    settings = {"labels": TYPES, "model": str(trained), "threshold": 0.5, "canvas": "completion", "steps": 4}
    own.add_pipe("diffusion_ner", config={**settings, "device": "cpu"})
    expected = extractor.batch_predict_entities(TEXTS, TYPES, 0.5, canvas="completion", steps=4)
    assert [entities_of(doc) for doc in own.pipe(TEXTS)] == expected
    assert own.pipe_factories == {"diffusion_ner": "diffusion_ner"}
    assert own.get_pipe_meta("diffusion_ner").assigns[0] == "doc.ents"


@given(st.text(alphabet="ab -./'é", min_size=1, max_size=30), st.data())
def test_any_character_range_can_be_an_entity(nlp, text, data):
    from modeling.integrations.spacy_component import mark

    places = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    ranges = [(a, b) for a, b in zip(places[::2], places[1::2], strict=False) if a < b]
    entities = [
        {"start": a, "end": b, "text": text[a:b], "label": "thing", "score": 0.5}
        for a, b in ranges
        if text[a:b].strip() == text[a:b] != ""
    ]
    doc = mark(nlp(text), entities)
    assert doc.text == text
    assert entities_of(doc) == entities


def test_a_parse_survives_the_splitting(nlp):
    from spacy.tokens import Doc

    from modeling.integrations.spacy_component import mark

    words = ["Anti-Putin", "rally", "ends"]
    doc = Doc(nlp.vocab, words=words, heads=[1, 2, 2], deps=["amod", "nsubj", "ROOT"])
    mark(doc, [{"start": 5, "end": 10, "text": "Putin", "label": "person", "score": 1.0}])
    assert [token.text for token in doc] == ["Anti-", "Putin", "rally", "ends"]
    assert [token.head.text for token in doc] == ["rally", "Anti-", "ends", "ends"]
    assert [e.text for e in doc.ents] == ["Putin"]


def test_without_labels_it_says_so(nlp):
    with pytest.raises(ValueError, match="no labels given; name at least one entity type"):
        spacy.blank("en").add_pipe("diffusion_ner")
