"""Many labels and long texts: split over prompts, and put together again."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from modeling import EntityExtractor
from modeling.custom_generate.settings import DiffusionSettings
from modeling.extraction.chunking import Limits
from tests.modeling.answers import alike, check
from tests.modeling.tiny import TYPES, tiny_bert, toy_rows


def test_duplicate_labels_are_one(extractor):
    text = "alice met paris"
    answer = extractor.predict_entities(text, ["person", "Person", "  person ", "city"])
    assert alike(answer, extractor.predict_entities(text, ["person", "city"]))
    assert {e["label"] for e in answer} == {"person", "city"}


def test_two_hundred_labels(extractor):
    labels = [*(f"thing {i}" for i in range(100)), "person", *(f"other {i}" for i in range(99))]
    text = "alice met bob in paris . it rained ."
    for way in ({}, {"canvas": "completion", "steps": 2}):
        check(text, labels, extractor.predict_entities(text, labels, **way))
    # Two hundred do not fit a prompt with 58 markers, and nobody has to know.
    assert extractor.settings.max_markers < 200


def test_a_checkpoint_of_few_markers_splits_labels_earlier(tokenizer):
    model = tiny_bert(tokenizer)
    replace(DiffusionSettings.of(model), max_markers=5).apply(model)
    labels = [f"{a}{b}" for a in TYPES for b in range(4)]
    check("alice", labels, EntityExtractor(model, tokenizer).predict_entities("alice", labels))


def test_a_long_text_loses_no_mention_at_its_cuts(trained):
    short = Limits(prompt_tokens=40)  # windows as long as the texts that the network was trained on
    extractor = EntityExtractor.from_pretrained(trained)
    rows = toy_rows(50, seed=3)
    text = " ".join(row["text"] for row in rows)
    alone, at = [], 0
    for row in rows:
        for e in extractor.predict_entities(row["text"], TYPES):
            alone.append((e["start"] + at, e["end"] + at, e["label"]))
        at += len(row["text"]) + 1
    windowed = EntityExtractor(extractor.model, extractor.encoder.tokenizer, limits=short)
    found = windowed.predict_entities(text, TYPES)
    check(text, TYPES, found)
    agreed = {(e["start"], e["end"], e["label"]) for e in found} & set(alone)
    # A neighbouring sentence may tip a close call, but a cut must not lose anything.
    assert len(agreed) > 0.95 * len(alone)
    assert len(found) < 1.05 * len(alone)


def test_a_megabyte_of_text(extractor):
    rows = toy_rows(20_000, seed=5)
    text = " ".join(row["text"] for row in rows)[:1_000_000]
    started = time.monotonic()
    entities = extractor.predict_entities(text, TYPES, steps=1)
    assert time.monotonic() - started < 120
    check(text, TYPES, entities)
    assert len(entities) > 50_000


@pytest.mark.parametrize(
    "text", ["x" * 20_000, "x-" * 5000, "." * 3000, "-".join(["zq7" * 21] * 9) + " alice"]
)
def test_texts_without_ordinary_words(extractor, text):
    # The last one is a single word of more tokens than the network has positions.
    check(text, TYPES, extractor.predict_entities(text, TYPES))
    check(text, TYPES, extractor.predict_entities(text, TYPES, canvas="completion", steps=1))
