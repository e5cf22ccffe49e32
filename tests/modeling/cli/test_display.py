"""Entities for people to read, on a terminal and elsewhere."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from modeling.cli.display import print_entities, visible

TEXT = "Marie Curie worked in Paris."
ENTITIES = [
    {"start": 0, "end": 11, "text": "Marie Curie", "label": "person", "score": 0.98712},
    {"start": 22, "end": 27, "text": "Paris", "label": "location", "score": 1.0},
]
LABELS = ["person", "location"]
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def shown(text=TEXT, entities=ENTITIES, labels=LABELS) -> str:
    file = io.StringIO()
    print_entities(text, entities, labels, file)
    return file.getvalue()


@pytest.fixture
def terminal(monkeypatch):
    """rich takes any file for a colour terminal of 100 columns."""
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


def test_plain_output_is_aligned_and_unpadded():
    assert shown() == (
        "Marie Curie worked in Paris.\n"
        "  start  end  score  label     text\n"
        "      0   11  0.987  person    Marie Curie\n"
        "     22   27  1.000  location  Paris\n"
    )


def test_a_text_without_entities_says_so():
    assert shown(entities=[]) == "Marie Curie worked in Paris.\n  no entities\n"


def test_wide_characters_keep_the_columns_aligned():
    entities = [
        {"start": 0, "end": 2, "text": "東京", "label": "都市", "score": 0.5},
        {"start": 3, "end": 6, "text": "NHK", "label": "company", "score": 0.25},
    ]
    lines = shown("東京 NHK", entities, ["都市", "company"]).splitlines()[1:]
    starts = [
        cell_len(line[: line.index(span)]) for line, span in zip(lines, ["text", "東京", "NHK"], strict=True)
    ]
    assert starts == starts[:1] * 3


def test_a_terminal_shows_the_labels_colours_in_the_text_and_the_table(terminal):
    output = shown()
    styled = Text.from_ansi(output)
    colours: dict[str, set[str]] = {}
    for span in styled.spans:
        colours.setdefault(styled.plain[span.start : span.end].strip(), set()).add(str(span.style))
    assert colours["Marie Curie"] == colours["person"] == {"bold color(6)"}
    assert colours["Paris"] == colours["location"] == {"bold color(5)"}
    assert ESCAPE.sub("", output).startswith(TEXT + "\n")


def test_no_color_leaves_the_words_and_no_colour(terminal, monkeypatch):
    coloured = shown()
    monkeypatch.setenv("NO_COLOR", "1")
    uncoloured = shown()
    assert re.search(r"\x1b\[[0-9;]*3[0-7]", coloured)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", uncoloured)
    assert ESCAPE.sub("", uncoloured) == ESCAPE.sub("", coloured)


def test_a_terminal_says_that_there_are_no_entities(terminal):
    assert ESCAPE.sub("", shown(entities=[])) == "Marie Curie worked in Paris.\n  no entities\n"


def test_a_text_cannot_drive_the_terminal(terminal):
    text = "\x1b[2Jgone\r\nin [red]markup[/red]\x07"
    entity = {"start": 0, "end": 8, "text": text[:8], "label": "person", "score": 0.5}
    output = ESCAPE.sub("", shown(text, [entity]))
    assert r"\x1b[2Jgone\r\nin [red]markup[/red]\x07" in output
    assert not any(c in output for c in "\x1b\r\x07")


def test_overlapping_entities_are_all_listed(terminal):
    inner = {"start": 6, "end": 11, "text": "Curie", "label": "location", "score": 0.4}
    output = ESCAPE.sub("", shown(entities=[ENTITIES[0], inner]))
    assert output.startswith(TEXT + "\n")
    assert "Marie Curie\n" in output.split("text")[1]
    assert re.search(r"6 +11 +0\.400 +location +Curie", output)


@given(st.text())
def test_visible_text_is_printable_and_keeps_what_was_printable(text):
    result = visible(text)
    assert result.isprintable()
    if text.isprintable():
        assert result == text
