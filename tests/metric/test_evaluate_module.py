"""The metric as users meet it: loaded by `evaluate` in a fresh process without network, published alone.

Times are processor seconds of the process, so that other load on the machine does not decide a test.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import evaluate
import pytest
from evaluate.loading import get_imports

from metric.entity_f1.entity_f1 import EntityF1
from metric.entity_f1.scorer import score_entities

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "metric" / "entity_f1"

# Runs in its own process. Every attempt to reach a host is refused and recorded.
SCRIPT = """
import json, random, socket, sys, time

attempts = []

def refuse(*args, **kwargs):
    attempts.append(repr(args))
    raise OSError("no network in this test")

socket.getaddrinfo = socket.create_connection = socket.socket.connect = socket.socket.connect_ex = refuse
import evaluate

draw = random.Random(0)

def sentence():
    return [{"type": draw.choice("abcdefgh"), "text": f"w{draw.randrange(500)} w{draw.randrange(9)}"}
            for _ in range(draw.randrange(7))]

references = [sentence() for _ in range(20_000)]
predictions = [[e for e in gold if draw.random() < 0.7] + sentence()[:1] for gold in references]
metric = evaluate.load(sys.argv[1], "text")
seconds = []
for _ in range(3):
    start = time.process_time()
    for i in range(0, 20_000, 5_000):
        metric.add_batch(predictions=predictions[i:i + 5_000], references=references[i:i + 5_000])
    result = metric.compute()
    seconds.append(time.process_time() - start)

both = evaluate.combine({"first": evaluate.load(sys.argv[1], "text"), "second": evaluate.load(sys.argv[1])})
both.add_batch(predictions=predictions[:50], references=references[:50])
both.add(prediction=predictions[50], reference=references[50])
spans = evaluate.load(sys.argv[1], "span")
entity = {"type": "a", "start": 0, "end": 2}
print(json.dumps({
    "result": result,
    "seconds": min(seconds),
    "combined": both.compute(),
    "first51": evaluate.load(sys.argv[1], "text").compute(
        predictions=predictions[:51], references=references[:51], per_type=True),
    "span": spans.compute(predictions=[[entity]], references=[[entity, entity | {"end": 3}]]),
    "attempts": attempts,
    "foreign": sorted(name for name in sys.modules if name.split(".")[0] in
                      ("metric", "modeling", "dataset_builder", "model_card", "space_app", "gradio")),
}))
"""


@pytest.mark.parametrize("place", ["repository", "published"])
def test_loads_and_scores_in_a_fresh_process_without_network(place: str, tmp_path: Path) -> None:
    if place == "published":
        # A Space holds the folder's files alone, in a folder that is not a package.
        shutil.copytree(FOLDER, tmp_path / "entity_f1", ignore=shutil.ignore_patterns("__*"))
    outcome = subprocess.run(
        [sys.executable, "-c", SCRIPT, "metric/entity_f1" if place == "repository" else "entity_f1"],
        cwd=REPOSITORY if place == "repository" else tmp_path,
        env=os.environ | {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    found = json.loads(outcome.stdout.splitlines()[-1])
    print(f"20,000 sentences through evaluate: {found['seconds']:.2f} s")
    assert found["seconds"] < 2
    assert found["attempts"] == []
    assert found["foreign"] == []
    assert found["result"]["support"] > 50_000
    per_type = found["first51"].pop("per_type")
    assert sum(score["tp"] for score in per_type.values()) == found["first51"]["tp"] > 0
    for name, value in found["first51"].items():
        assert found["combined"][f"first_{name}"] == found["combined"][f"second_{name}"] == value
    assert (found["span"]["tp"], found["span"]["fp"], found["span"]["fn"]) == (1, 0, 1)


def large_input() -> tuple[list[Any], list[Any], list[Any]]:
    references = [
        [{"type": f"type{(i + j) % 20}", "text": f"mention {i * j % 977}"} for j in range(i % 7)]
        for i in range(20_000)
    ]
    predictions = [gold[i % 3 > 0 :] for i, gold in enumerate(references)]
    baseline = [gold[i % 2 :] for i, gold in enumerate(references)]
    return references, predictions, baseline


@pytest.mark.parametrize("matching", ["strict", "multiset", "uniner"])
def test_plain_scorer_takes_under_two_seconds_for_20000_sentences(matching: str) -> None:
    references, predictions, _ = large_input()
    start = time.process_time()
    result = score_entities(predictions, references, matching=matching, per_type=True, macro=True)
    seconds = time.process_time() - start
    print(f"20,000 sentences, matching={matching}: {seconds:.2f} s")
    assert result.support > 30_000
    assert seconds < 2


def test_paired_bootstrap_of_20000_sentences_takes_seconds() -> None:
    references, predictions, baseline = large_input()
    start = time.process_time()
    result = score_entities(predictions, references, bootstrap=1000, baseline_predictions=baseline)
    seconds = time.process_time() - start
    print(f"1000 paired resamples of 20,000 sentences: {seconds:.2f} s")
    assert result.paired is not None
    assert result.paired.interval[0] < result.paired.f1_difference < result.paired.interval[1]
    assert seconds < 15


@pytest.fixture
def metric(tmp_path: Path) -> EntityF1:
    return EntityF1("text", keep_in_memory=True, cache_dir=str(tmp_path))


GOOD = [{"type": "a", "text": "x"}]


def test_result_equals_the_plain_scorer(metric: EntityF1) -> None:
    options: dict[str, Any] = {
        "matching": "multiset",
        "per_type": True,
        "macro": True,
        "ignore_types": ["misc"],
        "seen_types": ["a"],
        "bootstrap": 20,
        "baseline_predictions": [GOOD, []],
    }
    predictions: list[Any] = [[*GOOD, {"type": "misc", "text": "y"}], [{"type": "b", "text": "ß\n|"}]]
    references: list[Any] = [[*GOOD, *GOOD], [{"type": "B", "text": "ß\n|", "score": 0.5}]]
    found = metric.compute(predictions=predictions, references=references, **options)
    assert found == score_entities(predictions, references, **options).to_dict()


def test_no_sentences_and_empty_sentences(metric: EntityF1) -> None:
    assert metric.compute(predictions=[], references=[], zero_division=1.0)["f1"] == 1.0
    assert metric.compute(predictions=[[], []], references=[[], GOOD])["fn"] == 1


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([GOOD], [GOOD, GOOD], r"sentence 1 has no counterpart"),
        ([GOOD, [{"type": "a"}]], [GOOD, GOOD], r"predictions\[4\]\[0\] has no key 'text'"),
        ([GOOD, GOOD], [GOOD, [{"type": "a", "text": ["x"]}]], r"references\[4\]\[0\]\['text'\] must be str"),
        ([GOOD, None], [GOOD, GOOD], r"predictions\[4\] must be a list of entities"),
        (None, [GOOD], r"predictions must be a list"),
    ],
)
def test_bad_batches_are_refused_whole_with_the_index_over_all_batches(
    metric: EntityF1, predictions: Any, references: Any, message: str
) -> None:
    metric.add_batch(predictions=[GOOD, GOOD], references=[GOOD, GOOD])
    metric.add(prediction=GOOD, reference=GOOD)
    with pytest.raises(ValueError, match=message):
        metric.add_batch(predictions=predictions, references=references)
    assert metric.compute()["tp"] == 3


def test_bad_single_sentence_names_its_index(metric: EntityF1) -> None:
    metric.add(prediction=GOOD, reference=GOOD)
    with pytest.raises(ValueError, match=r"references\[1\]\[0\] has no key 'type'"):
        metric.add(prediction=GOOD, reference=[{"text": "x"}])


def test_unknown_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config_name must be one of .*got 'offsets'"):
        EntityF1("offsets", cache_dir=str(tmp_path))


def test_one_feature_schema_per_configuration(tmp_path: Path) -> None:
    def columns(config_name: str | None) -> dict[str, str]:
        features = EntityF1(config_name, cache_dir=str(tmp_path)).features
        assert features["predictions"] == features["references"]
        return {name: value.dtype for name, value in features["predictions"].feature.items()}

    assert columns("text") == columns(None) == {"type": "string", "text": "string"}
    assert columns("span") == {"type": "string", "start": "int64", "end": "int64"}


def test_loader_finds_every_sibling_that_the_modules_import() -> None:
    # evaluate copies only what the script itself imports, and reads its import lines by regular expression.
    copied = {name for kind, name, *_ in get_imports(str(FOLDER / "entity_f1.py")) if kind == "internal"}
    needed: set[str] = set()
    for name in ("entity_f1", *copied):
        for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1
                assert node.module
                assert "." not in node.module
                needed.add(node.module)
    assert needed == copied == {"entities", "scorer"}


@pytest.mark.parametrize(
    ("file", "allowed"),
    [
        ("entities.py", set()),
        ("scorer.py", set()),
        ("entity_f1.py", {"evaluate", "datasets"}),
        ("app.py", {"evaluate", "gradio"}),
    ],
)
def test_imports_stay_within_what_a_space_has(file: str, allowed: set[str]) -> None:
    imported = set()
    for node in ast.walk(ast.parse((FOLDER / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert len(node.names) == 1
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add(str(node.module).split(".")[0])
    assert imported - set(sys.stdlib_module_names) == allowed


def test_info_names_the_metric() -> None:
    info = EntityF1("text").info
    assert isinstance(info, evaluate.MetricInfo)
    assert info.module_type == "metric"
    assert "micro" in info.description
