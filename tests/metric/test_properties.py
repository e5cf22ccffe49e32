"""Properties of the counts on generated input, and a brute-force oracle without sets or counters."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metric.entity_f1.entities import normalize_uniner
from metric.entity_f1.entity_f1 import EntityF1
from metric.entity_f1.scorer import EntityScore, score_entities

Sentence = list[dict[str, Any]]
Pairs = list[tuple[Sentence, Sentence]]
MATCHINGS = ["strict", "multiset", "uniner"]

reproducible = settings(deadline=None, derandomize=True)

# Few values, so that items collide, and awkward ones: case pairs without a one-to-one mapping, articles,
# delimiters of serialised formats, combining marks, the empty string.
TYPES = ["person", "Person", "PERSON", "misc", "STRASSE", "straße", "İ", "i̇", "", "a: b | c"]
TEXTS = [
    "Ada",
    "ada",
    "the Ada",
    "Ada.",
    "A",
    "the",
    "",
    " ",
    "x | y: z",
    "]",
    "e\u0301",
    "é",
    "\x00",
    "\n",
    "😀",
]


def entity_lists(text: st.SearchStrategy[str]) -> st.SearchStrategy[Sentence]:
    offsets = st.tuples(st.integers(0, 3), st.integers(1, 3)).map(
        lambda pair: {"start": pair[0], "end": sum(pair)}
    )
    entity = st.builds(
        lambda kind, words, span: {"type": kind, "text": words, **span}, st.sampled_from(TYPES), text, offsets
    )
    return st.lists(entity, max_size=6)


def documents(
    text: st.SearchStrategy[str] | None = None,
) -> st.SearchStrategy[Pairs]:
    sentence = entity_lists(st.sampled_from(TEXTS) if text is None else text)
    return st.lists(st.tuples(sentence, sentence), max_size=6)


def split(pairs: Pairs) -> tuple[list[Sentence], list[Sentence]]:
    return [first for first, _ in pairs], [second for _, second in pairs]


def oracle(pairs: Pairs, config_name: str, matching: str) -> tuple[int, int, int]:
    """tp, fp, fn by crossing out one reference item for every predicted item, one after the other."""

    def items(sentence: Sentence) -> list[tuple[Any, ...]]:
        keys: list[tuple[Any, ...]] = []
        for entity in sentence:
            kind = entity["type"].casefold()
            if config_name == "span":
                key: tuple[Any, ...] = (kind, entity["start"], entity["end"])
            else:
                key = (kind, normalize_uniner(entity["text"]) if matching == "uniner" else entity["text"])
            if matching == "multiset" or key not in keys:
                keys.append(key)
        return keys

    tp = fp = fn = 0
    for predicted, gold in pairs:
        left = items(gold)
        for key in items(predicted):
            if key in left:
                left.remove(key)
                tp += 1
            else:
                fp += 1
        fn += len(left)
    return tp, fp, fn


def counts(result: Any) -> tuple[int, int, int]:
    return result.tp, result.fp, result.fn


@pytest.mark.parametrize(
    ("config_name", "matching"),
    [("text", name) for name in MATCHINGS] + [("span", "strict"), ("span", "multiset")],
)
@reproducible
@given(pairs=documents())
def test_counts_equal_the_oracle(config_name: str, matching: str, pairs: Pairs) -> None:
    result = score_entities(*split(pairs), config_name=config_name, matching=matching)
    assert counts(result) == oracle(pairs, config_name, matching)
    assert result.support == result.tp + result.fn


@pytest.mark.parametrize("matching", MATCHINGS)
@reproducible
@given(pairs=documents(), zero_division=st.sampled_from([0.0, 1.0]))
def test_bounds_and_definitions(matching: str, pairs: Pairs, zero_division: float) -> None:
    zero_division = 0.0 if matching == "uniner" else zero_division
    result = score_entities(
        *split(pairs), matching=matching, zero_division=zero_division, per_type=True, macro=True
    )
    assert result.per_type is not None
    assert result.macro is not None
    scores: list[Any] = [result, result.macro, *result.per_type.values()]
    for score in scores:
        assert 0 <= score.precision <= 1
        assert 0 <= score.recall <= 1
        assert 0 <= score.f1 <= max(score.precision, score.recall) + 1e-9
    predicted = result.tp + result.fp
    assert result.precision == pytest.approx(result.tp / predicted if predicted else zero_division)
    assert result.recall == pytest.approx(result.tp / result.support if result.support else zero_division)
    if result.precision and result.recall:
        mean = 2 * result.precision * result.recall / (result.precision + result.recall)
        if predicted and result.support:
            assert result.f1 == pytest.approx(mean)


@pytest.mark.parametrize("matching", MATCHINGS)
@reproducible
@given(pairs=documents())
def test_swapping_the_sides_swaps_precision_and_recall(matching: str, pairs: Pairs) -> None:
    predictions, references = split(pairs)
    forward = score_entities(predictions, references, matching=matching)
    backward = score_entities(references, predictions, matching=matching)
    assert (forward.precision, forward.recall) == (backward.recall, backward.precision)
    assert (forward.tp, forward.fp, forward.fn) == (backward.tp, backward.fn, backward.fp)
    assert forward.f1 == pytest.approx(backward.f1, abs=1e-12)


@reproducible
@given(pairs=documents(), seed=st.integers(0, 1000))
def test_order_of_sentences_and_entities_does_not_matter(pairs: Pairs, seed: int) -> None:
    draw = random.Random(seed)
    shuffled = [(draw.sample(one, len(one)), draw.sample(two, len(two))) for one, two in pairs]
    draw.shuffle(shuffled)
    for matching in MATCHINGS:

        def score(order: Pairs, matching: str = matching) -> EntityScore:
            return score_entities(
                *split(order), matching=matching, per_type=True, macro=True, seen_types=["person"]
            )

        assert score(pairs) == score(shuffled)


@reproducible
@given(pairs=documents(), ignored=st.lists(st.sampled_from(TYPES), max_size=3))
def test_ignoring_types_equals_deleting_their_entities(pairs: Pairs, ignored: list[str]) -> None:
    folded = [label.casefold() for label in ignored]

    def without(sentence: Sentence) -> Sentence:
        return [entity for entity in sentence if entity["type"].casefold() not in folded]

    cleaned = [(without(one), without(two)) for one, two in pairs]
    for matching in MATCHINGS:
        options: dict[str, Any] = {"matching": matching, "per_type": True, "macro": True}
        assert score_entities(*split(pairs), ignore_types=ignored, **options) == score_entities(
            *split(cleaned), **options
        )


@reproducible
@given(pairs=documents(), seen=st.lists(st.sampled_from(TYPES), max_size=3))
def test_parts_add_up_to_the_whole(pairs: Pairs, seen: list[str]) -> None:
    result = score_entities(*split(pairs), per_type=True, seen_types=seen)
    assert result.per_type is not None
    splits: list[list[Any]] = [list(result.per_type.values()), [result.seen, result.unseen]]
    for parts in splits:
        totals = [sum(column) for column in zip((0, 0, 0), *map(counts, parts), strict=True)]
        assert tuple(totals) == counts(result)


@reproducible
@given(pairs=documents())
def test_a_perfect_system_scores_one_and_a_multiset_matches_no_less_than_a_set(
    pairs: Pairs,
) -> None:
    predictions, references = split(pairs)
    perfect = score_entities(references, references, zero_division=1.0)
    assert (perfect.precision, perfect.recall, perfect.f1, perfect.fp, perfect.fn) == (1, 1, 1, 0, 0)
    strict = score_entities(predictions, references)
    assert strict.tp <= score_entities(predictions, references, matching="multiset").tp


@reproducible
@given(pairs=documents(), extra=entity_lists(st.sampled_from(TEXTS)))
def test_a_wrong_prediction_lowers_precision_and_leaves_recall(pairs: Pairs, extra: Sentence) -> None:
    predictions, references = split(pairs)
    before = score_entities(predictions, references)
    wrong = [entity | {"type": "never a reference type"} for entity in extra]
    after = score_entities([*predictions, wrong], [*references, []])
    assert (after.tp, after.fn, after.recall) == (before.tp, before.fn, before.recall)
    assert after.fp == before.fp + len({entity["text"] for entity in wrong})


@reproducible
@given(pairs=documents(st.text()))
def test_any_unicode_text_is_scored_or_refused_by_its_index(pairs: Pairs) -> None:
    for matching in MATCHINGS:
        assert counts(score_entities(*split(pairs), matching=matching)) == oracle(pairs, "text", matching)


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, EntityF1]:
    cache = str(tmp_path_factory.mktemp("cache"))
    return {name: EntityF1(name, keep_in_memory=True, cache_dir=cache) for name in ("text", "span")}


@reproducible
@given(pairs=documents(st.text()), config_name=st.sampled_from(["text", "span"]))
def test_nothing_is_changed_on_the_way_through_arrow(
    metrics: dict[str, EntityF1], pairs: Pairs, config_name: str
) -> None:
    predictions, references = split(pairs)
    found = metrics[config_name].compute(predictions=predictions, references=references, per_type=True)
    assert found == score_entities(predictions, references, config_name=config_name, per_type=True).to_dict()


KEYS = st.sampled_from(["type", "text", "start", "end", "label"]) | st.integers()
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
# Nearly right: so that the deeper checks are met as well.
NEARLY = st.lists(
    st.lists(
        st.fixed_dictionaries(
            {"type": st.text(max_size=2) | SCALARS},
            optional={
                "text": st.text(max_size=2) | SCALARS,
                "start": st.integers(),
                "end": st.integers() | SCALARS,
            },
        ),
        max_size=2,
    ),
    max_size=3,
)


@reproducible
@given(junk=JUNK | NEARLY, config_name=st.sampled_from(["text", "span"]))
def test_junk_is_refused_with_a_value_error_or_is_well_formed(junk: Any, config_name: str) -> None:
    required: dict[str, dict[str, type]] = {
        "text": {"type": str, "text": str},
        "span": {"type": str, "start": int, "end": int},
    }
    well_formed = isinstance(junk, list) and all(
        isinstance(sentence, list)
        and all(
            isinstance(entity, dict)
            and all(type(entity.get(field)) is kind for field, kind in required[config_name].items())
            and (config_name == "text" or 0 <= entity["start"] < entity["end"] < 2**63)
            for entity in sentence
        )
        for sentence in junk
    )
    if well_formed:
        result = score_entities(junk, junk, config_name=config_name)
        assert (result.fp, result.fn) == (0, 0)
    else:
        with pytest.raises(ValueError, match=r"^references(\[\d+\])*(\['\w+'\])? "):
            score_entities(junk, junk, config_name=config_name)
