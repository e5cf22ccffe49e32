"""Labels as users write them: names, plurals, descriptions, thresholds; results carry the same spelling."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.extraction import label_names
from modeling.extraction.columns import scalar, values
from modeling.extraction.label_codes import CODES
from modeling.extraction.label_names import LOGGER, described, plain_name, written_name
from modeling.extraction.label_plurals import singular
from modeling.extraction.label_set import label_sets, least_score, read_labels
from modeling.extraction.options import own_options

PLAIN = {
    "PER": "person",
    "per": "person",
    "B-PER": "person",
    "I-geo": "geographical location",
    "S-ORG": "organization",
    "MISC": "miscellaneous",
    "FAC": "facility",
    "GPE": "country or city",
    "WORK_OF_ART": "work of art",
    "PHONE_NUMBER": "phone number",
    "EMAIL_ADDRESS": "email address",
    "US_SSN": "social security number",
    "CARDINAL": "cardinal number",
    "cardinal": "cardinal",
    "B-art": "artifact",
    "ART": "art",
    "B-PROTEIN": "protein",
    "B-CELL": "b-cell",
    "B-cell": "b-cell",
    "E-MAIL": "email address",
    "e-mail": "e-mail",
    "companies": "company",
    "People": "person",
    "COMPANY": "company",
    "first_name": "first name",
    "phoneNumber": "phone number",
    "HTTPServer": "http server",
    "creative-work": "creative work",
    "mRNA": "mrna",
    "YouTube channels": "youtube channel",
    "covid-19 variants": "covid-19 variant",
    "names of companies": "name of companies",  # the noun is "names"
    "people and places": "people and places",
    "  big \n city ": "big city",
    "ORGs": "organization",
    "公司": "公司",
    "_": "_",
}


@pytest.mark.parametrize(("label", "name"), PLAIN.items())
def test_the_plain_name_of_a_label(label, name):
    assert plain_name(label) == name


def test_a_noun_that_is_no_plural_stays():
    nouns = """glasses species news address series analysis process virus gas bus lens physics status tennis
        chaos press class headquarters genus person company house data media clothes us hours"""
    for noun in nouns.split():
        assert singular(noun) == noun


def test_plurals():
    pairs = """companies company, people person, analyses analysis, addresses address, viruses virus,
        houses house, boxes box, churches church, dishes dish, heroes hero, shoes shoe, movies movie,
        diseases disease, courses course, prizes prize, knives knife, olives olive, photos photo, days day,
        cities city, symptoms symptom, children child, lenses lens, gases gas, diagnoses diagnosis,
        licenses license, databases database, campuses campus, causes cause, classes class, ideas idea"""
    for plural, expected in (pair.split() for pair in pairs.split(",")):
        assert singular(plural) == expected
        assert singular(expected) == expected


def test_the_name_of_a_name_is_itself():
    for label in [*PLAIN, *CODES, *CODES.values()]:
        assert plain_name(plain_name(label)) == plain_name(label)


LETTERS = st.text(st.sampled_from("abceghinosuxyzABEILOPRS_-' 1é公"), min_size=1, max_size=14)


@given(LETTERS.filter(str.strip))
def test_names_are_stable_and_never_empty(label):
    name = plain_name(label)
    assert name
    assert plain_name(name) == name
    assert name == " ".join(name.split())


@given(st.lists(LETTERS.filter(str.strip), min_size=1, max_size=8))
def test_results_tell_the_label_as_the_caller_spells_it(labels):
    try:
        own = read_labels(labels)
    except ValueError:
        own = None
    if own is None:  # refused for two that mean the same, and for nothing else
        assert len({plain_name(label) for label in labels}) < len(labels)
        return
    assert len(set(own.names)) == len(own.names)
    spelled = list(own.spellings.values())
    assert len(set(spelled)) == len(spelled)
    assert set(spelled) <= set(labels)


def test_two_labels_of_one_meaning():
    assert read_labels(["person", "Person ", "PERSON"]).spellings == {"person": "person"}
    assert read_labels(["O", "B-PER", "I-PER"]).spellings == {"person": "B-PER"}
    assert read_labels(["companies", "company"]).names == ["companies", "company"]
    assert read_labels(["A", "B", "O"]).names == ["a", "b", "o"]
    with pytest.raises(
        ValueError, match="labels 'PER' and 'person' mean the same, 'person'; leave one of them"
    ):
        read_labels(["PER", "person"])
    both = read_labels({"PER": "a public person", "person": "anybody else"})
    assert list(both.spellings.values()) == ["PER", "person"]


def test_codes_are_said_once_and_can_be_silenced(caplog, monkeypatch):
    monkeypatch.setattr(label_names, "_said", set())
    with caplog.at_level(logging.WARNING, LOGGER.name):
        read_labels(["NORP", "person"])
        read_labels(["NORP", "person"])
    assert [record.getMessage() for record in caplog.records] == [
        "labels: 'NORP' is read as 'nationality, religious or political group'"
    ]
    monkeypatch.setattr(label_names, "_said", set())
    caplog.clear()
    with caplog.at_level(logging.ERROR, LOGGER.name):
        read_labels(["NORP"])
    assert not caplog.records


def test_descriptions_follow_the_name(caplog):
    assert read_labels({"PER": "a human: who | lives.", "city": None}).names == [
        "person (a human, who / lives)",
        "city",
    ]
    listed = read_labels([{"person": "a human"}, {"label": "city", "description": "a town"}, "river"])
    assert listed.names == ["person (a human)", "city (a town)", "river"]
    assert described("x", "word " * 50).count("word") == label_names.DESCRIPTION_WORDS
    with caplog.at_level(logging.WARNING, LOGGER.name):
        read_labels({"gadget": "word " * 50})
    assert "'gadget' has a description of 50 words, of which the first 12 are read" in caplog.text
    with pytest.raises(TypeError, match="the description of label 'person' must be a string, got 3"):
        read_labels({"person": 3})
    with pytest.raises(
        ValueError, match="'person' has a description, which the completion canvas cannot use"
    ):
        label_sets({"person": "a human"}, 1, canvas="completion")


def test_one_string_is_no_list():
    with pytest.raises(TypeError, match=r"got the string 'person; city'; write \['person', 'city'\]"):
        read_labels("person; city")


def test_labels_of_their_own_may_be_empty():
    sets = label_sets([["person"], []], 2)
    assert [own.names for own in sets] == [["person"], []]
    for none in ([], [[], []]):
        with pytest.raises(ValueError, match="no labels given"):
            label_sets(none, 2)
    with pytest.raises(ValueError, match="text 1: label '' is empty"):
        label_sets([["person"], [""]], 2)


def test_a_threshold_for_each_label():
    own = read_labels(["PER", "city", "river"], {"PER": 0.9, "City": 0.2, "default": 0.5})
    assert own.least == {"person": 0.9, "city": 0.2, "river": 0.5}
    assert least_score({"PER": np.float32(0.5)}) == 0.0
    assert least_score({"PER": 0.5, "default": 0.25}) == 0.25
    with pytest.raises(ValueError, match=r"threshold of 'PER' must be a number in \[0, 1\], got 2"):
        least_score({"PER": 2})
    with pytest.raises(ValueError, match="threshold names 'town', which is none of the labels city"):
        label_sets(["city"], 1, {"town": 0.5})


def test_gliners_options():
    assert own_options(None, {"flat_ner": True, "steps": 2}) == (None, {"nested": False, "steps": 2})
    assert own_options(None, {"flat_ner": False}) == ("completion", {"nested": True})
    assert own_options("aligned", {"flat_ner": False}) == (
        "aligned",
        {"nested": True},
    )  # refused with nested's message
    assert own_options(None, {"flat_ner": False, "multi_label": True}) == ("completion", {"nested": True})
    assert own_options(None, {"multi_label": False}) == (None, {})
    for options, message in (
        ({"multi_label": True}, "use nested=True with canvas='completion'"),
        ({"flat_ner": True, "nested": True}, "flat_ner=True and nested=True contradict"),
        ({"flat_ner": 1}, "flat_ner must be True or False, got 1"),
        ({"flat_ner": False, "multi_label": False}, "multi_label=False has no counterpart"),
    ):
        with pytest.raises(ValueError, match=message):
            own_options(None, options)


def test_arrays_series_and_tables():
    pandas = pytest.importorskip("pandas")
    assert values(np.array(["a", "b"])) == ["a", "b"]
    assert values(pandas.Series(["a", "b"], index=[5, 7])) == ["a", "b"]
    assert values(iter("ab")) == ["a", "b"]
    assert values("ab") == "ab"
    with pytest.raises(TypeError, match=r"table of type DataFrame, with the columns id, text; choose one"):
        values(pandas.DataFrame({"id": [1], "text": ["a"]}))
    assert type(scalar(np.int64(3))) is int
    assert scalar(0.5) == 0.5


def test_predictions_under_the_callers_labels(extractor):
    text = "alice smith met bob in paris ."
    plain = extractor.predict_entities(text, ["person", "city"])
    assert {e["label"] for e in plain} == {"person", "city"}
    again = extractor.predict_entities(text, ["B-PER", "Cities "])
    assert again == [e | {"label": {"person": "B-PER", "city": "Cities "}[e["label"]]} for e in plain]
    last = list(extractor.stream(text, ["B-PER", "Cities "]))[-1]
    assert last["entities"] == again
    assert {"B-PER", "Cities "} <= {slot["symbol"] for slot in last["slots"]}
    (run,) = extractor.sample_entities(text, ["B-PER"], runs=1, seed=3)
    assert {e["label"] for e in run} <= {"B-PER"}


def test_predictions_over_a_threshold_of_each_label(extractor):
    text = "alice smith met bob in paris ."
    plain = extractor.predict_entities(text, ["person", "city"])
    found = extractor.predict_entities(text, ["PER", "city"], {"PER": 1.0})
    assert found == [e for e in plain if e["label"] == "city"]
    assert extractor.predict_entities(text, ["person", "city"], np.float32(0)) == plain
    assert extractor.batch_predict_entities(
        np.array([text]), np.array(["person", "city"]), 0.0, np.int64(4)
    ) == [plain]
    assert extractor.batch_predict_entities([text, text], [["person", "city"], []]) == [plain, []]


def test_flat_and_nested_by_gliners_name(extractor):
    text = "alice smith met bob in paris ."
    assert extractor.predict_entities(text, ["person"], flat_ner=True) == extractor.predict_entities(
        text, ["person"]
    )
    assert extractor.predict_entities(text, ["person"], flat_ner=False) == extractor.predict_entities(
        text, ["person"], canvas="completion", nested=True
    )
    with pytest.raises(ValueError, match="nested=True needs canvas='completion'"):
        extractor.predict_entities(text, ["person"], canvas="aligned", flat_ner=False)


def test_benchmark_types_are_read_as_they_are(shared: Path):
    from dataset_builder.benchmarks import read_benchmarks

    for benchmark in read_benchmarks(shared / "data/benchmarks"):
        for name in benchmark.types:
            assert plain_name(name) == written_name(name) == name


def test_cases_about_labels(shared: Path):
    from modeling import EntityExtractor

    lines = (shared / "cases/real_world.jsonl").read_text(encoding="utf-8").splitlines()
    cases = {case["id"]: case["input"] for case in map(json.loads, lines)}
    embedded = EntityExtractor.from_pretrained(device="cpu")

    case = cases["D1"]
    found = embedded.predict_entities(**case)
    expected = embedded.predict_entities(case["text"], ["person", "location", "organization"])
    names = {"PER": "person", "LOC": "location", "ORG": "organization"}
    assert {(e["start"], e["end"], names[e["label"]]) for e in found if e["label"] != "MISC"} == {
        (e["start"], e["end"], e["label"]) for e in expected
    }
    assert {e["label"] for e in embedded.predict_entities(**cases["D4"])} == {"person"}
    first, second = embedded.batch_predict_entities(**cases["D6a"])
    assert first
    assert second == []
    assert embedded.predict_entities(**cases["E1"])
    assert embedded.predict_entities(**cases["E2"])
