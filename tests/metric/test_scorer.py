"""Counting, averages, the 0/0 rule, the splits and the errors of `score_entities`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metric.entity_f1.entities import normalize_uniner
from metric.entity_f1.scorer import UNINER_EPSILON, score_entities

Sentence = list[dict[str, Any]]


def entities(*pairs: tuple[str, str]) -> Sentence:
    return [{"type": kind, "text": text} for kind, text in pairs]


REFERENCES = [
    entities(("person", "Ada"), ("city", "London"), ("misc", "Fellow")),
    entities(("city", "Paris"), ("city", "Rome")),
    entities(),
]
PREDICTIONS = [
    entities(("Person", "Ada"), ("country", "London")),
    entities(("city", "Paris"), ("city", "Paris"), ("misc", "Rome")),
    entities(("person", "Eve")),
]


def test_headline_counts_a_set_per_sentence() -> None:
    result = score_entities(PREDICTIONS, REFERENCES)
    assert result.to_dict() == {
        "precision": 2 / 5,
        "recall": 2 / 5,
        "f1": 2 / 5,
        "tp": 2,
        "fp": 3,
        "fn": 3,
        "support": 5,
    }


def test_sentences_are_not_pooled() -> None:
    swapped = score_entities([entities(("a", "x")), entities()], [entities(), entities(("a", "x"))])
    assert (swapped.tp, swapped.fp, swapped.fn) == (0, 1, 1)


def test_type_case_is_folded_and_text_is_exact() -> None:
    result = score_entities(
        [entities(("STRASSE", "x"), ("city", "london"), ("city", "Rome "))],
        [entities(("Straße", "x"), ("city", "London"), ("city", "Rome"))],
    )
    assert (result.tp, result.fp, result.fn) == (1, 2, 2)


def test_multiset_matches_each_repetition_once() -> None:
    predictions = [entities(("a", "x"), ("a", "x"), ("a", "x"), ("b", "y"))]
    references = [entities(("a", "x"), ("a", "x"), ("b", "y"), ("b", "y"))]
    result = score_entities(predictions, references, matching="multiset")
    assert (result.tp, result.fp, result.fn, result.support) == (3, 1, 1, 4)


def test_span_compares_offsets_and_not_texts() -> None:
    predictions = [[{"type": "a", "start": 0, "end": 3, "text": "one"}, {"type": "a", "start": 4, "end": 7}]]
    references = [[{"type": "A", "start": 0, "end": 3, "text": "two"}, {"type": "a", "start": 4, "end": 8}]]
    result = score_entities(predictions, references, config_name="span")
    assert (result.tp, result.fp, result.fn) == (1, 1, 1)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Royal Society", "royal society"),
        ("  U.S.A.  ", "usa"),
        ("an A-Team", "ateam"),  # punctuation goes first, so no lone "a" is left to delete
        ("A - Team", "team"),
        ("Theory", "theory"),
        ("the The", ""),
        ("naïve\tBayes", "naïve bayes"),
        ("don’t", "don’t"),  # only ASCII punctuation
    ],
)
def test_uniner_normalisation(text: str, normal: str) -> None:
    assert normalize_uniner(text) == normal


def test_uniner_merges_texts_and_adds_its_epsilon() -> None:
    result = score_entities(
        [entities(("a", "The X."), ("a", "x"), ("b", "y"))], [entities(("A", "x"))], matching="uniner"
    )
    assert (result.tp, result.fp, result.fn) == (1, 1, 0)
    precision, recall = 1 / (2 + UNINER_EPSILON), 1 / (1 + UNINER_EPSILON)
    assert (result.precision, result.recall) == (precision, recall)
    assert result.f1 == 2 * precision * recall / (precision + recall + UNINER_EPSILON)
    nothing = score_entities([[]], [[]], matching="uniner", macro=True)
    assert (nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0)


@pytest.mark.parametrize("zero_division", [0.0, 1.0])
def test_zero_division_fills_only_what_is_undefined(zero_division: float) -> None:
    def ratios(predicted: Sentence, gold: Sentence) -> tuple[float, float, float]:
        result = score_entities([predicted], [gold], zero_division=zero_division)
        return result.precision, result.recall, result.f1

    some = entities(("a", "x"))
    assert ratios([], []) == (zero_division, zero_division, zero_division)
    assert ratios([], some) == (zero_division, 0, 0)
    assert ratios(some, []) == (0, zero_division, 0)
    assert ratios(some, some) == (1, 1, 1)
    nothing = score_entities([], [], zero_division=zero_division, macro=True, seen_types=["a"])
    assert nothing.macro is not None
    assert nothing.seen is not None
    assert (nothing.f1, nothing.macro.f1, nothing.seen.f1) == (zero_division,) * 3


def test_per_type_and_macro() -> None:
    result = score_entities(PREDICTIONS, REFERENCES, per_type=True, macro=True)
    assert result.per_type is not None
    assert list(result.per_type) == ["city", "country", "misc", "person"]
    city = result.per_type["city"]
    assert (city.tp, city.fp, city.fn, city.support, city.precision, city.recall) == (1, 0, 2, 3, 1, 1 / 3)
    assert city.f1 == 0.5
    assert result.macro is not None
    assert result.macro.types == 4
    assert result.macro.precision == pytest.approx((1 + 0 + 0 + 0.5) / 4)
    assert result.macro.recall == pytest.approx((1 / 3 + 0 + 0 + 1) / 4)
    assert result.macro.f1 == pytest.approx((0.5 + 0 + 0 + 2 / 3) / 4)


def test_ignored_types_vanish_on_both_sides() -> None:
    result = score_entities(PREDICTIONS, REFERENCES, ignore_types=["MISC"], per_type=True)
    assert (result.tp, result.fp, result.fn) == (2, 2, 2)
    assert result.per_type is not None
    assert "misc" not in result.per_type


def test_seen_and_unseen_types_split_the_counts() -> None:
    result = score_entities(PREDICTIONS, REFERENCES, seen_types={"City", "planet"})
    assert result.seen is not None
    assert result.unseen is not None
    assert (result.seen.tp, result.seen.fp, result.seen.fn) == (1, 0, 2)
    assert (result.unseen.tp, result.unseen.fp, result.unseen.fn) == (1, 3, 1)


def test_to_dict_is_plain_and_has_only_what_was_asked_for() -> None:
    everything = score_entities(
        PREDICTIONS,
        REFERENCES,
        per_type=True,
        macro=True,
        seen_types=["city"],
        bootstrap=10,
        baseline_predictions=REFERENCES,
    ).to_dict()
    assert json.loads(json.dumps(everything))["paired"]["baseline"]["f1"] == 1.0
    assert set(everything) - set(score_entities(PREDICTIONS, REFERENCES).to_dict()) == {
        "per_type",
        "macro",
        "seen",
        "unseen",
        "bootstrap",
        "paired",
    }


GOOD = entities(("a", "x"))


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ([GOOD], r"predictions has 1 sentences and references has 2: sentence 1 has no counterpart"),
        ([GOOD, GOOD, GOOD], r"sentence 2 has no counterpart"),
        ([GOOD, [{"type": "a"}]], r"predictions\[1\]\[0\] has no key 'text'"),
        (
            [GOOD, [{"label": "a", "text": "x"}]],
            r"predictions\[1\]\[0\] has no key 'type'.*rename its key 'label'",
        ),
        (
            [GOOD, [*GOOD, {"type": "a", "text": 7}]],
            r"predictions\[1\]\[1\]\['text'\] must be str, got 7 of type int",
        ),
        ([[{"type": None, "text": "x"}], GOOD], r"predictions\[0\]\[0\]\['type'\] must be str, got None"),
        ([GOOD, None], r"predictions\[1\] must be a list of entities"),
        ([GOOD, {"type": "a", "text": "x"}], r"predictions\[1\] must be a list of entities"),
        ([GOOD, "ab"], r"predictions\[1\] must be a list of entities"),
        ([GOOD, [("a", "x")]], r"predictions\[1\]\[0\] must be a dict, got \('a', 'x'\) of type tuple"),
        ([GOOD, [{"type": "a", "text": "\ud800"}]], r"predictions\[1\]\[0\]\['text'\] must be valid Unicode"),
        (None, r"predictions must be a list with one list of entities per sentence, got None"),
        ("[]", r"predictions must be a list with one list of entities per sentence"),
    ],
)
def test_bad_entities_are_named_by_their_index(predictions: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score_entities(predictions, [GOOD, GOOD])


@pytest.mark.parametrize(
    ("entity", "message"),
    [
        ({"type": "a", "start": 0}, r"references\[0\]\[0\] has no key 'end'"),
        (
            {"type": "a", "start": 0, "end": 2.0},
            r"references\[0\]\[0\]\['end'\] must be int, got 2.0 of type float",
        ),
        ({"type": "a", "start": False, "end": 2}, r"references\[0\]\[0\]\['start'\] must be int, got False"),
        ({"type": "a", "start": 3, "end": 3}, r"references\[0\]\[0\] needs 0 <= start < end.*start=3, end=3"),
        ({"type": "a", "start": -1, "end": 3}, r"needs 0 <= start < end"),
        ({"type": "a", "start": 1, "end": 2**63}, r"needs 0 <= start < end"),
    ],
)
def test_bad_offsets_are_named_by_their_index(entity: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score_entities([[]], [[entity]], config_name="span")


def test_numpy_integers_are_offsets() -> None:
    numpy = pytest.importorskip("numpy")
    entity = {"type": "a", "start": numpy.int64(0), "end": numpy.int32(2)}
    assert score_entities([[entity]], [[{"type": "a", "start": 0, "end": 2}]], config_name="span").tp == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config_name": "spans"}, r"config_name must be one of \['span', 'text'\], got 'spans'"),
        ({"matching": "exact"}, r"matching must be one of .*got 'exact'"),
        ({"matching": "uniner", "config_name": "span"}, r"matching='uniner' compares texts"),
        ({"matching": "uniner", "zero_division": 1.0}, r"matching='uniner' defines 0/0 as 0"),
        ({"zero_division": 0.5}, r"zero_division must be 0.0 or 1.0, got 0.5"),
        ({"zero_division": float("nan")}, r"zero_division must be 0.0 or 1.0"),
        ({"ignore_types": "misc"}, r"ignore_types must be a list of types, got the string 'misc'"),
        ({"ignore_types": None}, r"ignore_types must be a list of types, got None"),
        ({"seen_types": [1]}, r"seen_types must hold strings, got 1"),
        ({"bootstrap": True}, r"bootstrap is the number of resamples"),
        ({"bootstrap": -1}, r"bootstrap is the number of resamples"),
        ({"bootstrap": 10, "confidence_level": 95}, r"confidence_level must lie between 0 and 1.*got 95"),
        ({"baseline_predictions": [GOOD]}, r"also set bootstrap"),
        ({"baseline_predictions": [GOOD, GOOD], "bootstrap": 1}, r"baseline_predictions has 2 sentences"),
        (
            {"baseline_predictions": [[{}]], "bootstrap": 1},
            r"baseline_predictions\[0\]\[0\] has no key 'type'",
        ),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    span = {"start": 0, "end": 1}
    sentences = [[entity | span for entity in GOOD]]
    with pytest.raises(ValueError, match=message):
        score_entities(sentences, sentences, **options)


def test_bootstrap_of_no_sentence_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sentence"):
        score_entities([], [], bootstrap=10)
