"""UniNER's query files: sizes, wording, and agreement with the benchmarks they were made from."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from dataset_builder.benchmark_queries import load_uniner_queries
from dataset_builder.benchmarks import SOURCES, load_benchmark

QUERIED_BENCHMARKS = [name for name, source in SOURCES.items() if source.queries]


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    return shared / "data" / "benchmarks"


@pytest.mark.parametrize("name", QUERIED_BENCHMARKS)
def test_each_sentence_is_asked_every_type_of_the_benchmark_once(data, name):
    queries = load_uniner_queries(name, data).queries
    benchmark = load_benchmark(name, data=data)
    asked: dict[int, Counter[str]] = {}
    for query in queries:
        asked.setdefault(query.sentence, Counter())[query.type] += 1
    assert list(asked) == list(range(len(asked)))
    assert all(types == Counter(benchmark.types) for types in asked.values())
    assert len(benchmark.sentences) - len(asked) in (0, 1)


@pytest.mark.parametrize("name", QUERIED_BENCHMARKS)
def test_answers_are_gold_mentions_of_the_same_sentence(data, name):
    gold: dict[str, set[tuple[str, str]]] = {}
    for sentence in load_benchmark(name, data=data).sentences:
        gold.setdefault(sentence.text, set()).update((e.type, e.text) for e in sentence.entities)
    answers = [
        (query, answer) for query in load_uniner_queries(name, data).queries for answer in query.answers
    ]
    assert answers
    assert all((query.type, answer) in gold[query.text] for query, answer in answers)


def test_wording_is_kept_while_types_are_the_benchmark_labels(data):
    query = load_uniner_queries("mit_restaurant", data).queries[3]
    assert query.question == "What describes Restaurant Name in the text?"
    assert query.type == "restaurant name"
    assert query.text == "a four star restaurant with a bar"


def test_a_plain_json_file_reads_like_the_packed_one(data, tmp_path):
    packed = load_uniner_queries("crossner_ai", data)
    (tmp_path / "uniner").mkdir()
    (tmp_path / packed.source.removesuffix(".gz")).write_bytes(
        gzip.decompress((data / packed.source).read_bytes())
    )
    plain = load_uniner_queries("crossner_ai", tmp_path)
    assert plain.source == "uniner/CrossNER_AI.json"
    assert plain.queries == packed.queries
    assert plain.sha256 != packed.sha256


def spoil(data: Path, folder: Path, change) -> Path:
    """A data folder with the AI queries, changed by `change` in place."""
    rows = json.loads(gzip.decompress((data / "uniner" / "CrossNER_AI.json.gz").read_bytes()))
    change(rows)
    (folder / "uniner").mkdir()
    (folder / "uniner" / "CrossNER_AI.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def _reword(rows):
    rows[0]["conversations"][2]["value"] = "Name every organization."


def _repeat_a_type(rows):
    rows[1]["conversations"][2]["value"] = rows[0]["conversations"][2]["value"]


def _drop_a_sentence(rows):
    del rows[-13:]


def _drop_a_query(rows):
    del rows[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_reword, "'CrossNER_AI_0' is not in UniNER's format: 'Name every organization.'"),
        (_repeat_a_type, "the 13 queries from 0 on do not ask one sentence"),
        (_drop_a_query, "the 13 queries from 0 on do not ask one sentence"),
        (_drop_a_sentence, "430 sentences instead of 431"),
    ],
)
def test_a_spoilt_file_is_refused(data, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        load_uniner_queries("crossner_ai", spoil(data, tmp_path, change))


def test_unpublished_queries_and_missing_files_are_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"no queries for 'mit_movie': use one of crossner_ai, .*mit_restaurant"
    ):
        load_uniner_queries("mit_movie", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"CrossNER_AI\.json\.gz does not exist"):
        load_uniner_queries("crossner_ai", tmp_path)
    with pytest.raises(ConnectionError, match=r"https://.*CrossNER_AI\.json .*--data"):
        load_uniner_queries("crossner_ai", cache_dir=tmp_path)
