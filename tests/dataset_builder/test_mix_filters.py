"""What is filtered out of the sets, and what must stay."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.mix.filters import (
    Tally,
    clean_mentions,
    clean_tokens,
    drop_unusual_labels,
    no_entity_reason,
    resolve_overlaps,
    useless_row_reason,
)
from dataset_builder.mix.sources import Sentence, Source, Span

PLAIN = Source("plain", "a test", "none")
PHRASES = Source("phrases", "a test", "none", noun_phrases=True)


def sentence(text: str, *spans: Span) -> Sentence:
    return Sentence("row-0", "plain", tuple(text.split()), spans)


def mentions(row: Sentence) -> list[str]:
    return [" ".join(row.tokens[span.start : span.end]) for span in row.spans]


@pytest.mark.parametrize("text", ["he", "It", "those", "no one", "I", "which"])
def test_pronouns_are_no_entities(text: str) -> None:
    assert no_entity_reason(text.split()) == "mention: pronoun"


@pytest.mark.parametrize(
    "text", ["us", "IT", "WHO", "May", "The Who", "be quick", "Will", "the city", "NO", "As"]
)
def test_names_that_look_like_function_words_stay(text: str) -> None:
    assert no_entity_reason(text.split()) is None


def test_a_capital_inside_a_sentence_marks_a_name() -> None:
    row = clean_mentions(sentence("He likes He", Span(0, 1, "person"), Span(2, 3, "band")), PLAIN, Tally())
    assert row is not None
    assert row.spans == (Span(2, 3, "band"),)


@pytest.mark.parametrize(
    ("text", "reason"), [("as be", "function words only"), ("( --", "no letter or digit")]
)
def test_mentions_without_content_go(text: str, reason: str) -> None:
    assert no_entity_reason(text.split()) == f"mention: {reason}"


def test_currency_signs_are_entities() -> None:
    assert no_entity_reason(["$"]) is None


def test_noun_phrases_lose_determiners_and_pronouns_but_names_do_not() -> None:
    row = sentence(
        "They saw the old harbour and The Hague",
        Span(0, 1, "person"),
        Span(2, 5, "place"),
        Span(6, 8, "place"),
    )
    tally = Tally()
    cleaned = clean_mentions(row, PHRASES, tally)
    assert cleaned is not None
    assert mentions(cleaned) == ["old harbour", "The Hague"]
    assert tally.counts == {"mention: pronoun": 1}
    assert tally.examples["mention: pronoun"] == ["person: They"]


def test_punctuation_at_the_end_of_a_mention_is_cut_but_abbreviations_stay() -> None:
    cleaned = clean_mentions(
        sentence("we met Ann Lee , and Bob Jr .", Span(2, 5, "person"), Span(6, 8, "person")), PLAIN, Tally()
    )
    assert cleaned is not None
    assert mentions(cleaned) == ["Ann Lee", "Bob Jr"]
    abbreviation = clean_mentions(sentence("shares of Acme Inc .", Span(2, 5, "company")), PLAIN, Tally())
    assert abbreviation is not None
    assert mentions(abbreviation) == ["Acme Inc ."]


def test_a_row_whose_long_mention_went_is_dropped_where_unmarked_words_count_as_negatives() -> None:
    row = sentence("the man who sold the world of yesterday left", Span(0, 8, "person"))
    assert clean_mentions(row, PHRASES, Tally()) is None
    open_source = Source("open", "a test", "none", exhaustive=False, noun_phrases=True)
    kept = clean_mentions(row, open_source, Tally())
    assert kept is not None
    assert kept.spans == ()
    assert useless_row_reason(kept, open_source) == "row: no mention left, source is not exhaustive"


def test_the_longest_of_overlapping_mentions_stays() -> None:
    kept, removed = resolve_overlaps(
        [Span(0, 2, "a"), Span(1, 5, "b"), Span(4, 6, "c"), Span(6, 7, "d")], "row"
    )
    assert kept == (Span(1, 5, "b"), Span(6, 7, "d"))
    assert set(removed) == {Span(0, 2, "a"), Span(4, 6, "c")}


def test_one_span_with_several_types_keeps_them_as_alternatives() -> None:
    spans = [Span(2, 3, name) for name in ("person", "artist", "man")]
    chosen = set()
    for number in range(30):
        (kept,), removed = resolve_overlaps(spans, f"row-{number}")
        assert removed == ()
        assert sorted((kept.type, *kept.also)) == ["artist", "man", "person"]
        chosen.add(kept.type)
    assert chosen == {"person", "artist", "man"}


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4), st.sampled_from("abc")), max_size=8))
def test_flat_mentions_are_disjoint_and_every_removed_one_hit_a_kept_one(
    raw: list[tuple[int, int, str]],
) -> None:
    spans = [Span(start, start + length, name) for start, length, name in raw]
    kept, removed = resolve_overlaps(spans, "row")
    for left, right in itertools.pairwise(kept):
        assert left.end <= right.start
    for span in removed:
        assert any(span.start < other.end and other.start < span.end for other in kept)
    covered = {(span.start, span.end) for span in (*kept, *removed)}
    assert covered == {(span.start, span.end) for span in spans}


def test_empty_tokens_vanish_and_mentions_keep_their_words() -> None:
    row = clean_tokens(
        Sentence("r", "plain", ("see", "\u00a0", "-LRB-", "Rome", " "), (Span(1, 4, "city"), Span(4, 5, "x")))
    )
    assert row.tokens == ("see", "(", "Rome")
    assert row.spans == (Span(1, 3, "city"),)


def test_number_placeholders_become_the_same_number_every_time() -> None:
    row = Sentence("r", "matscholar", ("at", "<nUm>", "K"), ())
    number = clean_tokens(row).tokens[1]
    assert number.isdigit()
    assert clean_tokens(row).tokens[1] == number


def test_unusual_labels_of_a_distant_set_go() -> None:
    rows = [sentence("Kenya", Span(0, 1, "country")) for _ in range(3)] + [
        sentence("Kenya", Span(0, 1, "building"))
    ]
    tally = Tally()
    cleaned = drop_unusual_labels(rows, tally)
    assert [len(row.spans) for row in cleaned] == [1, 1, 1, 0]
    assert tally.examples["mention: label is unusual for it"] == ["building: Kenya"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (". . .", "row: no letter or digit"),
        ("too short", "row: empty and shorter than 4 words"),
        ("CODE_BLOCK : Q_1 ( code omitted )", "row: placeholder"),
        ("Smith & amp ; Wesson made it", "row: markup"),
        ("word " * 201, "row: longer than 200 words"),
        ("nothing is named here .", None),
    ],
)
def test_useless_rows(text: str, reason: str | None) -> None:
    assert useless_row_reason(sentence(text), PLAIN) == reason
