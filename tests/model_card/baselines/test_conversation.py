"""UniNER's conversation against its own files, and the whole path of the baseline."""

import gzip
import json
from pathlib import Path

import pytest

from dataset_builder.benchmark_queries import load_uniner_queries
from dataset_builder.benchmarks import SOURCES, load_benchmark
from model_card.__main__ import main
from model_card.baselines.conversation import answer, parse, prompt, question, questions
from model_card.baselines.systems import gliner_answer


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    return shared / "data" / "benchmarks"


def test_prompts_are_uniners_own(data: Path) -> None:
    for file in sorted((data / "uniner").glob("*.json.gz")):
        for row in json.loads(gzip.decompress(file.read_bytes()))[::500]:
            turns = [turn["value"] for turn in row["conversations"]]
            # Vicuna's form, put together here from the file's turns.
            expected = "A virtual assistant answers questions from a user based on the provided text. "
            expected += f"USER: {turns[0]} ASSISTANT: {turns[1]}</s>USER: {turns[2]} ASSISTANT:"
            assert prompt(turns[0].removeprefix("Text: "), turns[2]) == expected


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if source.queries])
def test_every_published_answer_is_read(data: Path, name: str) -> None:
    for query in load_uniner_queries(name, data).queries:
        reply = parse(f" {json.dumps(list(query.answers), ensure_ascii=False)}")
        assert reply.readable
        assert reply.spans == query.answers
        found = answer(query.text, {query.type: json.dumps(list(query.answers))})
        assert not found.invented
        assert {e.text for e in found.entities} == set(query.answers)
        assert all(query.text[e.start : e.end] == e.text for e in found.entities)


def test_questions_are_worded_as_published_where_they_were(data: Path) -> None:
    restaurant = load_benchmark("mit_restaurant", data=data)
    own = questions(restaurant, load_uniner_queries("mit_restaurant", data))
    assert own["restaurant name"] == "What describes Restaurant Name in the text?"
    assert questions(restaurant, None)["restaurant name"] == question("restaurant name")
    assert list(own) == list(restaurant.types)


@pytest.mark.parametrize("reply", ["", "none", "[", '["a", 1]', '{"a": "b"}', '["a"'])
def test_what_is_no_list_of_strings_is_counted_and_never_raises(reply: str) -> None:
    assert parse(reply).spans == ()
    assert not parse(reply).readable
    assert answer("a b", {"t": reply}).violations == 1


def test_a_bracket_in_a_span_and_text_behind_the_list_do_no_harm() -> None:
    assert parse('["a [b]"]</s> and more').spans == ("a [b]",)


def test_places() -> None:
    found = answer("Oslo and Oslo", {"city": '["Oslo", "Oslo", "Oslo", "Rome", ""]', "person": '["Oslo"]'})
    assert [(e.start, e.label) for e in found.entities] == [(0, "city"), (0, "person"), (9, "city")]
    assert found.invented == (("city", "Rome"), ("city", ""))
    assert (found.segments, found.violations) == (2, 0)


def test_gliners_shape_is_read_and_checked() -> None:
    entity = {"start": 0, "end": 4, "text": "Oslo", "label": "city", "score": 0.7}
    assert gliner_answer("Oslo", [entity]).entities[0].score == 0.7
    with pytest.raises(ValueError, match="not what stands there"):
        gliner_answer("Rome", [entity])


def test_the_whole_path_scores_a_model_that_knows_the_answers(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from model_card.baselines.parrot import byte_tokenizer, lessons, teach, tiny_llama

    tokenizer = byte_tokenizer()
    model = tiny_llama(tokenizer, heads=1)
    known = list(lessons(data, ["mit_restaurant"], 1))
    teach(model, tokenizer, known, steps=300, device="cpu", rate=5e-3, enough=0.02)
    model.save_pretrained(tmp_path / "parrot")
    tokenizer.save_pretrained(tmp_path / "parrot")
    command = ["--system", "uniner", "--engine", "transformers", "--model", str(tmp_path / "parrot")]
    command += [
        "--data",
        str(data),
        "--only",
        "mit_restaurant",
        "--limit",
        "1",
        "--runs",
        str(tmp_path / "runs"),
    ]
    report = tmp_path / "path.json"
    assert main(["baseline", *command, "--device", "cpu", "--path-test", str(report)]) == 0
    scores = json.loads(report.read_text(encoding="utf-8"))
    assert scores["what"] == "path test, no evidence of quality"
    own = scores["sets"]["mit_restaurant"]
    assert (own["queries"], own["unreadable"], own["strict"]["f1"], own["uniner"]["f1"]) == (8, 0, 1.0, 1.0)
    capsys.readouterr()
    assert main(["baseline", *command]) == 0
    assert "0 sets answered, 1 kept" in capsys.readouterr().out


def test_a_missing_engine_names_the_way_out(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--data", str(data), "--only", "mit_restaurant", "--limit", "1", "--runs", str(tmp_path)]
    assert main(["baseline", "--system", "uniner", *command]) == 1
    assert "requirements-vllm.txt" in capsys.readouterr().err
    assert main(["baseline", "--system", "gliner", *command]) == 1
    assert "requirements-gliner.txt" in capsys.readouterr().err
