"""The split: near-duplicates on one side, by content and seed alone."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.split import BANDS, SHINGLE_WORDS, assign_splits, bands, near_duplicate_groups, split_key

_WORDS = [f"{a}{b}" for a in "bcdfghklmnprst" for b in ("ala", "ore", "ith", "une", "eck", "omp")]


def passage(rng, length=120):
    return [rng.choice(_WORDS) for _ in range(length)]


def shingles(words):
    return {tuple(words[i : i + SHINGLE_WORDS]) for i in range(len(words) - SHINGLE_WORDS + 1)}


def test_near_duplicates_are_grouped_and_others_are_not():
    rng = random.Random(1)
    texts, pairs = [], []
    for _ in range(60):
        words = passage(rng)
        changed = list(words)
        changed[rng.randrange(len(words))] = "changed"
        shared = shingles(words) & shingles(changed)
        assert len(shared) / len(shingles(words) | shingles(changed)) > 0.9
        pairs.append((len(texts), len(texts) + 1))
        texts += [" ".join(words), ", ".join(changed).upper()]
    groups = near_duplicate_groups([bands(text) for text in texts])
    assert all(groups[first] == groups[second] for first, second in pairs)
    assert len(set(groups)) == len(pairs)


@given(st.lists(st.lists(st.integers(0, 25), min_size=BANDS, max_size=BANDS), max_size=12))
def test_groups_are_the_connected_components_of_shared_bands(tables):
    expected = list(range(len(tables)))
    for _ in tables:  # as often as the longest chain could need
        for first, second in itertools.combinations(range(len(tables)), 2):
            if any(a == b for a, b in zip(tables[first], tables[second], strict=True)):
                low = min(expected[first], expected[second])
                expected[first] = expected[second] = low
    hashes = [b"".join(value.to_bytes(8, "little") for value in table) for table in tables]
    assert near_duplicate_groups(hashes) == expected


def test_chains_are_one_group_named_by_its_first_member():
    rng = random.Random(2)
    words = passage(rng)
    chain = [words[i : i + 100] for i in (0, 4, 8, 12, 16)]
    texts = [" ".join(passage(rng)), *(" ".join(part) for part in chain)]
    assert near_duplicate_groups([bands(text) for text in texts]) == [0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "text", ["", "one", "two words", "\u4e2d\u6587\u6587\u672c\u3002", "...", "caf\u00e9 " * 9000]
)
def test_any_text_has_bands_that_depend_on_its_words_only(text):
    assert bands(text) == bands(f"  {text.upper()} !")
    assert len(bands(text)) == len(bands("another"))


def test_no_passages():
    assert near_duplicate_groups([]) == []


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.floats(0, 0.5), st.randoms())
def test_splits_keep_groups_whole_reach_the_share_and_ignore_order(groups, share, rng):
    keys = [split_key(f"text {index}", 3) for index in range(len(groups))]
    splits = assign_splits(groups, keys, share)
    by_group = {}
    for group, split in zip(groups, splits, strict=True):
        assert by_group.setdefault(group, split) == split
    validation = splits.count("validation")
    room = round(share * len(groups)) - validation
    assert room >= 0
    # Whatever group is still in training is larger than what was left.
    assert all(groups.count(group) > room for group, split in by_group.items() if split == "train")
    order = list(range(len(groups)))
    rng.shuffle(order)
    shuffled = assign_splits([groups[i] for i in order], [keys[i] for i in order], share)
    assert shuffled == [splits[i] for i in order]


def test_the_seed_changes_the_split_and_nothing_else_does():
    texts = [f"passage number {number}" for number in range(200)]
    splits = [assign_splits(range(200), [split_key(text, seed) for text in texts], 0.1) for seed in (1, 1, 2)]
    assert splits[0] == splits[1] != splits[2]
    assert [split.count("validation") for split in splits] == [20, 20, 20]
