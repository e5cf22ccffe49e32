"""Labelled texts of one's own: what is read, what is refused, and that a trained network learns from them."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trl import ModelConfig, TrlParser

import train_sft
from modeling import EntityExtractor, load_model, load_tokenizer
from modeling.backbones.pointer_init import pointer_settings
from modeling.canvas.encoding import PromptEncoder
from modeling.cli.extract import main as extract
from modeling.cli.train import FINETUNE, with_config
from modeling.training.arguments import DiffusionArguments, RunArguments
from modeling.training.labelled import (
    SOURCE,
    LabelledError,
    is_labelled,
    load_labelled,
    read_labelled,
    warn_of_long,
)
from modeling.training.run import make_trainer, run
from tests.modeling.tiny import VERBS, save_encoder, toy_rows


def lines(*records: Any) -> list[bytes]:
    """Return JSON Lines; a string is a line as it is."""
    return [(r if isinstance(r, str) else json.dumps(r)).encode() + b"\n" for r in records]


def spans(text: str, *entities: dict[str, Any]) -> list[tuple[int, int, str]]:
    """Return what one text's entities are read as."""
    ((row,), _) = read_labelled(lines({"text": text, "entities": list(entities)}))
    return [(e["start"], e["end"], e["type"]) for e in row["entities"]]


# What is read.


def test_offsets_and_texts_may_be_mixed():
    text = "Ann met Ann in Oslo"
    assert spans(text, {"start": 15, "end": 19, "type": "city"}, {"text": "Ann", "type": "person"}) == [
        (0, 3, "person"),
        (8, 11, "person"),
        (15, 19, "city"),
    ]


def test_a_text_alone_stands_for_whole_words_and_not_for_a_part_of_a_longer_entity():
    entities = [{"text": "York", "type": "city"}, {"text": "York Times", "type": "paper"}]
    assert spans("York Times of York, not Yorkshire", *entities) == [(0, 10, "paper"), (14, 18, "city")]
    # If it stands nowhere else, the inner one is meant.
    assert spans("The York Times", *entities) == [(4, 8, "city"), (4, 14, "paper")]
    assert spans("私は東京に", {"text": "東京", "type": "city"}) == [(2, 4, "city")]


@given(
    st.text(alphabet="ab .-é東", min_size=1, max_size=14), st.text(alphabet="abé東", min_size=1, max_size=2)
)
def test_every_place_of_a_text_is_one_of_its_occurrences(text, span):
    try:
        found = spans(text, {"text": span, "type": "t"})
    except LabelledError:
        return
    assert found
    assert all(text[start:end] == span for start, end, _ in found)
    places = {i for i in range(len(text)) if text.startswith(span, i)}
    assert {start for start, _, _ in found} <= places


def test_types_of_the_file_are_asked_everywhere_unless_a_line_says_which(tmp_path):
    file = tmp_path / "my.jsonl"
    records = [
        {"text": "Ann left", "entities": [{"text": "Ann", "type": "person"}]},
        {"text": "in Oslo", "entities": [{"start": 3, "end": 7, "label": "city", "score": 0.9}]},
        {"text": "it rained", "entities": [], "labels": ["city", "river"]},
    ]
    file.write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines(*records)))
    assert is_labelled(str(file))
    assert not is_labelled(str(tmp_path))
    rows = load_labelled(file)
    assert rows.inventories[SOURCE].types == ("person", "city", "river")
    train = rows.splits["train"]
    assert train["negatives"] == ["closed", "closed", "listed"]
    assert train["types"] == [[], [], ["city", "river"]]


def test_what_the_extractor_writes_is_read(trained, tmp_path):
    texts, out = tmp_path / "texts.jsonl", tmp_path / "out.jsonl"
    texts.write_text(
        "".join(json.dumps({"text": row["text"], "id": i}) + "\n" for i, row in enumerate(toy_rows(6)))
    )
    flags = ["--input", str(texts), "--labels", "person, city, animal", "--output", str(out)]
    assert extract(["--model", str(trained), *flags]) == 0
    written = [json.loads(line) for line in out.read_text().splitlines()]
    with out.open("rb") as file:
        rows, _ = read_labelled(file)
    assert [len(row["entities"]) for row in rows] == [len(row["entities"]) for row in written]
    assert sum(len(row["entities"]) for row in rows) > 6
    for row, answer in zip(rows, written, strict=True):
        assert {(e["start"], e["end"], e["type"]) for e in row["entities"]} == {
            (e["start"], e["end"], e["label"]) for e in answer["entities"]
        }


# What is refused.

ANN = {"text": "Ann left Oslo", "entities": [{"start": 0, "end": 3, "type": "person"}]}


def entity(**fields: Any) -> dict[str, Any]:
    return {"text": "Ann left Oslo", "entities": [fields]}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{", r"line 2: not JSON"),
        ("[1]", r"line 2: expected an object"),
        ({"entities": []}, r"line 2: no 'text' among the keys \['entities'\]"),
        ({"text": " ", "entities": []}, r"line 2: 'text' holds no word; remove the line"),
        ({"text": "a"}, r"line 2: no 'entities' among the keys .* write \[\] for a text without any"),
        ({"text": "a", "entities": {"a": 1}}, r"line 2: 'entities' must be a list .*, got {'a': 1}"),
        ({"text": "a", "line": 7, "error": "too long"}, r"line 2: the text was not answered \('too long'\)"),
        ({"text": "a", "entities": ["a"]}, r"entity 1: expected an object, got 'a'"),
        ({"text": "a", "entities": [], "labels": "x"}, r"'labels' must be a list of strings, got 'x'"),
        (entity(start=0, end=3), r"entity 1: no 'type' \(or 'label'\) among the keys \['start', 'end'\]"),
        (entity(start=0, end=3, type="a", label="b"), r"'type' is 'a' but 'label' is 'b'; keep one"),
        (entity(start=0, end=3, type="a|b"), r"label 'a\|b' holds the character '\|'"),
        (entity(start=0, end=3, type=5), r"must be a string, got 5"),
        (entity(start=0, end=3, type="Person"), r"'Person' is spelled 'person' on line 1; spell it alike"),
        (entity(type="a"), r"needs 'start' and 'end', or the 'text' of the entity"),
        (entity(start=0, type="a"), r"'end' must be a whole number of characters, got None"),
        (entity(start="0", end=3, type="a"), r"'start' must be a whole number of characters, got '0'"),
        (entity(start=9, end=99, type="a"), r"start 9 and end 99 are no span of a text of 13 characters"),
        (entity(start=3, end=3, type="a"), r"start 3 and end 3 are no span"),
        (entity(start=0, end=4, type="a"), r"'Ann ' begins or ends with white space; use start 0 and end 3"),
        (entity(start=0, end=3, type="a", text="Oslo"), r"has 'Ann' at 0 to 3, but the entity says 'Oslo'"),
        (
            entity(type="a", text="ann"),
            r"'ann' does not stand in the text as whole words; check its spelling",
        ),
        (entity(type="a", text="Osl"), r"'Osl' does not stand in the text as whole words"),
        ({"text": "a \u200b", "entities": [{"start": 2, "end": 3, "type": "a"}]}, r"holds no word"),
        ({**ANN, "labels": ["city"]}, r"has the type 'person', which is not among the line's 'labels'"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_with_the_fix(record, message):
    with pytest.raises(LabelledError, match=message) as error:
        read_labelled(lines(ANN, record), "my.jsonl")
    assert str(error.value).startswith("my.jsonl: 1 of 2 lines")


def test_all_bad_lines_are_named_at_once_and_empty_files_refused(tmp_path):
    with pytest.raises(
        LabelledError, match=r"12 of 13 lines\n  line 2: (.|\n)*line 11: .*\n  and 2 more lines"
    ):
        read_labelled(lines(ANN, *["{"] * 12))
    with pytest.raises(LabelledError, match="the file is empty; give lines such as"):
        read_labelled([b"\n"])
    with pytest.raises(LabelledError, match="no line holds an entity"):
        read_labelled(lines({"text": "a", "entities": []}))
    with pytest.raises(FileNotFoundError, match=r"there is no file .*missing\.jsonl"):
        load_labelled(tmp_path / "missing.jsonl")


def test_overlaps_and_long_texts_are_warned_of(tokenizer, tmp_path, caplog):
    file = tmp_path / "my.jsonl"
    inner = {"start": 0, "end": 3, "type": "person"}
    outer = {"start": 0, "end": 8, "type": "event"}
    file.write_bytes(b"".join(lines({"text": "Ann left " * 9, "entities": [inner, outer]}, ANN)))
    with caplog.at_level(logging.WARNING):
        rows = load_labelled(file)
        encoder = PromptEncoder(tokenizer, pointer_settings(tokenizer))
        warn_of_long(rows, encoder, len(encoder.encode(rows.inventories[SOURCE].types, ANN["text"])))
        assert "entities that overlap a longer one: 1;" in caplog.text
        assert "1 of 2 texts lose their last words" in caplog.text
        caplog.clear()
        warn_of_long(rows, encoder, 384)
    assert not caplog.text


# Training.


def flags(init: Path, data: Path, out: Path, *more: str) -> list[str]:
    """Return a command line of ``train_sft.py`` for a tiny network."""
    return [
        *("--init", str(init), "--data", str(data), "--output_dir", str(out)),
        *("--use_cpu", "True", "--disable_tqdm", "True", *more),
    ]


def test_a_trained_network_learns_a_new_type_from_a_file(trained, tmp_path):
    data = tmp_path / "my.jsonl"
    records = [
        {
            "text": row["text"],
            "entities": [{"text": v, "type": "the verb"} for v in VERBS if v in row["text"]],
        }
        for row in toy_rows(16, seed=5)
    ]
    data.write_bytes(b"".join(lines(*records)))
    words = with_config(
        flags(trained, data, tmp_path / "out", "--learning_rate", "3e-3", "--num_train_epochs", "40")
    )
    assert words[:2] == ["--config", str(FINETUNE)]
    parser = TrlParser([RunArguments, DiffusionArguments, ModelConfig])
    run(*parser.parse_args_and_config(words))
    log = json.loads((tmp_path / "out/training_log.json").read_text())
    losses = [entry["loss"] for entry in log["history"] if "loss" in entry]
    assert sum(losses[-3:]) < 0.2 * sum(losses[:3])
    with data.open("rb") as file:
        rows, _ = read_labelled(file)
    gold = [{(e["start"], e["end"]) for e in row["entities"]} for row in rows]

    def answers(model: Path) -> list[set[tuple[int, int]]]:
        extractor = EntityExtractor.from_pretrained(model, device="cpu")
        found = extractor.batch_predict_entities([row["text"] for row in rows], ["the verb"])
        return [{(e["start"], e["end"]) for e in entities} for entities in found]

    assert answers(tmp_path / "out") == gold
    assert answers(trained) != gold


def test_the_command_implies_its_configuration_and_names_bad_lines(trained, tmp_path, capsys):
    assert with_config(["--config", "a.yaml", "--init", "mini"]) == [
        "--config",
        "a.yaml",
        "--init",
        "mini",
    ]
    assert with_config(["--max_steps", "3"]) == ["--max_steps", "3"]
    assert with_config(["--init=mini"])[0] == "--config"
    data = tmp_path / "my.jsonl"
    data.write_text('{"text": "Ann"}\n')
    for file, message in (
        (data, r"error: .*my\.jsonl: 1 of 1 lines\n  line 1: no 'entities'"),
        (tmp_path / "none.jsonl", r"error: there is no file .*none\.jsonl'; --data takes a JSON Lines file"),
    ):
        assert train_sft.main(flags(trained, file, tmp_path / "out")) == 1
        assert re.match(message, capsys.readouterr().err)


def test_init_takes_trained_pointer_checkpoints_only(tokenizer, tmp_path):
    encoder = save_encoder(tmp_path / "encoder", tokenizer)
    data = tmp_path / "my.jsonl"
    data.write_bytes(b"".join(lines(ANN)))
    arguments = DiffusionArguments(output_dir=str(tmp_path / "out"), use_cpu=True, report_to="none")
    with pytest.raises(ValueError, match=r"model_type of .*encoder' is 'bert'; give mini or a folder"):
        run(RunArguments(init=str(encoder), data=str(data)), arguments, ModelConfig())
    with pytest.raises(FileNotFoundError, match="there is no model folder"):
        run(RunArguments(init="./missing", data=str(data)), arguments, ModelConfig())
    with pytest.raises(ValueError, match="give one"):
        RunArguments(init="mini", new_pointer_from=str(encoder))


def test_the_rates_of_a_query_are_those_of_the_arguments(trained, tmp_path):
    data = tmp_path / "my.jsonl"
    data.write_bytes(b"".join(lines(ANN)))
    rates = {"full_list_rate": 0.5, "drop_rate": 0.25, "lower_rate": 0.75, "both_rate": 0.35}
    settings = RunArguments(few_negatives=2, max_length=128, canvas_length=64, **rates)
    arguments = DiffusionArguments(output_dir=str(tmp_path / "out"), use_cpu=True, report_to="none")
    trainer = make_trainer(
        load_model(trained), load_tokenizer(trained), load_labelled(data), settings, arguments
    )
    queries = trainer.data_collator.queries
    assert queries.few_negatives == 2
    assert {name: getattr(queries, name) for name in rates} == rates


def test_a_file_of_ones_own_has_no_sources(tmp_path):
    data = tmp_path / "my.jsonl"
    data.write_bytes(b"".join(lines(ANN)))
    arguments = DiffusionArguments(output_dir=str(tmp_path / "out"), use_cpu=True, report_to="none")
    with pytest.raises(ValueError, match=r"--sources \['a'\] goes with a folder of entity rows"):
        run(RunArguments(data=str(data), init="mini", sources=["a"]), arguments, ModelConfig())
