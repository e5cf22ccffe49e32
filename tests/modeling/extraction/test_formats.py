"""Files of texts in and of entities out, in every format."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.extraction.formats import (
    COLUMNS,
    INPUTS,
    OUTPUTS,
    format_of,
    read_texts,
    unpacked,
    write_entities,
    write_header,
)
from modeling.extraction.jsonlines import Row

cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=12)
TEXT = "Ada Lovelace met Bob in Oslo."
ENTITIES = [
    {"start": 0, "end": 12, "text": "Ada Lovelace", "label": "person", "score": 0.9},
    {"start": 17, "end": 20, "text": "Bob", "label": "person", "score": 0.8},
    {"start": 24, "end": 28, "text": "Oslo", "label": "big city", "score": 0.7},
]


def lines(content: bytes) -> io.BytesIO:
    return io.BytesIO(content)


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.jsonl", "jsonl"),
        ("A.JSONL.gz", "jsonl"),
        ("dir.csv/a.json", "jsonl"),
        ("a.txt", "txt"),
        ("a.csv.gz", "csv"),
        ("a.tsv", "tsv"),
        ("a.gz", None),
        ("a.md", None),
        ("a.conll", None),
        ("a", None),
    ],
)
def test_the_name_of_an_input_tells_its_format(name, format):
    assert format_of(name, INPUTS) == format


@given(st.lists(st.tuples(cells, cells).filter(any), min_size=1, max_size=5), st.sampled_from([",", "\t"]))
def test_a_table_is_read_as_the_csv_module_wrote_it(rows, separator):
    content = io.StringIO()
    writer = csv.writer(content, delimiter=separator)
    writer.writerows([("key", "body"), *rows])
    data = content.getvalue().encode()
    read = list(read_texts(lines(data), "csv" if separator == "," else "tsv", ["person"], "body"))
    assert [(row.record["key"], row.text) for row in read] == rows
    assert not any(row.error for row in read)
    assert {row.labels for row in read} == {("person",)}
    assert sum(row.size for row in read) == len(data) - len(data.splitlines(keepends=True)[0])


def test_rows_of_a_table_that_cannot_be_used_have_a_reason():
    data = (
        b"\xef\xbb\xbfid,text,labels\n"
        b'1,"two\nlines",\n'
        b"2,caf\xe9,\n"
        b"3,too few\n"
        b",,\n"
        b'4,own labels,"city; town"\n'
        b'5,unclear,"a, b; c"\n'
    )
    rows = list(read_texts(lines(data), "csv", ["person"]))
    assert [row.line for row in rows] == [2, 4, 5, 7, 8]
    assert rows[0].text == "two\nlines"
    assert "lone surrogate at character 3" in rows[1].error
    assert rows[2].error == "2 fields, but the header has 3"
    assert rows[3].labels == ("city", "town")
    assert "both ',' and ';'" in rows[4].error
    unlabelled = next(read_texts(lines(b"text\nAda\n"), "csv"))
    assert unlabelled.error.startswith("no labels")


def test_a_table_without_the_column_or_with_an_open_quote_is_refused():
    with pytest.raises(ValueError, match=r"no column 'text' in the header \('id', 'body'\).*--text-field"):
        read_texts(lines(b"id,body\n1,x\n"), "csv", ["person"])
    with pytest.raises(ValueError, match="an empty file"):
        read_texts(lines(b""), "csv", ["person"])
    rows = read_texts(lines(b'text\nfine\n"never closed\nmore\n'), "csv", ["person"])
    assert next(rows).text == "fine"
    with pytest.raises(ValueError, match="breaks in the row that begins on line 3"):
        next(rows)


def test_a_cell_may_be_longer_than_csv_allows_by_itself():
    (row,) = read_texts(lines(b"text\n" + b"x" * 200_000 + b"\n"), "csv", ["person"])
    assert len(row.text) == 200_000


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), max_size=6))
def test_plain_text_has_a_text_a_line(texts):
    kept = [text for text in texts if text.strip("\ufeff \t")]
    data = "".join(f"{text}\n" for text in kept).encode()
    read = list(read_texts(lines(data), "txt", ["person"]))
    expected = [text.removeprefix("\ufeff") if n == 0 else text for n, text in enumerate(kept)]
    assert [row.text for row in read] == expected
    assert [row.line for row in read] == list(range(1, len(kept) + 1))


def test_plain_text_skips_blank_lines_and_names_bad_ones():
    rows = list(read_texts(lines(b"\xef\xbb\xbfAda\r\n\n  \ncaf\xe9\nBob"), "txt", ["person"]))
    assert [(row.line, row.text) for row in rows] == [(1, "Ada"), (4, ""), (5, "Bob")]
    assert rows[1].error == "not UTF-8: byte 0xe9 at offset 3"


def test_a_document_is_one_text():
    (row,) = read_texts(lines(b"Ada\n\nBob\n"), "document", ["person"])
    assert row.text == "Ada\n\nBob"
    assert list(read_texts(lines(b" \n"), "document", ["person"])) == []


def test_json_lines_may_have_their_text_under_another_key():
    (row,) = read_texts(lines(b'{"body": "Ada", "n": 1}\n'), "jsonl", ["person"], "body")
    assert (row.text, row.record["n"]) == ("Ada", 1)
    (row,) = read_texts(lines(b'{"text": "Ada"}\n'), "jsonl", ["person"], "body")
    assert row.error == "no 'body' among the keys ['text']"


def test_gzip_is_known_by_its_content(tmp_path: Path):
    for name, content in (("a", gzip.compress(b"x\ny\n")), ("b.gz", b"x\ny\n")):
        (tmp_path / name).write_bytes(content)
        with (tmp_path / name).open("rb") as file:
            assert list(unpacked(file)) == [b"x\n", b"y\n"]


# Output.


def test_json_lines_keep_the_own_keys_and_tell_errors():
    row = Row(3, 0, {"id": 7, "text": TEXT}, text=TEXT)
    assert json.loads(write_entities(row, ENTITIES, "jsonl")) == {"id": 7, "text": TEXT, "entities": ENTITIES}
    assert json.loads(write_entities(row, "why", "jsonl"))["error"] == "why"


@pytest.mark.parametrize(("format", "separator"), [("csv", ","), ("tsv", "\t")])
def test_a_table_has_an_entity_a_row(format, separator):
    odd = {**ENTITIES[2], "text": 'a "b",\tc\nd'}
    written = write_header(format) + write_entities(Row(3, 0, {}), [ENTITIES[0], odd], format)
    header, *rows = csv.reader(io.StringIO(written), delimiter=separator)
    assert tuple(header) == COLUMNS
    assert rows == [
        ["3", "0", "12", "person", "Ada Lovelace", "0.9"],
        ["3", "24", "28", "big city", odd["text"], "0.7"],
    ]
    assert write_entities(Row(3, 0, {}), "why", format) == ""


def test_words_have_tags():
    written = write_entities(Row(1, 0, {}, text=TEXT), ENTITIES, "conll")
    assert written.splitlines() == [
        "Ada\tB-person",
        "Lovelace\tI-person",
        "met\tO",
        "Bob\tB-person",
        "in\tO",
        "Oslo\tB-big city",
        ".\tO",
        "",
    ]
    two = [{"start": 0, "end": 3, "label": "x"}, {"start": 4, "end": 7, "label": "x"}]
    assert write_entities(Row(1, 0, {}, text="Ada Bob"), two, "conll") == "Ada\tB-x\nBob\tB-x\n\n"


def test_other_formats_are_refused():
    assert [write_header(format) for format in OUTPUTS if format not in ("csv", "tsv")] == ["", ""]
    with pytest.raises(ValueError, match="format must be one of"):
        write_entities(Row(1, 0, {}), [], "xml")
