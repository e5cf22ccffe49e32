"""The measurement measures what it says: every sentence, its forwards, its work, and vLLM's own figures."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model_card.__main__ import main
from model_card.figures import speed
from model_card.speed import dream as speed_dream
from model_card.speed.cpu import DEBERTA_V3_SMALL, GLINER, WHAT_CPU, compare
from model_card.speed.cuda import NOT_REPLAYED, REPLAYED, TINY, Bench, Work, batches, dream_network
from model_card.speed.dream import Measurement, read_vllm
from model_card.speed.extraction import summary
from model_card.speed.replay import Sentence, load_replay, read_forwards, replay
from modeling import EntityExtractor, load_tokenizer
from modeling.custom_generate.config import DecodingConfig
from modeling.custom_generate.rounds import Task

VLLM_LOG = """INFO engine started
repeat 0 crossner_ai: 10.0 sentences/s, 100 queries/s
repeat 0 all 700 in one batch: 20.0 sentences/s
repeat 1 crossner_ai: 63.3 sentences/s, 800 queries/s
repeat 1 all 700 in one batch: 97.9 sentences/s
latency of one sentence, crossner_ai: p50 85 ms, p95 278 ms
"""


@pytest.fixture(scope="module")
def replay_file(shared: Path) -> Path:
    """The 700 sentences."""
    return shared / "gpu" / "replay.json.gz"


@pytest.fixture(scope="module")
def bench(shared: Path, replay_file: Path) -> Bench:
    """A tiny network of Dream's kind with two sentences of each data set."""
    sentences = load_replay(replay_file, 2)
    forwards = {c: {n: [1, 3] for n in sentences} for c in ("aligned", "completion")}
    model = dream_network(torch.device("cpu"), torch.float32, TINY)
    extractor = EntityExtractor(model, load_tokenizer(shared / "tokenizers" / "dream"))
    return Bench(extractor, sentences, forwards, peak=1e9, workers=1)


def prepared(bench: Bench, canvas: str) -> Task:
    return bench.prepare(bench.works(canvas, "1", list(bench.sentences)[:2]))[0]


def test_prompts_are_those_that_the_replay_file_counts(bench: Bench) -> None:
    for rows in bench.sentences.values():
        for row in rows:
            assert len(bench.extractor.encoder.encode(row.types, row.text)) == row.prompt_tokens
            assert row.bucket > row.completion_tokens


@pytest.mark.parametrize("steps", [1, 3])
def test_a_replay_of_equal_numbers_is_the_loop_itself(bench: Bench, steps: int) -> None:
    found = replay(prepared(bench, "aligned"), [steps] * 4)
    task = prepared(bench, "aligned")
    *_, expected = replace(task, config=DecodingConfig("aligned", steps=steps)).steps()
    assert torch.equal(found.ids, expected.ids)
    torch.testing.assert_close(found.confidence, expected.confidence)
    torch.testing.assert_close(found.log_probs, expected.log_probs)


@pytest.mark.parametrize("canvas", ["aligned", "completion"])
def test_rows_of_other_numbers_do_not_change_a_row(bench: Bench, canvas: str) -> None:
    mixed = replay(prepared(bench, canvas), [2, 1, 3, 2])
    assert mixed.forwards.tolist() == [2, 1, 3, 2]
    for steps, rows in ((1, [1]), (2, [0, 3]), (3, [2])):
        alike = replay(prepared(bench, canvas), [steps] * 4)
        assert torch.equal(mixed.ids[rows], alike.ids[rows])
        torch.testing.assert_close(mixed.confidence[rows], alike.confidence[rows])


works = st.lists(
    st.builds(
        lambda tokens, words, steps: Work(
            Sentence("word " * words, ("person",), tokens, 9), "aligned", steps
        ),
        st.integers(1, 90),
        st.integers(1, 30),
        st.integers(1, 4),
    ),
    min_size=1,
    max_size=30,
)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(works, st.integers(60, 400))
def test_batches_hold_every_sentence_once_within_the_budget(rows: list[Work], budget: int) -> None:
    parts = batches(rows, budget)
    assert sorted(map(id, (work for part in parts for work in part))) == sorted(map(id, rows))
    for part in parts:
        assert len(part) == 1 or sum(work.first_tokens for work in part) <= budget


def test_work_counts_the_prompt_once_and_the_canvas_each_time() -> None:
    sentence = Sentence("three words here", ("person",), 40, 20)
    assert Work(sentence, "aligned", 2).tokens == 40 + 2 * 3
    assert Work(sentence, "aligned", 8).tokens == 40 + 3 * 3  # no more forwards than slots
    assert Work(sentence, "completion", 2).tokens == 40 + 2 * 32


def test_the_whole_measurement_rehearsed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = (("bf16", "aligned", "adaptive"), ("bf16", "completion", "2"), ("float8", "aligned", "adaptive"))
    monkeypatch.setattr(speed_dream, "PLAN", plan)
    names = list(bench.sentences)[:2]
    sentences = {name: bench.sentences[name] for name in names}
    forwards = {c: {n: own[n] for n in names} for c, own in bench.forwards.items()}
    saved: list[dict[str, Any]] = []
    measurement = Measurement(
        sentences,
        forwards,
        bench.extractor.encoder.tokenizer,
        torch.device("cpu"),
        True,
        True,
        600,
        saved.append,
    )
    results = measurement.run()
    assert "failed" not in results
    assert set(results["results"]["bf16"]) == {"aligned, adaptive", "completion, T=2"}
    assert results["results"]["bf16"]["aligned, adaptive"]["forwards"] == 2.0
    assert set(results["results"]["bf16"]["aligned, adaptive"]["latency"]) == set(names)
    for entry in results["check"]["answers_fp32"].values():
        assert entry["equal"] == entry["sentences"] > 0
    for errors in results["check"]["state_errors"].values():
        assert errors["engine, fp32"] < 1e-5
        assert errors["engine, bf16, packed"] < 2 * errors["plain, bf16"]
    assert saved
    assert "float8, aligned, adaptive" in summary(results, None)
    rate = results["results"]["bf16"]["aligned, adaptive"]["all"]["sentences_per_s"]
    vllm = {"all": rate / 4, "sets": dict.fromkeys(names, 1.0), "latency": {}}
    vllm["latency"] = {name: {"p50_ms": 85.0, "p95_ms": 278.0} for name in names}
    report = {**results, "replayed": REPLAYED, "not_replayed": NOT_REPLAYED, "vllm": vllm}
    row = next(line for line in speed.gpu_rates(report).splitlines() if "bf16, aligned, adaptive" in line)
    assert f"| 2.00 | **{rate:.0f}** | 4.0 |" in row
    assert speed.gpu_latency(report).count("85 / 278") == 2
    assert NOT_REPLAYED[0] in speed.gpu_terms(report)


def test_a_part_that_fails_is_noted_and_the_rest_goes_on(bench: Bench) -> None:
    tokenizer = bench.extractor.encoder.tokenizer
    measurement = Measurement({}, {}, tokenizer, torch.device("cpu"), True, False, 600, lambda _: None)
    measurement._start = 0.0
    measurement.seconds = float("inf")
    measurement._part("broken", lambda: {"figure": 1 // 0})
    measurement._part("sound", lambda: {"figure": 1})
    assert "ZeroDivisionError" in measurement.results["failed"]["broken"]
    assert measurement.results["figure"] == 1
    measurement.seconds = 0
    measurement._part("late", lambda: {"figure": 2})
    assert measurement.results["left_out"] == ["late"]
    assert measurement.results["figure"] == 1


def test_vllm_figures_are_those_of_its_last_repeat(tmp_path: Path) -> None:
    log = tmp_path / "vllm.log"
    log.write_text(VLLM_LOG, encoding="utf-8")
    figures = read_vllm(log)
    assert figures["all"] == 97.9
    assert figures["sets"] == {"crossner_ai": 63.3}
    assert figures["latency"] == {"crossner_ai": {"p50_ms": 85.0, "p95_ms": 278.0}}
    assert "97.9" in summary({}, figures)
    log.write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="is it uniner_replay"):
        read_vllm(log)


def test_too_few_recorded_forwards_are_an_error(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "forwards.json"
    own = {c: {n: [1] for n in bench.sentences} for c in ("aligned", "completion")}
    file.write_text(json.dumps({"results": own}), encoding="utf-8")
    with pytest.raises(ValueError, match="1 of 2 sentences"):
        read_forwards(file, bench.sentences)


def test_the_embedded_default_beside_gliner(replay_file: Path) -> None:
    saved: list[dict[str, Any]] = []
    names = ["crossner_ai", "mit_movie"]
    sentences = {name: rows for name, rows in load_replay(replay_file, 2).items() if name in names}
    small = {**DEBERTA_V3_SMALL, "vocab_size": 100, "hidden_size": 48, "num_hidden_layers": 1}
    results = compare("mini", sentences, None, saved.append, batches=(1, 2), gliner=small)
    assert len(saved) == 2
    for entries in results["results"].values():
        assert set(entries["batch 1"]["sets"]) == set(names)
        assert all(entry["p50_ms"] > 0 for entry in entries["batch 1"]["sets"].values())
    assert results["times_gliner"]["batch 2"][GLINER] == 1.0
    table = speed.cpu_rates({**results, "what": WHAT_CPU})
    rate = results["results"]["embedded default"]["batch 2"]["sentences_per_s"]
    assert f"| {rate:.0f} (" in next(line for line in table.splitlines() if "| embedded default |" in line)


def test_missing_files_are_errors_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["speed", "--device", "cpu", "--replay", str(tmp_path / "none.json.gz")]) == 1
    assert "error:" in capsys.readouterr().err
    empty = tmp_path / "empty.json.gz"
    with gzip.open(empty, "wt") as file:
        file.write("{}")
    command = [
        "speed",
        "--device",
        "cpu",
        "--tiny",
        "--replay",
        str(empty),
        "--forwards",
        str(tmp_path / "none.json"),
    ]
    assert main(command) == 1
    assert "none.json" in capsys.readouterr().err
