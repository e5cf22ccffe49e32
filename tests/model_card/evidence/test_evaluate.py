"""The evaluation on real benchmark sentences with the embedded model."""

import json
from pathlib import Path

import pytest

from dataset_builder.benchmarks import load_benchmarks
from model_card.evidence.evaluate import Setting, check_offsets, evaluate, main, table
from modeling import EntityExtractor
from modeling.extraction.chunking import Entity


@pytest.fixture(scope="module")
def extractor() -> EntityExtractor:
    return EntityExtractor.from_pretrained(device="cpu")


@pytest.mark.parametrize(
    "setting",
    [
        Setting("aligned", "grounded", 1),
        Setting("completion", "grounded", 4),
        Setting("completion", "plain", 4),
    ],
    ids=lambda s: s.name,
)
def test_offsets_and_labels_hold_on_benchmark_texts(
    extractor: EntityExtractor, shared: Path, setting: Setting
) -> None:
    # evaluate raises where an entity's text is not text[start:end] or its label was not asked for.
    for benchmark in load_benchmarks("test", shared / "data" / "benchmarks"):
        scores = evaluate(extractor, benchmark, setting, limit=12, progress=False)
        assert scores["sentences"] == 12
        if setting.decoding == "grounded":
            assert scores["hallucination"] == 0.0
            assert scores["violation"] == 0.0


def test_wrong_offsets_are_refused() -> None:
    check_offsets("Ann sings", 0, [Entity(0, 3, "Ann", "person", 0.9)], ["person"])
    with pytest.raises(RuntimeError, match="Ann"):
        check_offsets("Ann sings", 0, [Entity(1, 4, "Ann", "person", 0.9)], ["person"])
    with pytest.raises(RuntimeError, match="no type asked for"):
        check_offsets("Ann sings", 0, [Entity(0, 3, "Ann", "singer", 0.9)], ["person"])


def test_the_embedded_model_is_far_above_chance(extractor: EntityExtractor, shared: Path) -> None:
    politics = load_benchmarks("dev", shared / "data" / "benchmarks")[3]
    scores = evaluate(extractor, politics, Setting("aligned", "grounded", 1), limit=40, progress=False)
    assert scores["f1"] > 0.5


def test_a_second_run_reuses_what_is_done(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "scores.json"
    command = ["--data", str(shared / "data" / "benchmarks"), "--only", "mit_restaurant", "--limit", "5"]
    assert main([*command, "--steps", "1", "--output", str(output)]) == 0
    first = output.read_text()
    capsys.readouterr()
    assert main([*command, "--steps", "1", "2", "--output", str(output)]) == 0
    assert capsys.readouterr().out.count("aligned") == 1
    results = json.loads(output.read_text())["results"]
    assert list(results) == ["aligned, T=1", "aligned, T=2"]
    assert results["aligned, T=1"] == json.loads(first)["results"]["aligned, T=1"]


def test_adaptive_steps_are_printed_with_their_mean_forwards(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "adaptive.json"
    command = ["--data", str(shared / "data" / "benchmarks"), "--only", "mit_restaurant", "--limit", "6"]
    adaptive = ["--adaptive", "threshold", "0.7", "--quantize", "int8", "--output", str(output)]
    assert main([*command, *adaptive, "--device", "cpu"]) == 0
    assert "forwards" in capsys.readouterr().out
    report = json.loads(output.read_text())
    assert report["dtype"] == "int8"
    (scores,) = report["results"]["aligned, threshold 0.7, T<=4"].values()
    assert 1 <= scores["forwards"] <= 4
    assert (scores["truncated"], scores["repeated"]) == (0, 0)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (["luck", "1"], "rule must be one of threshold, entropy"),
        (["entropy", "x"], "must be a number, got 'x'"),
    ],
)
def test_a_wrong_adaptive_rule_is_named(
    rule: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--adaptive", *rule])
    assert message in capsys.readouterr().err


def test_missing_data_is_an_error_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path)]) == 2
    assert "error:" in capsys.readouterr().err


def test_table_has_the_mean() -> None:
    scores = {
        "aligned, T=1": {
            "crossner_ai": {"f1": 0.4, "forwards": 1.0},
            "mit_movie": {"f1": 0.6, "forwards": 2.0},
        }
    }
    assert table(scores, ["crossner_ai", "mit_movie"]).splitlines()[1].split()[-2:] == ["50.0", "1.50"]
