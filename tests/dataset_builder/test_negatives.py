"""Negatives: absent, usable, and the same whatever else is in the data set."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.negatives import MAX_NEGATIVE_TOKENS, NegativeSampler

_FREQUENCIES = {f"type {number}": 1 + number % 7 for number in range(30)} | {
    "other": 1000,
    "long": 50,
    "common": 300,
}
_COSTS = dict.fromkeys(_FREQUENCIES, 2) | {"long": MAX_NEGATIVE_TOKENS + 1, "own": 1}


def sampler(seed=0, frequencies=_FREQUENCIES):
    return NegativeSampler(frequencies, _COSTS, seed)


@given(
    st.text(max_size=8),
    st.lists(st.sampled_from(sorted(_COSTS)), unique=True, max_size=8),
    st.sets(st.sampled_from(sorted(_COSTS))),
    st.integers(0, 8),
)
def test_a_pool_holds_usable_absent_types_the_sources_own_first(record, own, present, size):
    pool = sampler().pool(record, own, present, size)
    usable = [name for name in own if name not in present and name not in ("other", "long")]
    assert pool[: len(usable)] == usable
    assert len(set(pool)) == len(pool)
    assert not present & set(pool)
    assert not {"other", "long"} & set(pool)
    free = set(_FREQUENCIES) - present - set(usable) - {"other", "long"}
    assert len(pool) == max(len(usable), min(size, len(usable) + len(free)))


def test_what_a_record_gets_depends_on_seed_and_record_only():
    reordered = dict(reversed(_FREQUENCIES.items()))
    first = sampler().pool("a", [], set(), 5)
    assert first == sampler(frequencies=reordered).pool("a", [], set(), 5)
    assert first != sampler(seed=1).pool("a", [], set(), 5)
    assert first != sampler().pool("b", [], set(), 5)
    assert sampler().random("a", "0").random() == sampler().random("a", "0").random()
    assert sampler().random("a", "0").random() != sampler().random("a", "1").random()


def test_frequent_types_are_drawn_more_often():
    drawn = Counter(name for number in range(2000) for name in sampler().pool(str(number), [], set(), 1))
    share = drawn["common"] / drawn.total()
    usable = sum(count for name, count in _FREQUENCIES.items() if name not in ("other", "long"))
    assert abs(share - 300 / usable) < 0.04


def test_no_type_at_all():
    assert sampler(frequencies={}).pool("a", [], set(), 5) == []
