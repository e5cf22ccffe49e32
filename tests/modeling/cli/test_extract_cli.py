"""The command line, with the embedded model."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modeling.cli.extract import build_parser, main
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from modeling import EntityExtractor

TEXT = "Tim Cook visited the Apple campus in Cupertino."
LABELS = ["person", "organization", "location"]
COMMAND = [sys.executable, "-m", "modeling.cli.extract"]


@pytest.fixture(scope="module")
def extractor() -> EntityExtractor:
    from modeling import EntityExtractor

    return EntityExtractor.from_pretrained()


def write_lines(path: Path, *values: object) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def strip_scores(line: dict) -> dict:
    """The line without the scores, which differ in the last digit between batches."""
    return {**line, "entities": [{**e, "score": None} for e in line.get("entities", [])]}


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# Usage: these need no model.


def test_help_comes_without_loading_torch():
    code = (
        "import sys, runpy\n"
        "sys.argv = ['extract', '--help']\n"
        "try: runpy.run_module('modeling.cli.extract', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    print(end.code, [name for name in ('torch', 'transformers', 'rich') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert result.stdout.rstrip().endswith("0 []")
    assert "--labels A,B" in result.stdout
    assert "exit status" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([TEXT], "no entity types given; name them, for example --labels"),
        ([TEXT, "--labels", " , "], "no labels given"),
        ([TEXT, "--label", "a|b"], "'a|b' holds the character '|'"),
        (["--labels", "person"], "give either TEXT, or - for standard input, or --input FILE"),
        ([TEXT, "--input", "x.jsonl", "--labels", "person"], "give either TEXT"),
        (["-", TEXT, "--labels", "person"], "- (standard input) cannot be mixed with texts"),
        (
            [TEXT, "--labels", "person", "--threshold", "1.5"],
            "--threshold: '1.5' is not a number from 0 to 1",
        ),
        (
            [TEXT, "--labels", "person", "--threshold", "nan"],
            "--threshold: 'nan' is not a number from 0 to 1",
        ),
        ([TEXT, "--labels", "person", "--steps", "0"], "--steps: '0' is not a whole number of at least 1"),
        ([TEXT, "--labels", "person", "--batch-size", "-3"], "--batch-size"),
        ([TEXT, "--labels", "person", "--canvas", "square"], "--canvas: invalid choice: 'square'"),
        ([TEXT, "--labels", "person", "--decoding", "guess"], "--decoding: invalid choice: 'guess'"),
        ([TEXT, "--labels", "person", "--output", "no/such/folder/x"], "there is no folder no/such/folder"),
        ([TEXT, "--labels", "person", "--resume"], "--resume needs --output FILE in JSON"),
        (["-", "--labels", "person", "--resume"], "--resume needs --output FILE in JSON"),
        ([TEXT, "--labels", "person", "--adaptive", "magic"], "--adaptive: invalid choice: 'magic'"),
        ([TEXT, "--labels", "person", "--quantize", "int2"], "--quantize: invalid choice: 'int2'"),
        (["caf\udce9", "--labels", "person"], "no valid Unicode: lone surrogate at character 3"),
        (["--labels", "a", "--input", str(REPOSITORY)], "is a folder; name one file"),
        (
            ["--labels", "a", "--input", __file__],
            "the name does not tell the format; give --input-format jsonl",
        ),
        (["--labels", "a", "--output-format", "table", "-"], "table is for TEXT"),
        (["--labels", "a", "--nested", "--output-format", "conll", TEXT], "has one tag a word"),
        (["--labels", "a", "--json", "--output-format", "csv", TEXT], "exclude each other"),
        (
            ["--labels", "a", "--output", "x.csv", "--resume", "-"],
            "--resume needs --output FILE in JSON Lines",
        ),
        (["--labels", "a", "--output", "x.jsonl.gz", "--resume", "-"], "not compressed"),
    ],
)
def test_wrong_usage_is_explained_and_ends_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_the_input_is_never_overwritten(tmp_path, capsys):
    source = write_lines(tmp_path / "in.jsonl", {"text": TEXT})
    (tmp_path / "link.jsonl").symlink_to(source)
    before = source.read_bytes()
    with pytest.raises(SystemExit):
        main(["--labels", "person", "--input", str(source), "--output", str(tmp_path / "link.jsonl")])
    assert "is the input file" in capsys.readouterr().err
    assert source.read_bytes() == before


def test_a_missing_input_file_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--labels", "person", "--input", str(tmp_path / "none.jsonl")])
    assert stop.value.code == 2
    assert "none.jsonl: there is no such file" in capsys.readouterr().err


# Answers: the same as the library's.


def test_json_lines_are_what_the_library_answers(extractor, capsys):
    assert main(["--json", "--labels", "person, organization", "--label", "location", TEXT, ""]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first) == {"text": TEXT, "entities": extractor.predict_entities(TEXT, LABELS)}
    assert json.loads(second) == {"text": "", "entities": []}
    for entity in json.loads(first)["entities"]:
        assert TEXT[entity["start"] : entity["end"]] == entity["text"]
        assert entity["label"] in LABELS
    assert json.loads(first)["entities"]


def test_a_table_lists_the_same_entities(extractor, capsys):
    assert main(["--labels", "person,organization,location", TEXT, "It rained."]) == 0
    first, second = capsys.readouterr().out.split("\n\n")
    expected = [
        [str(e["start"]), str(e["end"]), f"{e['score']:.3f}", e["label"], e["text"]]
        for e in extractor.predict_entities(TEXT, LABELS)
    ]
    lines = first.splitlines()
    assert lines[0] == TEXT
    assert [line.split(maxsplit=4) for line in lines[2:]] == expected
    assert second.startswith("It rained.\n")


def test_options_reach_the_library(extractor, capsys):
    arguments = ["--json", "--labels", ",".join(LABELS), TEXT]
    scores = sorted(e["score"] for e in extractor.predict_entities(TEXT, LABELS, steps=1))
    assert main([*arguments, "--steps", "1", "--threshold", str(scores[-1])]) == 0
    entities = json.loads(capsys.readouterr().out)["entities"]
    assert entities == extractor.predict_entities(TEXT, LABELS, threshold=scores[-1], steps=1)
    assert [e["score"] for e in entities] == [s for s in scores if s >= scores[-1]]
    assert main([*arguments, "--canvas", "completion", "--steps", "2"]) == 0
    expected = extractor.predict_entities(TEXT, LABELS, steps=2, canvas="completion")
    assert json.loads(capsys.readouterr().out)["entities"] == expected


def test_lines_are_answered_in_order_whatever_the_batch_size(extractor, tmp_path):
    texts = [
        "Ada Lovelace met Charles Babbage in London.",
        "",
        "Nothing here.",
        "Sony is based in Tokyo.",
        TEXT,
    ]
    values = [{"id": n, "text": text} for n, text in enumerate(texts)]
    values[3]["labels"] = ["company", "city"]
    source = write_lines(tmp_path / "in.jsonl", *values)
    answers = []
    for size in ("1", "2", "16"):
        target = tmp_path / f"out{size}.jsonl"
        assert (
            main(
                [
                    "--labels",
                    ",".join(LABELS),
                    "--input",
                    str(source),
                    "--output",
                    str(target),
                    "--batch-size",
                    size,
                ]
            )
            == 0
        )
        answers.append(read_lines(target))
    for lines in answers:
        assert [{k: v for k, v in line.items() if k != "entities"} for line in lines] == values
        assert lines[1]["entities"] == []
        assert {e["label"] for e in lines[3]["entities"]} <= {"company", "city"}
        spans = [[(e["start"], e["end"], e["label"]) for e in line["entities"]] for line in lines]
        assert spans == [
            [(e["start"], e["end"], e["label"]) for e in line["entities"]] for line in answers[0]
        ]
    expected = extractor.predict_entities(texts[0], LABELS)
    assert [(e["text"], e["label"]) for e in answers[0][0]["entities"]] == [
        (e["text"], e["label"]) for e in expected
    ]


def test_unusable_lines_are_reported_and_the_rest_goes_on(tmp_path, capsys):
    source = tmp_path / "in.jsonl"
    good = json.dumps({"id": "a", "text": TEXT}).encode()
    source.write_bytes(b"\n".join([good, b'{"text": "caf\xe9"}', b"{broken", b"", b'{"id": "b"}', good]))
    target = tmp_path / "out.jsonl"
    assert main(["--labels", "person", "--input", str(source), "--output", str(target)]) == 1
    lines = read_lines(target)
    assert [line.get("line") for line in lines] == [None, 2, 3, 5, None]
    assert lines[0] == lines[4]
    assert lines[0]["entities"]
    assert lines[3] == {"id": "b", "line": 5, "error": "no 'text' among the keys ['id']"}
    error = capsys.readouterr().err
    assert "line 2: not UTF-8" in error
    assert "line 3: not JSON" in error
    assert "3 of 5 lines could not be used" in error


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, capsys):
    names = ["Ada Lovelace", "Charles Babbage", "Marie Curie", "Tim Cook"]
    values: list[object] = [
        {"id": n, "text": f"{names[n % 4]} met {names[n % 3]} {n} times."} for n in range(150)
    ]
    values[7], values[40] = {"id": 7}, {"id": 40, "text": "", "line": 3, "error": "own"}
    source = write_lines(tmp_path / "in.jsonl", *values)
    options = ["--labels", "person", "--input", str(source), "--batch-size", "2", "--steps", "1"]
    whole, target = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    assert main([*options, "--output", str(whole)]) == 1
    assert "150 texts in" in capsys.readouterr().err
    with subprocess.Popen([*COMMAND, *options, "--output", str(target)], cwd=REPOSITORY) as process:
        while process.poll() is None and not (target.is_file() and target.stat().st_size > 0):
            time.sleep(0.005)
        process.kill()
    written = target.read_bytes()
    assert 0 < len(written) < whole.stat().st_size
    target.write_bytes(written[: len(written) * 2 // 3 + 1])  # as if a line had been written in part
    complete = target.read_bytes().count(b"\n")
    assert main([*options, "--output", str(target), "--resume"]) == 1
    error = capsys.readouterr().err
    assert f"{complete} texts are answered already" in error
    assert "1 of 150 lines could not be used" in error
    assert f"{150 - complete} texts in" in error
    assert [strip_scores(line) for line in read_lines(target)] == [
        strip_scores(line) for line in read_lines(whole)
    ]
    # A third run has nothing to do, and says so.
    done = target.read_bytes()
    assert main([*options, "--output", str(target), "--resume"]) == 1
    assert target.read_bytes() == done
    assert "0 texts in" in capsys.readouterr().err


def test_an_output_of_another_input_is_not_gone_on_with(tmp_path, capsys):
    source = write_lines(tmp_path / "in.jsonl", {"id": 1, "text": ""}, {"id": 2, "text": ""})
    target = tmp_path / "out.jsonl"
    command = ["--labels", "person", "--input", str(source), "--output", str(target), "--resume"]
    for other, message in (
        ([{"id": 2, "text": "", "entities": []}], "line 1 of the output does not answer line 1 of the input"),
        ([{"id": n, "text": "", "entities": []} for n in (1, 2, 3)], "more lines than the input's 2"),
        (["not an object"], "line 1 of the output does not answer line 1"),
    ):
        before = write_lines(target, *other).read_bytes()
        assert main(command) == 2
        assert message in capsys.readouterr().err
        assert target.read_bytes() == before
    target.unlink()
    assert main(command) == 0  # nothing to go on with: all is new
    assert [line["id"] for line in read_lines(target)] == [1, 2]


def test_a_stream_needs_no_common_labels(tmp_path):
    source = write_lines(tmp_path / "in.jsonl", {"text": TEXT, "labels": ["person"]}, {"text": TEXT})
    target = tmp_path / "out.jsonl"
    assert main(["--input", str(source), "--output", str(target)]) == 1
    first, second = read_lines(target)
    assert {e["label"] for e in first["entities"]} <= {"person"}
    assert second["error"].startswith("no labels")


def test_tables_and_plain_text_go_in_and_out(extractor, tmp_path, capsys):
    texts = [TEXT, 'Ada Lovelace, of London,\nmet "Bob".']
    table = tmp_path / "in.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("n", "body"), *enumerate(texts)])
    packed = tmp_path / "in.txt.gz"
    packed.write_bytes(gzip.compress(f"{TEXT}\n\nIt rained.\n".encode()))
    expected = [
        [(e["start"], e["end"], e["label"], e["text"]) for e in extractor.predict_entities(text, LABELS)]
        for text in texts
    ]
    labels = ["--labels", json.dumps(LABELS)]
    source = ["--input", str(table), "--text-field", "body"]

    out = tmp_path / "out.jsonl.gz"
    assert main([*labels, *source, "--output", str(out)]) == 0
    lines = [json.loads(line) for line in gzip.decompress(out.read_bytes()).splitlines()]
    assert [(line["n"], line["body"]) for line in lines] == [("0", texts[0]), ("1", texts[1])]
    assert [
        [(e["start"], e["end"], e["label"], e["text"]) for e in line["entities"]] for line in lines
    ] == expected

    out = tmp_path / "out.tsv"
    assert main([*labels, *source, "--output", str(out)]) == 0
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    found = [(int(r["line"]), int(r["start"]), int(r["end"]), r["label"], r["text"]) for r in rows]
    assert found == [(2 + n, *entity) for n, own in enumerate(expected) for entity in own]

    capsys.readouterr()
    assert main([*labels, "--input", str(packed), "--output-format", "conll"]) == 0
    tagged = capsys.readouterr().out
    assert tagged.startswith("Tim\tB-person\nCook\tI-person\nvisited\tO\n")
    assert tagged.endswith("\n\nIt\tO\nrained\tO\n.\tO\n\n")

    assert main([*labels, "--limit", "1", "--input", str(packed)]) == 0
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == [TEXT]
    assert main([*labels, "--input", str(table)]) == 2
    assert "no column 'text' in the header ('n', 'body')" in capsys.readouterr().err


def test_a_damaged_archive_is_told(tmp_path, capsys):
    packed = tmp_path / "in.txt.gz"
    packed.write_bytes(gzip.compress(b"Ada\n" * 9000)[:-20])
    assert main(["--labels", "person", "--input", str(packed), "--limit", "9999"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error


def test_an_option_that_the_model_cannot_use_is_wrong_use(tmp_path, capsys):
    target = tmp_path / "out.jsonl"
    assert main(["--labels", "person", "--nested", TEXT, "--output", str(target)]) == 2
    assert "nested=True needs canvas='completion'" in capsys.readouterr().err
    assert not target.exists()


def test_a_model_that_is_not_there_is_named_without_a_traceback(tmp_path, capsys):
    assert main(["--labels", "person", "--model", str(tmp_path / "nowhere"), TEXT]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "nowhere" in error
    assert "Traceback" not in error


def test_an_unknown_device_is_named_without_a_traceback(capsys):
    assert main(["--labels", "person", TEXT, "--device", "telepathy"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert "telepathy" in captured.err
    assert captured.out == ""


def test_the_choices_are_those_of_the_library():
    from modeling.custom_generate.config import DECODINGS
    from modeling.custom_generate.settings import CANVASES

    choices = {action.dest: action.choices for action in build_parser()._actions}
    assert sorted(choices["canvas"]) == sorted(CANVASES)
    assert sorted(choices["decoding"]) == sorted(DECODINGS)
