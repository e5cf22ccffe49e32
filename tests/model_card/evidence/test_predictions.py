"""Kept predictions come back as they were, and never as another data set's."""

from pathlib import Path

import pytest

from dataset_builder.benchmark_queries import Query, QuerySet
from dataset_builder.benchmarks import Benchmark, Entity, Sentence
from model_card.evidence.predictions import (
    BASELINE,
    Answer,
    Prediction,
    baseline_folder,
    baselines,
    folder,
    load,
    save,
    unit_path,
)
from model_card.evidence.scores import references, strict, uniner, written
from model_card.evidence.setting import Setting
from modeling.extraction.chunking import Entity as Found

TEXT = "Ann met Bob in Oslo ."
SENTENCE = Sentence("s", TEXT, (Entity("person", "Ann", 0, 3), Entity("misc", "Oslo", 15, 19)))
BENCHMARK = Benchmark("crossner_ai", "CrossNER AI", ("person", "country"), (SENTENCE,), "test", "f", "abc")
ANSWER = Answer(
    (Found(0, 3, "Ann", "person", 0.123456789), Found(8, 11, "Bob", "person", 0.5)),
    (("country", "Norway"),),
    3,
    1,
    2.0,
)
HEADER = {"data_sha256": "abc", "sentences": 1, "setting": "x"}


def test_they_come_back(tmp_path: Path) -> None:
    path = unit_path(
        folder("mini", "f" * 64, tmp_path, dtype="float32", device="cpu"), "aligned-t1", BENCHMARK, None
    )
    save(path, Prediction(HEADER, [[ANSWER]]))
    kept = load(path, BENCHMARK, None)
    assert path.relative_to(tmp_path).as_posix() == (
        "mini-ffffffffffff-float32-cpu/test/aligned-t1/crossner_ai.json.gz"
    )
    assert kept.final[0].invented == ANSWER.invented
    assert [(e.start, e.end, e.text, e.label) for e in kept.final[0].entities] == [
        (0, 3, "Ann", "person"),
        (8, 11, "Bob", "person"),
    ]
    assert kept.final[0].entities[0].score == 0.12346
    assert (kept.final[0].segments, kept.final[0].violations, kept.final[0].forwards) == (3, 1, 2)
    # The same answers are the same bytes and the same digest; other answers are not.
    first = path.read_bytes()
    save(path, kept)
    assert path.read_bytes() == first
    assert kept.digest == Prediction({}, [[ANSWER]]).digest != Prediction({}, [[Answer()]]).digest
    assert not list(path.parent.glob("*.part"))


@pytest.mark.parametrize(
    ("header", "limit", "message"),
    [
        ({**HEADER, "data_sha256": "other"}, None, "data_sha256 'other' instead of 'abc'"),
        ({**HEADER, "sentences": 2}, None, "sentences 2 instead of 1"),
    ],
)
def test_other_data_is_refused(tmp_path: Path, header: dict, limit: int | None, message: str) -> None:
    save(tmp_path / "p.json.gz", Prediction(header, [[ANSWER]]))
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "p.json.gz", BENCHMARK, limit)


def test_baselines_are_found_by_name(tmp_path: Path) -> None:
    own = baseline_folder("Universal-NER/UniNER-7B-type", tmp_path)
    save(unit_path(own, BASELINE, BENCHMARK, 5), Prediction(HEADER, [[ANSWER]]))
    folder("mini", "abc", tmp_path, dtype="bfloat16", device="cuda").mkdir()
    assert baselines(tmp_path) == {"uniner-7b-type": own}
    assert baselines(tmp_path / "none") == {}


def test_what_is_invented_counts_as_wrong_in_every_reading() -> None:
    prediction = Prediction(HEADER, [[ANSWER]])
    assert len(written(prediction, BENCHMARK)[0]) == 3
    assert references(BENCHMARK, None) == [[{"type": "person", "text": "Ann", "start": 0, "end": 3}]]
    assert (strict(prediction, BENCHMARK)["tp"], strict(prediction, BENCHMARK)["fp"]) == (1, 2)
    span = strict(prediction, BENCHMARK, span=True)
    assert (span["tp"], span["fp"], span["fn"]) == (1, 2, 0)
    misc = strict(prediction, BENCHMARK, misc=True)
    assert misc["fn"] == 1


def test_uniners_files_are_answered_by_text() -> None:
    queries = tuple(Query(f"q{k}", 0, TEXT, k, f"What describes {k} in the text?", a) for k, a in (
        ("person", ("ann", "The Bob")), ("country", ())))  # fmt: skip
    asked = QuerySet("crossner_ai", "CrossNER AI", ("person", "country"), queries, "f", "x")
    score = uniner(Prediction(HEADER, [[ANSWER]]), BENCHMARK, asked)
    assert (score["files"], score["tp"], score["fp"], score["fn"]) == ("uniner", 2, 1, 0)
    own = uniner(Prediction(HEADER, [[ANSWER]]), BENCHMARK, None)
    assert (own["files"], own["tp"], own["fp"]) == ("benchmark", 1, 2)
    strange = QuerySet("crossner_ai", "t", (), (Query("q", 0, "Another text.", "person", "?", ()),), "f", "x")
    with pytest.raises(ValueError, match=r"'Another text\.' is not in CrossNER AI"):
        uniner(Prediction(HEADER, [[ANSWER]]), BENCHMARK, strange)


def test_settings_have_names_of_their_own() -> None:
    many = [
        Setting(canvas, steps=steps, **more)
        for canvas in ("aligned", "completion")
        for steps in (1, 8)
        for more in (
            {},
            {"adaptive": "entropy"},
            {"remasking": True},
            {"algorithm": "entropy"},
            {"misc": True},
            {"adaptive": "entropy", "bound": 8.0},
            {"adaptive": "entropy", "bound": 2.0},
            {"outside_bias": -1.0},
            {"outside_bias": 1.0},
            {"pad_penalty": 5.0},
            {"fit_canvas": False},
            {"answers": "steps"},
            {"temperature": 1.0, "answers": "samples"},
        )
    ]
    assert len({s.slug for s in many}) == len({s.name for s in many}) == len(many)
    assert Setting("completion", "plain", 8).slug == "completion-plain-t8"
    assert Setting("aligned", remasking=True).options() == {"remasking": True}
    assert Setting("aligned", steps=4, adaptive="entropy", bound=8.0).name == "aligned, entropy 8, T<=4"
    assert Setting("aligned", steps=4, adaptive="entropy", bound=8.0).options() == {
        "adaptive": "entropy",
        "entropy_bound": 8.0,
    }
    with pytest.raises(ValueError, match="a bound of 1 needs an adaptive rule"):
        Setting("aligned", bound=1.0)
    with pytest.raises(ValueError, match="temperature above 0"):
        Setting("aligned", answers="samples")
    with pytest.raises(ValueError, match="answers must be one of"):
        Setting("aligned", answers="all")
