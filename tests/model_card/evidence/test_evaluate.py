"""The evaluation on real benchmark sentences with the embedded model."""

import json
from pathlib import Path

import pytest

from dataset_builder.benchmarks import Benchmark, Sentence, load_benchmark, load_benchmarks
from dataset_builder.benchmarks import Entity as Gold
from model_card.__main__ import main as run_command
from model_card.evidence.answers import answers_of, check_offsets
from model_card.evidence.evaluate import evaluate, score_table
from model_card.evidence.files import rounded
from model_card.evidence.predictions import Prediction
from model_card.evidence.provenance import weights_sha256
from model_card.evidence.results import RESULTS, read
from model_card.evidence.scores import strict
from model_card.evidence.setting import Setting
from modeling import EntityExtractor
from modeling.extraction.chunking import Entity


def main(argv: list[str]) -> int:
    """Run the command."""
    return run_command(["evaluate", *argv])


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
        scores = evaluate(extractor, benchmark, setting, limit=12)
        assert scores["sentences"] == 12
        if setting.decoding == "grounded":
            assert scores["hallucination"] == 0.0
            assert scores["violation"] == 0.0


def test_wrong_offsets_are_refused() -> None:
    check_offsets("Ann sings", [Entity(0, 3, "Ann", "person", 0.9)], ["person"])
    with pytest.raises(RuntimeError, match="Ann"):
        check_offsets("Ann sings", [Entity(1, 4, "Ann", "person", 0.9)], ["person"])
    with pytest.raises(RuntimeError, match="no type asked for"):
        check_offsets("Ann sings", [Entity(0, 3, "Ann", "singer", 0.9)], ["person"])


def test_the_embedded_model_is_far_above_chance(extractor: EntityExtractor, shared: Path) -> None:
    politics = load_benchmarks("dev", shared / "data" / "benchmarks")[3]
    scores = evaluate(extractor, politics, Setting("aligned", "grounded", 1), limit=40)
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
    assert capsys.readouterr().out.count("| aligned") == 1
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
    assert main(["--adaptive", *rule]) == 2
    assert message in capsys.readouterr().err


def test_missing_data_is_an_error_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path)]) == 1
    assert "error:" in capsys.readouterr().err


def test_table_has_the_mean() -> None:
    scores = {
        "aligned, T=1": {
            "crossner_ai": {"f1": 0.4, "forwards": 1.0},
            "mit_movie": {"f1": 0.6, "forwards": 2.0},
        }
    }
    assert score_table(scores).splitlines()[2].endswith("| 40.0 | 60.0 | 50.0 | 1.50 |")


def test_the_published_figures_are_scored_again(extractor: EntityExtractor, shared: Path) -> None:
    """One evaluator: the weights as they are give the figures of the results file, to the last digit."""
    published = read(RESULTS / "mini", "main")
    assert published is not None
    if published["identity"]["weights_sha256"] != weights_sha256("mini"):
        pytest.skip("the results file is of other weights than those embedded now; measure again")
    benchmark = load_benchmark("crossner_ai", "test", shared / "data" / "benchmarks")
    scores = evaluate(extractor, benchmark, Setting("aligned"), bootstrap=1000)
    expected = published["results"]["settings"]["aligned, T=1"]["sets"]["crossner_ai"]
    for key in ("tp", "fp", "fn", "support", "precision", "recall", "f1", "bootstrap"):
        assert rounded(scores[key]) == expected[key], key


def test_entities_of_a_text_in_several_chunks_all_count(extractor: EntityExtractor) -> None:
    """Fault: offsets of a chunk were taken for offsets of the text, so equal ones of two chunks were one."""
    text = "Ada Lovelace met Charles Babbage in London . " * 60  # several prompts long
    returned = extractor.predict_entities(text, ["person"])
    gold = tuple(Gold("person", e["text"], e["start"], e["end"]) for e in returned)
    assert gold[-1].start > 0.9 * len(text)
    ((answer,),) = answers_of(extractor, [(["person"], text)], Setting("aligned"))
    assert [(e.start, e.end) for e in answer.entities] == [(e.start, e.end) for e in gold]
    benchmark = Benchmark("own", "Own", ("person",), (Sentence("0", text, gold),))
    score = strict(Prediction({}, [[answer]]), benchmark, span=True)
    assert (score["tp"], score["fp"], score["fn"]) == (len(gold), 0, 0)
