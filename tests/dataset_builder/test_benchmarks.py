"""The benchmark loaders against the reference copies, and against spoilt ones."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from datasets.utils.file_utils import hash_url_to_filename
from seqeval.metrics.sequence_labeling import get_entities

from dataset_builder.benchmarks import (
    BENCHMARKS,
    MISC,
    SOURCES,
    Benchmark,
    Source,
    load_benchmark,
    load_benchmarks,
    read_benchmarks,
    source_of,
)

# Sentences and mentions (with misc) of the seven test sets, as published.
TEST_SIZES = {
    "crossner_ai": (431, 1809),
    "crossner_literature": (416, 2266),
    "crossner_music": (465, 3336),
    "crossner_politics": (651, 4209),
    "crossner_science": (543, 3089),
    "mit_movie": (2443, 5339),
    "mit_restaurant": (1521, 3151),
}


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    return shared / "data" / "benchmarks"


@pytest.fixture(scope="module")
def test_sets(data: Path) -> tuple[Benchmark, ...]:
    return load_benchmarks("test", data)


def test_the_seven_test_sets_have_their_published_sizes(test_sets):
    sizes = {b.name: (len(b.sentences), sum(len(s.entities) for s in b.sentences)) for b in test_sets}
    assert sizes == TEST_SIZES
    assert list(sizes) == list(BENCHMARKS)


def test_offsets_cut_the_mention_out_of_the_text_and_mentions_do_not_overlap(test_sets):
    for benchmark in test_sets:
        for sentence in benchmark.sentences:
            end = 0
            for entity in sentence.entities:
                assert sentence.text[entity.start : entity.end] == entity.text
                assert entity.text
                assert entity.text == entity.text.strip()
                assert end <= entity.start
                end = entity.end


def test_every_type_occurs_and_no_other_one(test_sets):
    for benchmark in test_sets:
        used = {entity.type for sentence in benchmark.sentences for entity in sentence.entities}
        assert used == set(benchmark.all_types)
        assert list(benchmark.types) == sorted(benchmark.types)
        assert benchmark.types == tuple(label for label in benchmark.all_types if label != MISC)
        assert (MISC in benchmark.all_types) == benchmark.name.startswith("crossner")


def test_mentions_agree_with_seqeval_on_the_same_tags(data, test_sets):
    """An independent reader of IOB2 finds the same spans: the word offsets of every mention."""
    for benchmark in test_sets:
        family, part = benchmark.name.split("_")
        file = data / (f"crossner/{part}/test.txt" if family == "crossner" else f"mit/{part}_test.bio")
        blocks = [b.split("\n") for b in file.read_text(encoding="utf-8").strip("\n").split("\n\n")]
        for block, sentence in zip(blocks, benchmark.sentences, strict=True):
            tags = [line.split("\t")[1 if family == "crossner" else 0] for line in block]
            labels = source_of(benchmark.name).labels
            expected = [(labels[tag], first, last) for tag, first, last in get_entities(tags)]
            words = [
                (e.type, sentence.text[: e.start].count(" "), sentence.text[: e.end].count(" "))
                for e in sentence.entities
            ]
            assert words == expected


def test_first_sentence_reads_as_annotated(test_sets):
    first = test_sets[0].sentences[0]
    assert first.id == "crossner_ai/test/0"
    assert first.text.startswith("Typical generative model approaches include naive Bayes classifier s ,")
    assert first.entities[0].text == "naive Bayes classifier"
    assert (first.entities[0].type, first.entities[0].start, first.entities[0].end) == ("algorithm", 44, 66)


@pytest.mark.parametrize(
    ("tag", "label"),
    [
        ("programlang", "program language"),
        ("organisation", "organization"),
        ("astronomicalobject", "astronomical object"),
        ("person", "person"),
        ("RATINGS_AVERAGE", "ratings average"),
        ("Restaurant_Name", "restaurant name"),
    ],
)
def test_labels_are_natural_language(tag, label):
    assert label in {source.labels.get(tag) for source in SOURCES.values()}


@pytest.mark.parametrize("split", ["train", "dev"])
def test_other_splits_are_crossner_only_and_share_no_sentence_with_test(data, test_sets, split):
    sets = load_benchmarks(split, data)
    assert [b.name for b in sets] == [name for name in BENCHMARKS if name.startswith("crossner")]
    for benchmark, test_set in zip(sets, test_sets, strict=False):
        assert benchmark.types == test_set.types
        assert benchmark.sha256 != test_set.sha256


def test_source_and_checksum_identify_the_file(data, test_sets):
    science = test_sets[list(BENCHMARKS).index("crossner_science")]
    assert science.source == "crossner/science/test.txt"
    assert science.sha256 == hashlib.sha256((data / science.source).read_bytes()).hexdigest()


def test_a_cached_download_is_used_without_network(data, test_sets, tmp_path):
    url = "https://groups.csail.mit.edu/sls/downloads/restaurant/restauranttest.bio"
    shutil.copy(data / "mit" / "restaurant_test.bio", tmp_path / hash_url_to_filename(url, etag=None))
    benchmark = load_benchmark("mit_restaurant", cache_dir=tmp_path)
    assert benchmark.source == url
    assert benchmark.sentences == test_sets[list(BENCHMARKS).index("mit_restaurant")].sentences


def test_a_download_without_network_names_the_address_and_the_way_out(tmp_path):
    address = r"https://raw\.githubusercontent\.com/zliucr/CrossNER/[0-9a-f]{40}/ner_data/ai/dev\.txt"
    with pytest.raises(ConnectionError, match=rf"{address}.*--data"):
        load_benchmark("crossner_ai", "dev", cache_dir=tmp_path)


def copy_of(data: Path, folder: Path, old: str = "", new: str = "") -> Path:
    """A data folder with CrossNER AI's test set only, the first `old` in it replaced by `new`."""
    target = folder / "crossner" / "ai" / "test.txt"
    target.parent.mkdir(parents=True)
    text = (data / "crossner" / "ai" / "test.txt").read_text(encoding="utf-8")
    assert old in text
    target.write_text(text.replace(old, new, 1), encoding="utf-8", newline="")
    return folder


def test_windows_line_ends_read_the_same(data, test_sets, tmp_path):
    folder = copy_of(data, tmp_path)
    file = folder / "crossner" / "ai" / "test.txt"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert load_benchmark("crossner_ai", data=folder).sentences == test_sets[0].sentences


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Typical\tO\n", "Typical\tO\n\n", "432 sentences instead of 431"),
        ("naive\tB-algorithm", "naive\tO", r"line 7: tag 'I-algorithm' cannot follow 'O'"),
        ("Bayes\tI-algorithm", "Bayes\tI-task", r"line 7: tag 'I-task' cannot follow 'B-algorithm'"),
        ("Typical\tO", "Typical O", r"line 1: expected two columns"),
        ("Typical\tO", "Typical\tO\tO", r"line 1: expected two columns"),
        ("Typical\tO", "\tO", r"line 1: expected two columns"),
        ("Typical\tO", "Typical\tB-algorithm", "1,810 mentions instead of 1,809"),
        ("Typical\tO", "Typical\tB-algorism", r"unknown tag 'B-algorism'.*algorithm, conference"),
    ],
)
def test_a_spoilt_file_is_refused(data, tmp_path, old, new, message):
    with pytest.raises(ValueError, match=message):
        load_benchmark("crossner_ai", data=copy_of(data, tmp_path, old, new))


def test_wrong_names_list_the_right_ones(tmp_path):
    with pytest.raises(
        ValueError, match=r"unknown benchmark 'crossner_law': use one of crossner_ai, .*mit_restaurant"
    ):
        load_benchmark("crossner_law", data=tmp_path)
    with pytest.raises(ValueError, match=r"mit_movie has no split 'dev': use one of test"):
        load_benchmark("mit_movie", "dev", data=tmp_path)
    with pytest.raises(ValueError, match="'valid': use train, dev or test"):
        load_benchmarks("valid", data=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"movie_test\.bio does not exist: check the data folder"):
        load_benchmark("mit_movie", data=tmp_path)


def test_a_benchmark_is_added_by_one_entry(tmp_path, monkeypatch):
    source = Source(
        "Own Rivers", "RIVER misc", {"test": (2, 1)}, "rivers/{split}.tsv", "https://example.org/"
    )
    monkeypatch.setitem(SOURCES, "rivers", source)
    (tmp_path / "rivers").mkdir()
    (tmp_path / "rivers" / "test.tsv").write_text("The\tO\nRhine\tB-RIVER\n\nNothing\tO\n", encoding="utf-8")
    benchmark = load_benchmark("rivers", data=tmp_path)
    assert list(BENCHMARKS)[-1] == "rivers"
    assert (benchmark.types, benchmark.all_types) == (("river",), ("river", "misc"))
    assert benchmark.mentions == [("Rhine", "river")]
    assert [b.name for b in read_benchmarks(tmp_path)] == ["rivers"]
