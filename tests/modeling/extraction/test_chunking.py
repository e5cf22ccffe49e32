"""Documents cut into requests, and their answers put together again."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling.backbones.pointer_init import pointer_settings
from modeling.canvas.encoding import PromptEncoder
from modeling.canvas.words import split_words
from modeling.extraction.chunking import OVERLAP, Entity, Limits, flat, group_types, nested, pack, plan, split
from tests.modeling.tiny import TYPES, toy_rows


@pytest.fixture(scope="module")
def encoder(tokenizer) -> PromptEncoder:
    return PromptEncoder(tokenizer, pointer_settings(tokenizer))


LONG = "\n".join(row["text"] for row in toy_rows(60))


@pytest.mark.parametrize("tokens", [40, 64, 100, 384])
@pytest.mark.parametrize(
    "text", [LONG, LONG.replace(" . ", " "), "  " + LONG.replace("\n", "\u200b\n ") + "\n\x00"]
)
def test_windows_cover_the_text_and_keep_ranges_partition_it(encoder, text, tokens):
    requests = plan(encoder, [(TYPES, text)], Limits(prompt_tokens=tokens))
    assert len(requests) > 1
    covered = set()
    for request in requests:
        assert request.document == 0
        assert len(request.prompt) <= tokens
        assert text[request.offset :].startswith(request.prompt.text)
        covered |= {(a + request.offset, b + request.offset) for a, b in request.prompt.words}
    assert covered == set(split_words(text))
    # Every place of the text is reported by one window, and that window sees it.
    assert requests[0].keep_from == 0
    assert requests[-1].keep_to == len(text)
    for this, following in pairwise(requests):
        assert this.keep_to == following.keep_from
        assert following.offset <= following.keep_from <= this.offset + len(this.prompt.text)


def test_a_mention_is_whole_in_the_window_that_reports_it(encoder):
    words = split_words(LONG)
    requests = plan(encoder, [(TYPES, LONG)], Limits(prompt_tokens=100))
    reach = OVERLAP // 2
    for first in range(len(words) - reach):
        start, end = words[first][0], words[first + reach - 1][1]
        (own,) = [r for r in requests if r.keep_from <= start < r.keep_to]
        assert own.offset <= start
        assert end <= own.offset + len(own.prompt.text)


def test_short_documents_take_one_request_each_and_empty_ones_none(encoder):
    documents = [
        (TYPES, "alice met bob"),
        (["city"], ""),
        (["city"], " \n\u200b"),
        (["city", "person"], "paris"),
    ]
    requests = plan(encoder, documents, Limits())
    assert [(r.document, r.prompt.types, r.offset) for r in requests] == [
        (0, tuple(TYPES), 0),
        (3, ("city", "person"), 0),
    ]
    assert (requests[0].keep_from, requests[0].keep_to) == (0, len("alice met bob"))


def test_one_word_dearer_than_a_window_stands_alone(encoder):
    text = f"alice met {'x' * 60} . bob"
    requests = plan(encoder, [(["person"], text)], Limits(prompt_tokens=30))
    words = {(a + r.offset, b + r.offset) for r in requests for a, b in r.prompt.words}
    assert words == set(split_words(text))


names = st.lists(
    st.sampled_from([f"{a}{b}" for a in TYPES for b in range(40)]), min_size=1, max_size=90, unique=True
)


@given(names, st.integers(1, 50), st.integers(10, 200))
def test_types_are_split_in_order_and_evenly(encoder, types, most, tokens):
    limits = Limits(types=most, type_tokens=tokens)
    groups = group_types(encoder, types, limits)
    assert [name for group in groups for name in group] == types
    for group in groups:
        assert 1 <= len(group) <= most
        assert sum(encoder.type_cost(name) for name in group) <= tokens
    if all(encoder.type_cost(name) == encoder.type_cost(types[0]) for name in types) and tokens >= 4 * most:
        assert len(groups) == -(-len(types) // most)
        assert max(map(len, groups)) - min(map(len, groups)) < len(groups)


def test_a_name_longer_than_a_prompt_has_room_for_is_refused(encoder):
    with pytest.raises(
        ValueError, match=r"label 'x{100}' takes 102 tokens, more than the 50 .*use a shorter name"
    ):
        group_types(encoder, ["city", "x" * 100], Limits(type_tokens=50))


def test_a_name_that_the_tokenizer_drops_is_refused(encoder):
    with pytest.raises(ValueError, match=r"label '\u0301' has no token in this model's vocabulary"):
        group_types(encoder, ["city", "\u0301"], Limits())


entities = st.builds(
    lambda start, length, label, score: Entity(start, start + length, "x" * length, label, score),
    st.integers(0, 40),
    st.integers(1, 8),
    st.sampled_from(TYPES),
    st.sampled_from([0.1, 0.5, 0.5, 0.9]),
)


@given(st.lists(entities, max_size=25))
def test_of_two_that_overlap_the_surer_stays_then_the_longer(found):
    kept: list[Entity] = []
    for entity in sorted(found, key=lambda e: (-e.score, -(e.end - e.start), e.start, e.label)):
        if all(entity.end <= other.start or other.end <= entity.start for other in kept):
            kept.append(entity)
    assert flat(found) == sorted(kept, key=lambda e: e.start)


def test_many_entities_are_put_together_quickly():
    # A megabyte of text has tens of thousands: comparing each with each would take minutes.
    found = [Entity(i * 10, i * 10 + 12, "x" * 12, "person", (i * 7919 % 1000) / 1000) for i in range(60_000)]
    kept = flat(found)
    assert 20_000 < len(kept) <= 40_000
    assert all(a.end <= b.start for a, b in pairwise(kept))


@given(st.lists(entities, max_size=25))
def test_of_two_that_overlap_the_longest_stays_on_request(found):
    kept: list[Entity] = []
    for entity in sorted(found, key=lambda e: (e.start - e.end, -e.score, e.start, e.label)):
        if all(entity.end <= other.start or other.end <= entity.start for other in kept):
            kept.append(entity)
    assert flat(found, "longest") == sorted(kept, key=lambda e: e.start)


@given(st.lists(entities, max_size=25), st.sampled_from(["surest", "longest"]))
def test_nested_entities_hold_one_another_but_never_cross(found, overlaps):
    kept = nested(found, overlaps)
    assert len({(e.start, e.end, e.label) for e in kept}) == len(kept)
    assert [(e.start, -e.end) for e in kept] == sorted((e.start, -e.end) for e in kept)
    for i, one in enumerate(kept):
        for other in kept[i + 1 :]:
            # In order of occurrence, the outer one first.
            assert other.start >= one.end or other.end <= one.end
    # What is left out crosses, or repeats, one that stays.
    for entity in found:
        if entity not in kept:
            assert any(
                (k.start < entity.start < k.end < entity.end)
                or (entity.start < k.start < entity.end < k.end)
                or (k.start, k.end, k.label) == (entity.start, entity.end, entity.label)
                for k in kept
            )
    assert {(e.start, e.end) for e in flat(found, overlaps)} <= {(e.start, e.end) for e in found}


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=20),
    st.integers(1, 8),
    st.none() | st.integers(1, 400),
)
@settings(max_examples=30)
def test_batches_hold_every_request_once_within_both_bounds(encoder, lengths, rows, tokens):
    documents = [(["city"], "x " * n + "y") for n in lengths]
    requests = plan(encoder, documents, Limits())
    batches = list(pack(requests, rows, tokens))
    assert sorted(r.document for batch in batches for r in batch) == list(range(len(lengths)))
    sizes = [request.size for batch in batches for request in batch]
    assert sizes == sorted(sizes, reverse=True)
    for batch in batches:
        assert len(batch) <= rows
        assert tokens is None or len(batch) == 1 or len(batch) * batch[0].size <= tokens
    for this, following in pairwise(batches):  # no batch could have taken the next request too
        full = len(this) == rows or (tokens is not None and (len(this) + 1) * this[0].size > tokens)
        assert full, following


def test_halves_report_what_the_whole_would(encoder):
    (whole, *rest) = plan(encoder, [(TYPES, LONG)], Limits(prompt_tokens=200))
    for request in (whole, rest[0]):
        first, second = split(encoder, request, spent=5)
        assert (first.keep_from, second.keep_to) == (request.keep_from, request.keep_to)
        assert first.keep_to == second.keep_from
        assert (first.spent, second.spent) == (5, 0)
        words = {(a + r.offset, b + r.offset) for r in (first, second) for a, b in r.prompt.words}
        assert words == {(a + request.offset, b + request.offset) for a, b in request.prompt.words}
        for half in (first, second):
            assert LONG[half.offset :].startswith(half.prompt.text)
            assert half.prompt.types == request.prompt.types
            assert len(half.prompt.words) < len(request.prompt.words)
        # A mention of half the overlap is whole in the half that reports it.
        reach = OVERLAP // 2
        for at in range(len(request.prompt.words) - reach):
            start = request.offset + request.prompt.words[at][0]
            end = request.offset + request.prompt.words[at + reach - 1][1]
            if request.keep_from <= start < request.keep_to:
                own = first if start < first.keep_to else second
                assert own.offset <= start < end <= own.offset + len(own.prompt.text)
    (short,) = plan(encoder, [(TYPES, "alice met bob " * 10)], Limits())
    assert split(encoder, short) == []
