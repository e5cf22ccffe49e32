"""The whole build of the training mix, on tiny sets."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dataset_builder.mix.build import MixSettings, build_mix, cap_rows, normalize_text
from dataset_builder.mix.filters import Tally, with_year
from dataset_builder.mix.labels import LabelTable, load_tables
from dataset_builder.mix.pile import read_passages
from dataset_builder.mix.sources import PILE, SOURCES, Sentence, Source, Span, read_source
from tests.dataset_builder.test_mix_pile import write_pile

TINY = (
    Source("aptner", "a test", "CC0", label_map="aptner"),
    Source("snips_slots", "a test", "CC0", cap=4),
    Source("webnlg_distant", "a test", "CC0", exhaustive=False, distant=True, related=True),
)


def write_set(folder: Path, name: str, *rows: tuple[str, list[tuple[int, int, str]]]) -> None:
    with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
        for text, spans in rows:
            file.write(json.dumps({"tokenized_text": text.split(), "ner": spans}) + "\n")


@pytest.fixture
def settings(tmp_path: Path) -> MixSettings:
    """Settings of a build over three tiny sets and two passages."""
    folder = tmp_path / "ner_mix"
    folder.mkdir()
    (folder / "label_map.json").write_text(
        json.dumps({"aptner": {"apt": "hacker group", "md5": "file hash", "sha1": "file hash"}})
    )
    write_set(
        folder,
        "aptner",
        ("The Dukes , or APT29 , left 0a1b .", [(1, 1, "apt"), (4, 4, "apt"), (7, 7, "md5")]),
        ("They wrote ff00 too .", [(0, 0, "apt"), (2, 2, "sha1")]),
        ("Nothing was found that day .", []),
    )
    write_set(
        folder,
        "snips_slots",
        ("the  Dukes , or APT29 , left 0a1b .", []),
        *((f"play song number {number}", [(3, 3, "track")]) for number in range(6)),
        ("play this one in Rome", [(1, 1, "object select"), (4, 4, "city")]),
    )
    places = [(f"Oslo is near place {number}", [(0, 0, "city"), (4, 4, "country")]) for number in range(30)]
    write_set(folder, "webnlg_distant", *places, ("Oslo again", [(0, 0, "country")]))
    pile = write_pile(
        tmp_path / "pile.json.gz",
        (
            "Ann met Bob in Rome . They left by train .",
            {"person": ["Ann", "Bob"], "city": ["Rome"], "river": []},
        ),
        ("The cat slept on a mat all day .", {"animal": ["cat"], "weapon": []}),
    )
    return MixSettings(ner_mix=folder, pile=pile, output=tmp_path / "out", validation=0.0, sources=TINY)


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_rows_of_a_build(settings: MixSettings) -> None:
    report = build_mix(settings)
    train = rows(settings.output / "train.jsonl.gz")
    by_id = {row["id"]: row for row in train}
    assert len(by_id) == len(train) == report["totals"]["train"]
    for row in train:
        for entity in row["entities"]:
            assert row["text"][entity["start"] : entity["end"]] == entity["text"]
        assert [entity["start"] for entity in row["entities"]] == sorted(e["start"] for e in row["entities"])
        assert (
            ("types" in row)
            == (row["negatives"] == "listed")
            == (row["source"] in ("pile_ner", "webnlg_distant"))
        )

    first = by_id["aptner-0"]
    assert [(entity["type"], entity["text"]) for entity in first["entities"]] == [
        ("hacker group", "Dukes"),
        ("hacker group", "APT29"),
        ("file hash", "0a1b"),
    ]
    assert first["exhaustive"] is True
    assert [entity["type"] for entity in by_id["aptner-1"]["entities"]] == ["file hash"]
    assert by_id["webnlg_distant-3"]["exhaustive"] is False
    assert {entity["type"] for entity in by_id["webnlg_distant-3"]["entities"]} == {"city", "country"}


def test_both_spacings_occur(settings: MixSettings) -> None:
    rows_in = [(f"we met Ann , in place {number} .", [(2, 2, "apt")]) for number in range(40)]
    write_set(settings.ner_mix, "aptner", *rows_in)
    build_mix(settings)
    texts = [row["text"] for row in rows(settings.output / "train.jsonl.gz") if row["source"] == "aptner"]
    natural = sum("Ann, in" in text for text in texts)
    assert natural + sum("Ann , in" in text for text in texts) == 40
    assert 8 < natural < 32


def test_report_counts_what_went(settings: MixSettings) -> None:
    report = build_mix(settings)
    aptner, snips = report["sources"]["aptner"], report["sources"]["snips_slots"]
    assert aptner["filters"]["mention: pronoun"] == {"count": 1, "examples": ["hacker group: They"]}
    # The same text in other spacing, three rows over the cap of four, one label that is dropped.
    assert snips["filters"]["row: text occurs before"]["count"] == 1
    assert snips["filters"]["row: over the cap of the source"]["count"] == 3
    assert snips["filters"]["mention: label is dropped"]["examples"] == ["object select: this"]
    assert (snips["rows_in"], snips["rows"]) == (8, 4)
    assert report["sources"]["webnlg_distant"]["filters"]["mention: label is unusual for it"]["count"] == 1
    assert json.loads((settings.output / "report.json").read_text()) == report


def test_sources_file_has_the_inventories(settings: MixSettings) -> None:
    build_mix(settings)
    sources = json.loads((settings.output / "sources.json").read_text())
    assert list(sources) == ["pile_ner", "aptner", "snips_slots", "webnlg_distant"]
    assert sources["aptner"]["types"] == ["file hash", "hacker group"]
    assert sources["snips_slots"]["types"] == ["city", "track"]
    assert sources["pile_ner"]["weight"] == PILE.weight


def test_same_inputs_and_seed_give_the_same_bytes(settings: MixSettings, tmp_path: Path) -> None:
    build_mix(settings)
    build_mix(replace(settings, output=tmp_path / "again"))
    build_mix(replace(settings, output=tmp_path / "other", seed=1))
    assert contents(settings.output) == contents(tmp_path / "again")
    assert contents(settings.output) != contents(tmp_path / "other")


def test_a_failed_build_leaves_the_old_output_and_nothing_else(settings: MixSettings, tmp_path: Path) -> None:
    build_mix(settings)
    before, folders = contents(settings.output), sorted(path.name for path in tmp_path.iterdir())
    # A lone surrogate passes every filter and fails when the row is written.
    write_set(settings.ner_mix, "aptner", ("broken \ud800 text is here", [(0, 0, "apt")]))
    with pytest.raises(UnicodeEncodeError):
        build_mix(replace(settings, seed=3))
    assert contents(settings.output) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == folders


def test_a_build_replaces_the_whole_folder(settings: MixSettings) -> None:
    settings.output.mkdir()
    (settings.output / "stale.txt").write_text("old")
    build_mix(settings)
    assert sorted(contents(settings.output)) == [
        "report.json",
        "sources.json",
        "train.jsonl.gz",
        "validation.jsonl.gz",
    ]


def test_excluded_texts_are_dropped_whatever_their_spacing(settings: MixSettings, tmp_path: Path) -> None:
    listed = tmp_path / "benchmark.txt"
    listed.write_text("the dukes, or APT29, left 0a1b.\n\n", encoding="utf-8")
    report = build_mix(replace(settings, exclude=(listed,)))
    texts = {normalize_text(row["text"]) for row in rows(settings.output / "train.jsonl.gz")}
    assert normalize_text("The Dukes , or APT29 , left 0a1b .") not in texts
    assert report["sources"]["aptner"]["filters"]["row: text is excluded"]["count"] == 1


def test_held_out_sources_are_in_a_file_of_their_own(settings: MixSettings) -> None:
    build_mix(replace(settings, hold_out=("aptner",)))
    assert {row["source"] for row in rows(settings.output / "heldout_aptner.jsonl.gz")} == {"aptner"}
    assert "aptner" not in {row["source"] for row in rows(settings.output / "train.jsonl.gz")}


def test_unknown_sources_and_shares_are_refused(settings: MixSettings) -> None:
    with pytest.raises(ValueError, match="nosuch"):
        replace(settings, hold_out=("nosuch",))
    with pytest.raises(ValueError, match="validation is 1"):
        replace(settings, validation=1)


def test_validation_is_split_by_text_and_passage(settings: MixSettings) -> None:
    write_set(
        settings.ner_mix,
        "aptner",
        *((f"APT{number} was here again", [(0, 0, "apt")]) for number in range(400)),
    )
    build_mix(replace(settings, validation=0.5))
    train, validation = (rows(settings.output / f"{split}.jsonl.gz") for split in ("train", "validation"))
    assert 140 < sum(row["source"] == "aptner" for row in validation) < 260
    assert {row["text"] for row in train}.isdisjoint(row["text"] for row in validation)
    passages = [
        {row["id"].rsplit("-", 1)[0] for row in part if row["source"] == "pile_ner"}
        for part in (train, validation)
    ]
    assert passages[0].isdisjoint(passages[1])


def test_the_cap_keeps_rare_combinations_of_types() -> None:
    common = [Sentence(f"c{number}", "s", ("w",), (Span(0, 1, "common"),)) for number in range(50)]
    rare = [Sentence(f"r{number}", "s", ("w",), (Span(0, 1, "rare"),)) for number in range(3)]
    kept = cap_rows([*common, *rare], 10, seed=0)
    assert len(kept) == 10
    assert kept[-3:] == rare


def test_swapped_labels_are_undone_before_the_map() -> None:
    table = LabelTable({"loc": "location", "org": "organization"}, (("loc", "org"),), {"location": "place"})
    assert table.natural("org") == "place"
    assert table.natural("loc") == "organization"


def test_labels_that_collide_are_merged_and_rare_ones_dropped() -> None:
    table = LabelTable({"md5": "hash", "sha": "hash"}, drop_below=2)
    row = Sentence("r", "s", ("a", "b", "c"), (Span(0, 1, "md5"), Span(1, 2, "sha"), Span(2, 3, "ip")))
    tally = Tally()
    (renamed,) = table.apply([row], tally)
    assert [span.type for span in renamed.spans] == ["hash", "hash"]
    assert tally.counts == {"mention: label is rare": 1}


def test_a_missing_label_map_is_named(settings: MixSettings) -> None:
    (settings.ner_mix / "label_map.json").write_text("{}")
    with pytest.raises(ValueError, match="aptner"):
        build_mix(settings)


def test_bad_rows_and_missing_sets_are_named(settings: MixSettings) -> None:
    write_set(settings.ner_mix, "aptner", ("one two", [(1, 2, "apt")]))
    with pytest.raises(ValueError, match=r"aptner\.jsonl\.gz:1"):
        build_mix(settings)
    (settings.ner_mix / "aptner.jsonl.gz").unlink()
    with pytest.raises(FileNotFoundError, match="aptner"):
        build_mix(settings)


def test_the_tables_fit_the_real_sets(shared: Path) -> None:
    """Every label that labels.yaml names is in its set, and every coarse name has a type that exists."""
    folder = shared / "data" / "ner_mix"
    tables = load_tables(folder / "label_map.json", (PILE, *SOURCES))
    for source in SOURCES:
        table = tables[source.name]
        if not (table.names or table.drop or table.coarse):
            continue
        labels = {span.type for row in read_source(folder, source) for span in row.spans}
        mapped = {table.label_map.get(label, label) for label in labels}
        assert set(table.names) | table.drop <= mapped, source.name
        assert set(table.coarse) <= {table.natural(label) for label in labels}, source.name


@pytest.mark.parametrize(
    ("text", "mention", "expected"),
    [
        ("He won at the 1982 Commonwealth Games .", "Commonwealth Games", "1982 Commonwealth Games"),
        ("2008 Summer Olympics began .", "Summer Olympics", "2008 Summer Olympics"),
        ("In 1982 Commonwealth Games began .", "Commonwealth Games", "Commonwealth Games"),
        ("Between 1980 and 1982 Games began .", "Games", "Games"),
        ("The 1066 battle of Hastings .", "battle of Hastings", "battle of Hastings"),
        ("The 1300 Grand Prix of Monaco .", "Grand Prix", "Grand Prix"),
    ],
)
def test_an_event_begins_at_its_year(text: str, mention: str, expected: str) -> None:
    tokens, words = text.split(), mention.split()
    start = next(i for i in range(len(tokens)) if tokens[i : i + len(words)] == words)
    span = Span(start, start + len(words), "sports event")
    found = with_year(span, tokens, set(range(span.start, span.end)))
    assert " ".join(tokens[found.start : found.end]) == expected
    assert with_year(Span(start, span.end, "person"), tokens, set()).start == start


def test_a_year_that_is_a_mention_stays_one() -> None:
    tokens = ["the", "1982", "Commonwealth", "Games"]
    assert with_year(Span(2, 4, "event"), tokens, {1, 2, 3}).start == 2


def test_pile_and_webnlg_answer_to_coarse_names(shared: Path) -> None:
    tables = load_tables(shared / "data" / "ner_mix" / "label_map.json", (PILE, *SOURCES))
    for name in ("pile_ner", "webnlg_distant"):
        assert set(tables[name].coarse.values()) == {"location", "organization", "person"}
    pile = shared / "data" / "pile_ner" / "pile_ner_type_subset.json.gz"
    types = {span.type for passage in read_passages(pile, Tally()) for span in passage.sentence.spans}
    assert set(tables[PILE.name].coarse) <= types
