"""The mix with the further sets and passages with open types."""

from dataclasses import replace
from pathlib import Path

import pytest

from dataset_builder.mix.build import MixSettings, build_mix
from dataset_builder.mix.built import free_sources, read_sources
from dataset_builder.mix.built import passages as built_passages
from dataset_builder.mix.filters import Tally
from dataset_builder.mix.further import FURTHER
from dataset_builder.mix.hashing import normalize_text, stable_hash
from dataset_builder.mix.labels import LabelTable, load_tables
from dataset_builder.mix.nesting import one_layer
from dataset_builder.mix.origins import differing_files, load_origins
from dataset_builder.mix.pile import cut_long
from dataset_builder.mix.sources import (
    PILE,
    SOURCES,
    Sentence,
    Source,
    Span,
    allows_commercial_use,
    read_source,
)
from dataset_builder.open_types.layers import Layer, text_hash, write_layers
from dataset_builder.open_types.passage import OpenMention
from tests.dataset_builder.test_mix import TINY, contents, rows, settings, write_set

__all__ = ["settings"]
SENTENCE = "They wrote ff00 too ."
OPEN = ("play the [new one|song|work] \\n by [Ann Lee|singer|person]", "see [Oslo|capital|city|place] soon")
NESTED = Source("elevant_entities", "a test", "CC0", weight=0.5, nested=True)
LEVELS = Source("maintie_gold", "a test", "MIT", nested=True, levels=True)


@pytest.fixture
def open_settings(settings: MixSettings, tmp_path: Path) -> MixSettings:
    """The tiny mix, two further sets, two written passages and a layer on a row of the mix."""
    further = tmp_path / "ner_mix2"
    further.mkdir()
    write_set(
        further,
        "elevant_entities",
        ("Bank of Norway said so", [(0, 2, "bank"), (2, 2, "country")]),
        ("In Norway they said so", [(1, 1, "country")]),
    )
    write_set(
        further,
        "maintie_gold",
        ("pump leaks", [(0, 0, "flow object"), (0, 0, "object")]),
        ("seat leaks", [(0, 0, "object"), (0, 0, "holding object")]),
        ("it leaks", [(0, 0, "object")]),
    )
    data = tmp_path / "open"
    (data / "written").mkdir(parents=True)
    (data / "written" / "notes.txt").write_text("\n".join(OPEN) + "\n", encoding="utf-8")
    solid = "".join(SENTENCE.split())
    mention = OpenMention(9, 13, ("hexadecimal number", "number"))
    write_layers(
        data / "layers", [Layer("tech-1", "aptner", 1, (0, len(solid)), text_hash(solid), (mention,))]
    )
    return replace(settings, ner_mix2=further, further=(NESTED, LEVELS), open_types=data)


def test_open_rows_have_levels_and_listed_negatives(open_settings: MixSettings) -> None:
    build_mix(open_settings)
    by_id = {row["id"]: row for row in rows(open_settings.output / "train.jsonl.gz")}
    row = by_id["open-notes-1"]
    assert row["source"] == "open_written"
    assert row["text"] == "play the new one \n by Ann Lee"
    assert row["entities"] == [
        {"type": "song", "levels": ["song", "work"], "text": "new one", "start": 9, "end": 16},
        {"type": "singer", "levels": ["singer", "person"], "text": "Ann Lee", "start": 22, "end": 29},
    ]
    assert (row["negatives"], row["exhaustive"]) == ("listed", True)
    assert row["types"] == ["capital", "city", "hexadecimal number", "number", "place"]
    assert "levels" in next(iter(by_id.values()))["entities"][0]


def test_a_text_with_open_types_stands_there_alone(open_settings: MixSettings) -> None:
    report = build_mix(open_settings)
    found = [
        row["source"]
        for row in rows(open_settings.output / "train.jsonl.gz")
        if normalize_text(row["text"]) == normalize_text(SENTENCE)
    ]
    assert found == ["open_tech_restricted"]
    assert report["sources"]["aptner"]["filters"]["row: text occurs before"]["count"] == 1


def test_open_rows_are_the_share_of_the_draws(open_settings: MixSettings) -> None:
    build_mix(replace(open_settings, open_share=0.25))
    sources = read_sources(open_settings.output)
    draws = {"open": 0.0, "other": 0.0}
    for row in rows(open_settings.output / "train.jsonl.gz"):
        kind = "open" if row["source"].startswith("open_") else "other"
        draws[kind] += sources[row["source"]]["weight"]
    assert draws["open"] / sum(draws.values()) == pytest.approx(0.25, abs=1e-3)
    with pytest.raises(ValueError, match="open_share is 1"):
        replace(open_settings, open_share=1)


def test_levels_of_a_tokenised_set_run_from_rare_to_frequent(open_settings: MixSettings) -> None:
    build_mix(open_settings)
    entities = [
        row["entities"][0]
        for row in rows(open_settings.output / "train.jsonl.gz")
        if row["source"] == "maintie_gold" and row["entities"]
    ]
    assert [entity.get("levels") for entity in entities] == [
        ["flow object", "object"],
        ["holding object", "object"],
    ]
    assert [entity["type"] for entity in entities] == ["flow object", "holding object"]


def test_a_hidden_type_is_neither_asked_nor_absent(open_settings: MixSettings) -> None:
    build_mix(open_settings)
    nested = {
        row["id"]: row
        for row in rows(open_settings.output / "train.jsonl.gz")
        if row["source"] == "elevant_entities"
    }
    row = nested["elevant_entities-0"]
    assert row["negatives"] == "listed"
    assert len(row["entities"]) == 1
    assert row["types"] == []
    assert nested["elevant_entities-1"]["negatives"] == "closed"


def test_the_same_bytes_again_and_the_old_mix_without_the_new_data(
    open_settings: MixSettings, settings: MixSettings, tmp_path: Path
) -> None:
    build_mix(open_settings)
    build_mix(replace(open_settings, output=tmp_path / "again"))
    assert contents(open_settings.output) == contents(tmp_path / "again")
    build_mix(replace(settings, output=tmp_path / "old"))
    old = [row for row in rows(tmp_path / "old" / "train.jsonl.gz") if row["source"] == "snips_slots"]
    new = [row for row in rows(open_settings.output / "train.jsonl.gz") if row["source"] == "snips_slots"]
    assert old == new


def test_texts_that_are_not_there_are_named(open_settings: MixSettings) -> None:
    assert open_settings.open_types is not None
    write_layers(
        open_settings.open_types / "layers", [Layer("tech-1", "aptner", 0, (0, 3), text_hash("abc"), ())]
    )
    with pytest.warns(UserWarning, match="aptner: 1 texts left out, no text has the hash"):
        build_mix(open_settings)


def test_a_built_mix_names_every_level(open_settings: MixSettings) -> None:
    build_mix(open_settings)
    (passage,) = (p for p in built_passages(open_settings.output) if p["text"] == "see Oslo soon")
    assert [entity["type"] for entity in passage["entities"]] == ["capital", "city", "place"]


@pytest.mark.parametrize("key", [f"row-{number}" for number in range(8)])
def test_one_layer_keeps_whole_types(key: str) -> None:
    spans = [
        Span(0, 4, "company"),
        Span(2, 3, "country"),
        Span(5, 6, "country"),
        Span(7, 9, "drug"),
        Span(7, 9, "treatment"),
        Span(10, 14, "person"),
        Span(10, 11, "person"),
    ]
    kept, hidden = one_layer(spans, key)
    assert hidden in (("company",), ("country",))
    assert {span.type for span in kept} == {"company", "country", "drug", "treatment", "person"} - set(hidden)
    assert [span for span in kept if span.type == "person"] == [Span(10, 14, "person")]
    if hidden == ("company",):
        assert [span for span in kept if span.type == "country"] == [spans[1], spans[2]]


def test_both_orders_of_nesting_occur() -> None:
    spans = [Span(0, 4, "company"), Span(2, 3, "country")]
    assert {one_layer(spans, str(number))[1] for number in range(20)} == {("company",), ("country",)}


def test_a_seldom_type_stays_in_every_fourth_row() -> None:
    sentences = [Sentence(f"r-{number}", "s", ("go",), (Span(0, 1, "verb"),)) for number in range(400)]
    renamed = LabelTable(seldom=frozenset(["verb"])).apply(sentences, Tally())
    kept = [row for row in renamed if row.spans]
    assert 70 < len(kept) < 130
    assert all(not row.hidden for row in kept)
    assert all(row.hidden == ("verb",) for row in renamed if not row.spans)
    assert {row.id for row in kept} == {r.id for r in sentences if stable_hash(f"seldom:{r.id}") % 4 == 0}


def test_a_long_passage_is_cut_at_sentences() -> None:
    words = ("A", "word", "is", "here", ".") * 5
    sentence = Sentence("p", "s", words, tuple(Span(start, start + 2, "x") for start in range(0, 25, 5)))
    windows = cut_long(sentence, 12)
    assert [len(window.tokens) for window in windows] == [10, 10, 5]
    assert all(window.tokens[span.start] == "A" for window in windows for span in window.spans)
    assert sum(len(window.spans) for window in windows) == 5
    assert {window.group for window in windows} == {"p"}
    assert cut_long(sentence, 25) == [sentence]


def test_sources_that_allow_commercial_use(open_settings: MixSettings) -> None:
    build_mix(open_settings)
    free = ["aptner", "snips_slots", "webnlg_distant", "elevant_entities", "maintie_gold", "open_written"]
    assert free_sources(open_settings.output) == free


def test_licences() -> None:
    assert allows_commercial_use("CC BY 4.0 and CC0")
    assert not allows_commercial_use("CC BY 4.0 and CC BY-NC 4.0")
    assert not allows_commercial_use("CC BY 4.0 (unverified)")


def test_the_table_of_origins_has_every_source() -> None:
    origins = load_origins()
    for source in (PILE, *SOURCES, *FURTHER):
        assert origins[source.name].licence == source.licence, source.name
        assert len(origins[source.name].sha256) == 64
        assert origins[source.name].repository


def test_a_file_that_differs_from_its_origin_is_named(tmp_path: Path) -> None:
    (tmp_path / "aptner.jsonl.gz").write_bytes(b"changed")
    files = {"aptner": tmp_path / "aptner.jsonl.gz", "atis_slots": tmp_path / "missing"}
    (line,) = differing_files(files)
    assert str(files["aptner"]) in line
    assert load_origins()["aptner"].sha256[:12] in line


def test_the_reference_data_are_those_of_the_table(shared: Path, tmp_path: Path) -> None:
    data = shared / "data"
    pile = data / "pile_ner" / "pile_ner_type_subset.json.gz"
    settings = MixSettings(data / "ner_mix", pile, tmp_path, ner_mix2=data / "ner_mix2")
    assert differing_files(settings.files()) == []


def test_the_further_tables_fit_the_real_sets(shared: Path) -> None:
    folder = shared / "data" / "ner_mix2"
    tables = load_tables(shared / "data" / "ner_mix" / "label_map.json", FURTHER)
    for source in FURTHER:
        table = tables[source.name]
        if table.names or table.drop or table.seldom:
            labels = {span.type for row in read_source(folder, source) for span in row.spans}
            assert set(table.names) | table.drop <= labels, source.name
            assert table.seldom <= {table.natural(label) for label in labels}, source.name


def test_tiny_sources_are_real_ones() -> None:
    assert {source.name for source in TINY} <= {source.name for source in SOURCES}
