"""Overlap with the benchmarks: against a slow search, and planted sentences are found."""

import gzip
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.benchmarks import SOURCES, Benchmark, Entity, Sentence, read_benchmarks
from dataset_builder.build import main as build
from dataset_builder.contamination import OverlapFinder, compare, main, words_of
from dataset_builder.mix.built import passages, type_names
from tests.dataset_builder.records import record, write_source

word = st.sampled_from(["a", "b", "c"])


def grams(words, length):
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}


@given(st.lists(st.lists(word, max_size=9), max_size=6), st.lists(word, max_size=40), st.integers(1, 6))
def test_the_finder_agrees_with_a_slow_search(sentences, text, length):
    exact, partial = OverlapFinder([tuple(s) for s in sentences], length).find(" ".join(text))
    assert exact == {i for i, s in enumerate(sentences) if s and tuple(s) in grams(text, len(s))}
    assert partial == {i for i, s in enumerate(sentences) if grams(s, length) & grams(text, length)}


def test_case_and_punctuation_do_not_count():
    assert words_of("The U.S. \u2014 (EOLC-S)!") == ("the", "u", "s", "eolc", "s")


_LONG = [f"word{number}" for number in range(20)]


@pytest.fixture
def own_benchmarks():
    """The registry holds the two small sets that ``write_benchmarks`` writes; its order comes back."""
    kept = dict(SOURCES)
    own = {
        "crossner_ai": ("organisation programlang researcher misc", (3, 3)),
        "mit_movie": ("RATINGS_AVERAGE", (1, 1)),
    }
    SOURCES.clear()
    for name, (tags, size) in own.items():
        SOURCES[name] = replace(kept[name], tags=tags, sizes={"test": size})
    yield
    SOURCES.clear()
    SOURCES.update(kept)


def benchmark_of(types, texts, mentions=()):
    """A benchmark of these sentences; the mentions stand in the first one."""
    entities = tuple(Entity(kind, text, 0, len(text)) for text, kind in mentions)
    return Benchmark(
        "b", "B", types, tuple(Sentence("", t, () if i else entities) for i, t in enumerate(texts))
    )


def write_benchmarks(folder):
    (folder / "crossner" / "ai").mkdir(parents=True)
    (folder / "mit").mkdir()
    (folder / "crossner" / "ai" / "test.txt").write_text(
        "Ada\tB-researcher\nwrote\tO\nnotes\tO\nin\tO\nOslo\tB-organisation\n\n"
        + "".join(f"{word}\tO\n" for word in _LONG)
        + "\nnever\tO\nseen\tB-programlang\nin\tI-programlang\nany\tO\ntraining\tO\ntext\tO\n"
    )
    (folder / "mit" / "movie_test.bio").write_text("B-RATINGS_AVERAGE\tgood\nO\tfilms\n\n")


@pytest.mark.usefixtures("own_benchmarks")
def test_the_benchmarks_are_read_with_their_types(tmp_path):
    write_benchmarks(tmp_path)
    ai, movie = read_benchmarks(tmp_path)
    assert (ai.name, movie.name) == ("crossner_ai", "mit_movie")
    assert [len(sentence.text.split()) for sentence in ai.sentences] == [5, 20, 6]
    assert ai.mentions == [("Ada", "researcher"), ("Oslo", "organization"), ("seen in", "program language")]
    assert movie.mentions == [("good", "ratings average")]
    with pytest.raises(ValueError, match="no benchmark in"):
        read_benchmarks(tmp_path / "mit")
    (tmp_path / "mit" / "movie_test.bio").write_text("O films\n")
    with pytest.raises(ValueError, match="line 1: expected two columns"):
        read_benchmarks(tmp_path)


def test_the_reference_benchmarks_are_read_whole_with_readable_types(shared):
    found = {b.name: b for b in read_benchmarks(shared / "data" / "benchmarks")}
    assert {name: len(b.sentences) for name, b in found.items()} == {
        "crossner_ai": 431,
        "crossner_literature": 416,
        "crossner_music": 465,
        "crossner_politics": 651,
        "crossner_science": 543,
        "mit_movie": 2443,
        "mit_restaurant": 1521,
    }
    assert "program language" in found["crossner_ai"].types
    assert "organization" in found["crossner_ai"].types
    assert "musical artist" in found["crossner_music"].types
    assert "restaurant name" in found["mit_restaurant"].types
    assert len(found["mit_movie"].types) == 12


def test_planted_sentences_and_types_are_found():
    texts = ["Ada wrote notes in Oslo", " ".join(_LONG), "yes", "not there"]
    benchmark = benchmark_of(("person", "film"), texts)
    rows = [
        {
            "text": "He says: ADA wrote notes, in Oslo. Yes!",
            "entities": [{"type": "person", "text": "ADA"}],
        },
        {"text": "x " + " ".join(_LONG[3:16]) + " y", "entities": []},
        {"text": " ".join(_LONG[:12]), "entities": []},
    ]
    (overlap,) = compare(rows, [benchmark])
    figures = overlap.figures()
    assert (figures["exact"], figures["exact_short"], figures["ngram_13"]) == (1, 1, 1)
    assert figures["training_passages"] == 2
    assert (figures["types_seen"], figures["types_unseen"], figures["types_seen_share"]) == (
        ["person"],
        ["film"],
        0.5,
    )
    assert figures["examples"] == ["Ada wrote notes in Oslo", " ".join(_LONG)]


@pytest.mark.usefixtures("own_benchmarks")
def test_the_command_from_end_to_end(tmp_path, tokenizer_folder, capsys):
    write_benchmarks(tmp_path / "benchmarks")
    clean = [
        record(f"c{n}", f"Clean passage {n} about Lima.", {"researcher": [], "city": ["Lima"]})
        for n in range(9)
    ]
    planted = record("p", "Ada wrote notes in Oslo; " + " ".join(_LONG), {"researcher": ["Ada"]})
    source = write_source(tmp_path / "source.json", [*clean, planted])
    arguments = [
        "--source",
        str(source),
        "--output",
        str(tmp_path / "data"),
        "--tokenizer",
        str(tokenizer_folder),
    ]
    assert build([*arguments, "--validation-share", "0", "--num-proc", "1"]) == 0
    out = tmp_path / "overlap.json"
    capsys.readouterr()
    options = [
        "--dataset",
        str(tmp_path / "data"),
        "--benchmarks",
        str(tmp_path / "benchmarks"),
        "--json",
        str(out),
    ]
    assert main(options) == 0
    assert "crossner_ai: not seen organization, program language" in capsys.readouterr().out
    figures = json.loads(out.read_text())
    assert (figures["crossner_ai"]["exact"], figures["crossner_ai"]["ngram_13"]) == (2, 1)
    assert figures["crossner_ai"]["types_seen"] == ["researcher"]
    assert figures["mit_movie"]["exact"] == 0
    assert main([*options[:2], "--benchmarks", str(tmp_path)]) == 1
    assert "no benchmark in" in capsys.readouterr().err


def test_mentions_are_counted_by_type_and_by_words_alone():
    mentions = [("Ada", "person"), ("Ada", "person"), ("U.S.", "country"), ("Oslo", "film"), ("+++", "film")]
    benchmark = benchmark_of(("person", "country", "film"), ["Ada"], mentions)
    marked = [("ada", "person"), ("Oslo", "city"), ("U S", "country"), ("++", "film"), ("Rome", "film")]
    rows = [{"text": "", "entities": [{"text": text, "type": kind} for text, kind in marked]}]
    (overlap,) = compare(rows, [benchmark], asked=["river"])
    figures = overlap.figures()
    assert (figures["mentions"], figures["mentions_seen"], figures["mentions_seen_any_type"]) == (5, 3, 4)
    assert overlap.knows("ADA", "person")
    assert not overlap.knows("Ada", "film")
    assert not overlap.knows("Rome", "film")  # in training, but no mention of this benchmark


def write_mix(folder):
    folder.mkdir()
    types = {"a": {"types": ["researcher", "city"], "coarse": {"researcher": "person"}}}
    (folder / "sources.json").write_text(json.dumps(types))
    entities = [{"type": "researcher", "also": ["author"], "text": "Ada", "start": 0, "end": 3}]
    rows = [
        {"source": "a", "text": "Ada wrote notes in Oslo", "entities": entities},
        {"source": "a", "text": "nothing", "entities": []},
    ]
    with gzip.open(folder / "train.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return folder


@pytest.mark.usefixtures("own_benchmarks")
def test_a_mix_is_read_by_all_the_names_it_asks_by(tmp_path, capsys):
    mix = write_mix(tmp_path / "mix")
    assert type_names(mix) == ["city", "person", "researcher"]
    first, second = passages(mix)
    assert [entity["type"] for entity in first["entities"]] == ["researcher", "author", "person"]
    assert second == {"text": "nothing", "entities": []}
    with pytest.raises(FileNotFoundError, match=r"has no split 'dev'"):
        list(passages(mix, "dev"))
    write_benchmarks(tmp_path / "benchmarks")
    out = tmp_path / "overlap.json"
    options = ["--mix", str(mix), "--benchmarks", str(tmp_path / "benchmarks"), "--json", str(out)]
    assert main(options) == 0
    figures = json.loads(out.read_text())["crossner_ai"]
    assert (figures["exact"], figures["mentions"], figures["mentions_seen"]) == (1, 3, 1)
    assert figures["types_seen"] == ["researcher"]
    assert main(["--mix", str(tmp_path), *options[2:]]) == 1
    assert "give the folder that dataset_builder.mix wrote" in capsys.readouterr().err
