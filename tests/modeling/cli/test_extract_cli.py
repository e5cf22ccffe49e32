"""The command line, with the embedded model."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
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
        ([TEXT, "--labels", "person", "--resume"], "--resume needs --output FILE and JSON Lines as input"),
        (["-", "--labels", "person", "--resume"], "--resume needs --output FILE and JSON Lines as input"),
        ([TEXT, "--labels", "person", "--adaptive", "magic"], "--adaptive: invalid choice: 'magic'"),
        ([TEXT, "--labels", "person", "--quantize", "int2"], "--quantize: invalid choice: 'int2'"),
        (["caf\udce9", "--labels", "person"], "no valid Unicode: lone surrogate at character 3"),
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
    assert main(["--labels", "person", "--input", str(tmp_path / "none.jsonl")]) == 2
    assert "none.jsonl" in capsys.readouterr().err


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
    from modeling.custom_generate.generate import DECODINGS
    from modeling.custom_generate.settings import CANVASES

    choices = {action.dest: action.choices for action in build_parser()._actions}
    assert sorted(choices["canvas"]) == sorted(CANVASES)
    assert sorted(choices["decoding"]) == sorted(DECODINGS)


# As a process: pipes, signals, encodings, memory.


def test_json_lines_are_utf8_in_any_locale_and_nothing_else_is_printed(tmp_path):
    """No progress bar where nobody looks, no notes of the libraries."""
    value = {"text": "Zoë Müller lives in 東京.", "id": 1}
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    result = subprocess.run(
        [*COMMAND, "--labels", "person, location", "--input", str(source)],
        cwd=REPOSITORY,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.startswith('{"text": "Zoë Müller lives in 東京.", "id": 1, "entities": ['.encode())
    assert result.stdout.count(b"\n") == 1


def test_a_table_goes_through_a_narrow_encoding(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    assert main(["--labels", "person", "Zoë lives in 東京."]) == 0
    assert narrow.buffer.getvalue().splitlines()[0] == rb"Zo\xeb lives in \u6771\u4eac."


def test_a_reader_that_leaves_ends_it_quietly(tmp_path):
    source = write_lines(tmp_path / "in.jsonl", *[{"text": TEXT, "pad": "x" * 1000}] * 500)
    with subprocess.Popen(
        [*COMMAND, "--labels", "person", "--input", str(source), "--batch-size", "4"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["text"] == TEXT
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 141


def test_ctrl_c_ends_it_with_130_and_no_traceback():
    with subprocess.Popen(
        [*COMMAND, "--labels", "person", "--batch-size", "1", "-"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell's background job ignores SIGINT and hands that on; a user's terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(json.dumps({"text": TEXT}).encode() + b"\n")
        process.stdin.flush()
        assert process.stdout.readline()  # the answer came before the end of the input
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == b"interrupted\n"


def test_memory_stays_flat_on_a_long_stream():
    """Ten times more lines, of 20 kB each beside a short text, must not take more memory."""
    line = json.dumps({"text": "", "pad": "x" * 20_000}).encode() + b"\n"
    with subprocess.Popen(
        [*COMMAND, "--labels", "person", "--batch-size", "8", "-"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        memory = psutil.Process(process.pid).memory_info

        def answer(lines: int) -> int:
            for _ in range(lines // 8):
                process.stdin.write(line * 8)
                process.stdin.flush()
                for _ in range(8):
                    assert json.loads(process.stdout.readline())["entities"] == []
            return memory().rss

        early = answer(200)
        late = answer(2000)
        process.stdin.close()
        assert process.wait(timeout=60) == 0
    assert late - early < 10e6  # keeping the 2000 lines would take 40 MB
