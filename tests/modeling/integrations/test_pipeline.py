"""The transformers pipeline gives what the extractor gives."""

from __future__ import annotations

import pytest

from modeling import EntityExtractor
from modeling.integrations.pipeline import TASK, ZeroShotNerPipeline
from tests.modeling.tiny import TYPES, toy_rows

TEXTS = [row["text"] for row in toy_rows(12, seed=5)] + ["", "it rained .", "Alice\n visited  Paris town"]


@pytest.fixture(scope="module")
def pipe(extractor: EntityExtractor) -> ZeroShotNerPipeline:
    return ZeroShotNerPipeline(
        model=extractor.model, tokenizer=extractor.encoder.tokenizer, task=TASK, device="cpu"
    )


def as_extracted(entities: list[dict]) -> list[dict]:
    names = {"entity_group": "label", "word": "text"}
    return [{names.get(name, name): value for name, value in entity.items()} for entity in entities]


def alike(found: list[dict], expected: list[dict]) -> bool:
    """Whether two lists name the same entities, with scores equal to rounding (a batch is padded)."""
    return len(found) == len(expected) and all(
        {**a, "score": None} == {**b, "score": None} and a["score"] == pytest.approx(b["score"], abs=1e-5)
        for a, b in zip(found, expected, strict=True)
    )


def test_one_text(pipe, extractor):
    expected = extractor.predict_entities(TEXTS[0], TYPES)
    assert expected
    found = pipe(TEXTS[0], labels=TYPES)
    assert list(found[0]) == ["entity_group", "score", "word", "start", "end"]
    assert as_extracted(found) == expected
    assert pipe(TEXTS[0], TYPES) == found


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize(
    "options", [{}, {"canvas": "completion", "steps": 4}, {"threshold": 0.5}, {"steps": 3, "remasking": True}]
)
def test_many_texts_with_options(pipe, extractor, batch_size, options):
    expected = extractor.batch_predict_entities(TEXTS, TYPES, **options)
    found = pipe(TEXTS, labels=TYPES, batch_size=batch_size, **options)
    assert sum(map(len, expected)) > 5
    for text, entities, wanted in zip(TEXTS, found, expected, strict=True):
        assert alike(as_extracted(entities), wanted), text


def test_texts_with_labels_of_their_own(pipe, extractor):
    own = [TYPES[:1], TYPES[1:], TYPES, *[TYPES[:2]] * (len(TEXTS) - 3)]
    inputs = [{"text": text, "labels": labels} for text, labels in zip(TEXTS, own, strict=True)]
    expected = extractor.batch_predict_entities(TEXTS, own)
    for found in (pipe(inputs, batch_size=5), list(pipe(entry for entry in inputs))):
        for entities, wanted in zip(found, expected, strict=True):
            assert alike(as_extracted(entities), wanted)


def test_labels_and_options_of_the_pipeline_itself(extractor):
    pipe = ZeroShotNerPipeline(
        model=extractor.model,
        tokenizer=extractor.encoder.tokenizer,
        task=TASK,
        device="cpu",
        labels=TYPES,
        threshold=0.4,
    )
    assert as_extracted(pipe(TEXTS[1])) == extractor.predict_entities(TEXTS[1], TYPES, 0.4)
    assert as_extracted(pipe(TEXTS[1], threshold=0.0)) == extractor.predict_entities(TEXTS[1], TYPES)


def test_nothing_in_nothing_out(pipe):
    assert pipe([], labels=TYPES) == []
    assert pipe("", labels=TYPES) == []
    assert pipe(("", ""), labels=TYPES) == [[], []]


def test_what_is_wrong_is_said(pipe):
    with pytest.raises(ValueError, match="no labels given; name the entity types"):
        pipe("Bob")
    with pytest.raises(TypeError, match="unknown option 'top_k'; known are labels, canvas"):
        pipe("Bob", labels=TYPES, top_k=3)
    with pytest.raises(ValueError, match=r"threshold must be a number in \[0, 1\], got 7"):
        pipe("Bob", labels=TYPES, threshold=7)
    with pytest.raises(TypeError, match=r"labels must be a list of strings, got the string 'person'"):
        pipe("Bob", labels="person")
