"""The class that users hold: right offsets, and the same answers however it is called."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from modeling import EntityExtractor
from modeling.backbones.sources import EMBEDDED
from tests.modeling.answers import TOY, alike, check
from tests.modeling.canvas.test_encoding import TEXTS
from tests.modeling.canvas.test_words import anything
from tests.modeling.tiny import TYPES

WAYS: list[dict[str, Any]] = [
    {},
    {"steps": 1},
    {"remasking": True, "steps": 6},
    {"canvas": "completion", "steps": 3},
    {"canvas": "completion", "decoding": "plain", "steps": 3},
]


@pytest.fixture(scope="module")
def embedded() -> EntityExtractor:
    if not (EMBEDDED / "config.json").is_file():
        pytest.skip("the embedded model is not in modeling/mini")
    return EntityExtractor.from_pretrained()


# What holds for every answer.


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", [*TEXTS, *TOY[:4]])
def test_offsets_labels_and_scores(extractor, text, way):
    check(text, TYPES, extractor.predict_entities(text, TYPES, **way))


@pytest.mark.parametrize("way", [{"canvas": "aligned"}, {"canvas": "completion", "steps": 1}])
@pytest.mark.parametrize("text", TEXTS)
def test_offsets_labels_and_scores_with_a_byte_level_tokenizer(dream, text, way):
    check(text, TYPES, dream.predict_entities(text, TYPES, **way))


@given(anything)
@settings(max_examples=40)
def test_offsets_in_any_text(extractor, text):
    check(text, TYPES, extractor.predict_entities(text, TYPES, outside_bias=-3.0))


def test_the_toy_language_is_read(extractor):
    entities = extractor.predict_entities("Alice Smith visited the PARIS . it rained .", ["city", "Person"])
    assert [(e["start"], e["end"], e["text"], e["label"]) for e in entities] == [
        (0, 11, "Alice Smith", "Person"),
        (24, 29, "PARIS", "city"),
    ]
    assert all(e["score"] > 0.5 for e in entities)
    assert extractor.predict_entities("it rained . it rained .", TYPES) == []


@pytest.mark.parametrize("text", ["", "   ", "\n\t\r\n", "\x00\x01", "\u200b\ufeff"])
@pytest.mark.parametrize("way", WAYS)
def test_a_text_without_words_has_no_entities(extractor, text, way):
    assert extractor.predict_entities(text, TYPES, **way) == []
    assert list(extractor.stream(text, TYPES, **way)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("👩🏽\u200d🚀 alice 🎉 paris", {"alice", "paris"}),
        ("\u202bעברית alice الرياض paris\u202c", {"alice", "paris"}),
        ("alice\x00 met \x00\x00paris", {"alice", "paris"}),
        ("\ud800 alice met \udfff paris", {"alice", "paris"}),
        ("\r\n\u3000alice\u2003met\u00a0paris\u2028", {"alice", "paris"}),
    ],
)
def test_odd_characters_do_not_shift_the_offsets(extractor, text, found):
    entities = extractor.predict_entities(text, TYPES)
    check(text, TYPES, entities)
    assert found <= {e["text"] for e in entities}


# However it is called.


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_is_the_same_as_one_by_one(extractor, way):
    texts = [*TOY[:4], "", *TEXTS[:3]] if way.get("canvas") == "completion" else [*TOY[:12], "", *TEXTS]
    alone = [extractor.predict_entities(text, TYPES, **way) for text in texts]
    for size in (3, 16):
        together = extractor.batch_predict_entities(texts, TYPES, batch_size=size, **way)
        assert all(map(alike, together, alone)), size


def test_every_text_may_have_labels_of_its_own(extractor):
    texts, labels = TOY[:6], [["person"], ["city", "animal"], TYPES, ["animal"], ["city"], TYPES[::-1]]
    answers = extractor.batch_predict_entities(texts, labels)
    for text, own, answer in zip(texts, labels, answers, strict=True):
        assert alike(answer, extractor.predict_entities(text, own))
        check(text, own, answer)


def test_texts_and_labels_may_be_any_iterable(extractor):
    expected = extractor.batch_predict_entities(TOY[:2], TYPES)
    assert extractor.batch_predict_entities(tuple(TOY[:2]), tuple(TYPES)) == expected
    assert extractor.batch_predict_entities((text for text in TOY[:2]), dict.fromkeys(TYPES)) == expected
    assert extractor.batch_predict_entities([], TYPES) == []


def test_the_cache_changes_nothing(extractor):
    for canvas in ("aligned", "completion"):
        cached = extractor.batch_predict_entities(TOY, TYPES, canvas=canvas, steps=3)
        plain = extractor.batch_predict_entities(TOY, TYPES, canvas=canvas, steps=3, use_cache=False)
        assert all(map(alike, cached, plain))


def test_many_threads_give_the_answers_of_one(extractor):
    jobs: list[Callable[[], Any]] = []
    for i, text in enumerate(TOY * 3):
        way = [{}, {"steps": 2}, {"canvas": "completion", "steps": 1}][i % 3]
        own = TYPES[: 1 + i % 3]
        jobs.append(lambda text=text, own=own, way=way: extractor.predict_entities(text, own, **way))
    alone = [job() for job in jobs]
    with ThreadPoolExecutor(32) as pool:
        together = list(pool.map(lambda job: job(), jobs))
    assert together == alone


def test_a_threshold_leaves_out_the_unsure(extractor):
    everything = [e for t in TOY for e in extractor.predict_entities(t, TYPES, outside_bias=-4.0)]
    bound = sorted(e["score"] for e in everything)[len(everything) // 2]
    kept = [e for t in TOY for e in extractor.predict_entities(t, TYPES, bound, outside_bias=-4.0)]
    assert kept == [e for e in everything if e["score"] >= bound]
    assert 0 < len(kept) < len(everything)


def test_the_bias_moves_precision_against_recall(extractor):
    counts = [
        sum(len(e) for e in extractor.batch_predict_entities(TOY, TYPES, outside_bias=bias))
        for bias in (-40.0, 0.0, 40.0)
    ]
    assert counts[0] > counts[1] > counts[2]


def test_sampling_repeats_with_its_seed(extractor):
    text = " ".join(TOY[:4])

    def sample(seed: int | None) -> list[dict]:
        return extractor.predict_entities(text, TYPES, temperature=3.0, seed=seed)

    assert sample(1) == sample(1)
    assert len({str(sample(seed)) for seed in range(5)}) > 1
    for seed in range(3):
        check(text, TYPES, sample(seed))


# The embedded model.


def test_the_embedded_model_reads_english(embedded):
    text = "Tim Cook visited the Apple campus in Cupertino."
    entities = embedded.predict_entities(text, ["person", "organization", "location"])
    check(text, ["person", "organization", "location"], entities)
    assert ("Tim Cook", "person") in {(e["text"], e["label"]) for e in entities}
    assert ("Cupertino", "location") in {(e["text"], e["label"]) for e in entities}


def test_the_embedded_model_answers_alike_in_batches_and_streams(embedded):
    texts = [
        "Marie Curie was born in Warsaw.",
        "It rained.",
        "",
        "The Rhine flows through Basel and Cologne.",
    ]
    labels = ["person", "city", "river"]
    alone = [embedded.predict_entities(text, labels) for text in texts]
    assert all(map(alike, embedded.batch_predict_entities(texts, labels), alone))
    for text, answer in zip(texts, alone, strict=True):
        steps = list(embedded.stream(text, labels))
        assert alike(steps[-1]["entities"], answer) if steps else answer == []


def test_the_embedded_model_lies_in_the_repository():
    assert Path("modeling/mini").parts == EMBEDDED.parts[-2:]
