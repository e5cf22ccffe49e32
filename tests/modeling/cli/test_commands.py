"""All commands alike: help, wrong use, exit statuses, one declaration of every flag."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from modeling.cli import main as one
from modeling.cli.exits import FAILURE, WRONG_USE
from modeling.cli.flags import FLAGS, default_of, given
from modeling.cli.main import COMMANDS, Command, main
from modeling.cli.parser import CommandParser, nearest
from tests.conftest import REPOSITORY

HERE = [name for name, command in COMMANDS.items() if command.is_there()]
OWN = [name for name in HERE if COMMANDS[name].module != "model_card.__main__"]
PARSED = [name for name in OWN if name != "train"]  # train's settings are dataclasses of the training room
SCREEN = 24
MODULES = {name: COMMANDS[name].module.removeprefix(".") for name in OWN}
SOURCES = [
    *sorted((REPOSITORY / "modeling" / "cli").glob("*.py")),
    REPOSITORY / "dataset_builder" / "build.py",
    REPOSITORY / "dataset_builder" / "mix" / "__main__.py",
]

# Of each command: words that name a file that is not there, and what the message must hold.
MISSING = {
    "extract": (["--labels", "a", "--input", "none.jsonl"], "none.jsonl"),
    "annotate": (["--labels", "a", "--input", "none.jsonl", "--output", "out"], "none.jsonl"),
    "train": (["--config", "none.yaml"], "none.yaml"),
    "merge": (["./none", "out"], "none"),
    "convert": (["./none", "out"], "none"),
    "data": (["--source", "none.json", "--output", "out", "--tokenizer", "./none"], "none.json"),
    "mix": (["--ner-mix", "none", "--pile", "none.gz", "--output", "out"], "none"),
}
STATUS = {"data": FAILURE}  # of the others: wrong use


def run(*words: str, cwd: Path = REPOSITORY, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "modeling", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "80", **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def parser_of(name: str) -> CommandParser:
    return import_module(f"modeling.cli.{name}" if "." not in MODULES[name] else MODULES[name]).build_parser()


def status_of(words: list[str]) -> int | str | None:
    """Return the exit status of a command run in this process."""
    try:
        return main(words)
    except SystemExit as stop:
        return stop.code


def test_there_are_few_commands_and_the_list_has_them_all(capsys):
    assert len(COMMANDS) <= 14
    assert status_of(["--help"]) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) <= SCREEN
    for name, command in COMMANDS.items():
        assert name in printed
        assert (command.summary in printed) == command.is_there()


@pytest.mark.parametrize("name", OWN)
def test_help_ends_with_0_within_two_screens_and_no_library_is_loaded(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert status_of([name, "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: diffusion-ner {name} ")
    assert "exit status" in printed
    assert "--help-all" in printed
    assert len(printed.splitlines()) <= 2 * SCREEN
    assert max(map(len, printed.splitlines())) <= 110


def test_help_and_wrong_use_load_no_heavy_library():
    words = [[name, "--help"] for name in OWN]
    words += [[name, "--nonsense", "x"] for name in PARSED]
    words += [[name, *MISSING[name][0]] for name in ("extract", "merge", "convert", "train")]
    code = (
        "import sys, contextlib, io\n"
        "from modeling.cli.main import main\n"
        f"for words in {words!r}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        "        try: main(words)\n"
        "        except SystemExit: pass\n"
        "    for heavy in ('torch', 'transformers', 'datasets', 'pyarrow', 'ray', 'rich', 'trl', 'peft'):\n"
        "        assert heavy not in sys.modules, (words, heavy)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", PARSED)
def test_help_all_shows_every_option_and_help_the_usual_ones(name, capsys):
    parser = parser_of(name)
    usual, everything = parser.format_help(), parser.format_help(everything=True)
    rare = {flag for action in parser.rare._group_actions for flag in action.option_strings}
    for action in parser._actions:
        for flag in action.option_strings:
            assert flag in everything
            assert flag in rare or flag in usual
    assert "--debug" in everything
    assert "rare options" not in usual
    assert status_of([name, "--help-all"]) == 0
    assert "rare options" in capsys.readouterr().out


@pytest.mark.parametrize("name", OWN)
def test_a_wrong_flag_ends_with_2_and_one_error(name, capsys):
    assert status_of([name, "--nonsense", "1"]) == WRONG_USE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert len(captured.err.splitlines()) <= 2
    assert name == "train" or f"usage: diffusion-ner {name}" in captured.err


@pytest.mark.parametrize("name", PARSED)
def test_a_flag_that_is_nearly_right_is_named(name, capsys):
    # What is required is told first, so it is given: the words of a missing file will do.
    assert status_of([name, *MISSING[name][0], "--hlep-all"]) == WRONG_USE
    assert "did you mean --" in capsys.readouterr().err


@pytest.mark.parametrize("name", OWN)
def test_a_missing_file_is_named_without_a_traceback(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words, message = MISSING[name]
    assert status_of([name, *words]) == STATUS.get(name, WRONG_USE)
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_no_command_and_unknown_commands_are_wrong_use(capsys):
    assert main([]) == WRONG_USE
    assert "error: no command given" in capsys.readouterr().err
    assert main(["extrat", "--labels", "x"]) == WRONG_USE
    error = capsys.readouterr().err
    assert error.startswith("error: there is no command 'extrat'; did you mean extract?\n")


def test_a_command_of_the_repository_is_refused_where_its_package_is_missing(monkeypatch, capsys):
    missing = {**COMMANDS, "data": Command("no_such_package.build", "summary of data")}
    monkeypatch.setattr(one, "COMMANDS", missing)
    assert main(["data", "--help"]) == WRONG_USE
    assert "no_such_package cannot be imported here; clone the repository" in capsys.readouterr().err
    assert status_of(["--help"]) == 0
    printed = capsys.readouterr().out
    assert "summary of data" not in printed
    assert "not installed with the package: data" in " ".join(printed.split())


# Flags: each is declared once, and no default beside the library's.


@pytest.mark.parametrize("name", PARSED)
def test_no_flag_has_a_default_of_its_own(name):
    for action in parser_of(name)._actions:
        assert action.default in (None, False, [], "==SUPPRESS=="), action.option_strings


def declared(path: Path) -> list[str]:
    """Return the flags that a file declares by a call of add_argument."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            strings = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            found += [value for value in strings if value.startswith("--")]
    return found


def test_no_command_declares_a_flag_of_the_table_by_hand():
    shared = {name for flag in FLAGS.values() for name in flag.names}
    seen: dict[str, str] = {}
    for path in SOURCES:
        if path.name in ("flags.py", "parser.py", "train.py"):
            continue
        for flag in declared(path):
            assert flag not in shared, f"{path.name} declares {flag}; use add_flag"
            assert flag not in seen, f"{path.name} and {seen[flag]} both declare {flag}; put it into FLAGS"
            seen[flag] = path.name
    assert len(seen) > 10


def test_every_flag_of_the_table_is_used_and_its_names_are_its_own():
    used = {action.dest for name in PARSED for action in parser_of(name)._actions}
    assert {flag.settings.get("dest", name) for name, flag in FLAGS.items()} <= used
    names = [name for flag in FLAGS.values() for name in flag.names]
    assert len(names) == len(set(names))


def test_only_flags_that_were_given_reach_the_library():
    from argparse import Namespace

    def library(threshold: float = 0.25) -> float:
        return threshold

    assert default_of(library, "threshold") == 0.25
    flags = Namespace(a=None, b=False, c=0, d="x")
    assert given(flags, "a", "b", "c", e="d") == {"c": 0, "e": "x"}


def test_the_settings_that_train_shows_exist():
    from modeling.cli.train import SETTINGS, make_parser

    known = set(make_parser()._option_string_actions) | {"--config"}
    assert {f"--{name}" for name in SETTINGS} <= known


def test_train_refuses_what_it_cannot_use(tmp_path, capsys):
    path = tmp_path / "run.yaml"
    for content, message in (
        ("max_steps: 1\nlearnig_rate: 1\n", "learnig_rate"),
        ("pad_weight: -1\n", "pad_weight"),
        ("a: [1\n", "line"),
        ("lora_rank: -2\n", "lora_rank must not be negative, got -2"),
    ):
        path.write_text(content, encoding="utf-8")
        assert status_of(["train", "--config", str(path), "--output_dir", str(tmp_path / "out")]) == WRONG_USE
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert message in error
    assert status_of(["train", "--max_steps", "many"]) == WRONG_USE
    assert "invalid int value: 'many'" in capsys.readouterr().err
    assert status_of(["train", "--learnig_rate", "1"]) == WRONG_USE
    assert "did you mean --learning" in capsys.readouterr().err


def test_the_nearest_name():
    known = ["--labels", "--label", "--learning_rate", "extract"]
    assert nearest("--lables", known) == "; did you mean --labels?"
    assert nearest("--learning-rate", known) == "; did you mean --learning_rate?"
    assert nearest("--xyz", known) == ""


# Labels and files of the command line.


def labels_of(value: str) -> Any:
    return parser_of("extract").parse_args(["--labels", value, "text"]).labels


def test_labels_come_in_every_form(tmp_path, capsys):
    path = tmp_path / "labels.txt"
    path.write_text("person\nbig city, or town\n\n", encoding="utf-8-sig")
    assert labels_of(f"@{path}") == ["person", "big city, or town"]
    for value in ("person, city", "person;city", '["person", "city"]', "person\ncity"):
        assert labels_of(value) == ["person", "city"]
    both = parser_of("extract").parse_args(["--labels", "a,b", "--label", "c, d", "text"]).labels
    assert both == ["a", "b", "c, d"]
    path.write_bytes(b"caf\xe9")
    for value, message in (
        ("a, b; c", "holds both ',' and ';'"),
        ("[a]", "begins as a JSON list and is none"),
        ("@none.txt", "cannot read 'none.txt': No such file or directory"),
        (f"@{path}", "is not UTF-8 text, one label a line"),
    ):
        with pytest.raises(SystemExit):
            labels_of(value)
        assert message in capsys.readouterr().err


def test_old_entry_points_are_the_commands():
    for module, name in (("extract", "extract"), ("annotate", "annotate"), ("merge", "merge")):
        result = subprocess.run(
            [sys.executable, "-m", f"modeling.{module}", "--help"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0
        assert result.stdout.startswith(f"usage: diffusion-ner {name} ")
    old = parser_of("annotate").parse_args(
        ["--input", "a", "--text-column", "t", "--id-column", "i", "--format", "parquet"]
    )
    assert (old.text_field, old.id_field, old.input_format) == ("t", "i", "parquet")


def test_the_demo_prints_entities_and_nothing_else():
    """What ``make demo`` runs: no warning, no progress bar and no note of a library on either stream."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert '-m modeling extract --labels "$(DEMO_LABELS)" $(DEMO_TEXTS)' in makefile
    result = run("extract", "--labels", "person, location", "Ada left Oslo.", "It rained.", NO_COLOR="1")
    assert (result.returncode, result.stderr) == (0, "")
    first, second = result.stdout.split("\n\n")
    assert first.splitlines()[0] == "Ada left Oslo."
    assert [line.split()[3:] for line in first.splitlines()[2:]] == [["person", "Ada"], ["location", "Oslo"]]
    assert second == "It rained.\n  no entities\n"
