"""Documents of Parquet and JSON Lines files: all of them, once, in parts that depend on the files alone."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from modeling.corpus import documents
from modeling.corpus.documents import Columns, Document, find_corpus, pieces

ROWS = [{"id": f"d{i}", "text": f"text {i}" + "ü\n" * (i % 5)} for i in range(40)]
DEFAULT = Columns()


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(addresses: list[Path], columns: Columns = DEFAULT, size: int = 7, **options: Any) -> list[Document]:
    """All documents, in order; the parts are checked on the way."""
    corpus = find_corpus(list(map(str, addresses)), columns, **options)
    found = []
    for fragment in corpus.fragments:
        parts = list(pieces(fragment, columns, size))
        assert [part.number for part in parts] == list(range(len(parts)))
        assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
        assert all(0 < len(part.documents) <= size for part in parts[:-1])
        assert sum(part.size for part in parts) == fragment.size
        assert all(part.size >= 0 for part in parts)
        found += [document for part in parts for document in part.documents]
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.text(alphabet="ab ü\u2028", max_size=12), max_size=30),
    cut=st.integers(1, 200),
    newline=st.sampled_from(["\n", "\r\n"]),
    ends=st.booleans(),
)
def test_cutting_json_lines_anywhere_loses_and_doubles_nothing(
    tmp_path, monkeypatch, lines, cut, newline, ends
):
    rows = [json.dumps({"id": str(i), "text": text}, ensure_ascii=False) for i, text in enumerate(lines)]
    rows[1:1] = [""]  # a blank line
    content = newline.join(rows) + (newline if ends else "")
    path = tmp_path / "x.jsonl"
    path.write_bytes(content.encode())
    if not lines:
        return
    monkeypatch.setattr(documents, "FRAGMENT_BYTES", cut)
    found = read([path], size=3)
    assert [(d.id, d.text, d.error) for d in found] == [(str(i), text, "") for i, text in enumerate(lines)]
    for document in found:  # the place is where its line begins
        offset = int(document.place.rsplit("@", 1)[1])
        assert json.loads(content.encode()[offset:].split(newline.encode())[0])["id"] == document.id


def test_parquet_and_json_lines_and_packed_ones_hold_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "FRAGMENT_BYTES", 500)
    plain = write_lines(tmp_path / "a.jsonl", ROWS)
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    table = tmp_path / "c.parquet"
    parquet.write_table(pa.Table.from_pylist(ROWS), table, row_group_size=3)
    assert len(find_corpus([str(table)], DEFAULT).fragments) > 3
    expected = [(row["id"], row["text"], "") for row in ROWS]
    for path in (plain, packed, table):
        assert [(d.id, d.text, d.error) for d in read([path])] == expected
    assert [d.place for d in read([table])] == [f"c.parquet:{i}" for i in range(40)]


def test_a_folder_is_read_in_order_and_says_what_it_passes_over(tmp_path):
    inner = tmp_path / "deep"
    inner.mkdir()
    write_lines(tmp_path / "b.jsonl", ROWS[:2])
    write_lines(inner / "a.ndjson", ROWS[2:4])
    write_lines(tmp_path / "_hidden.jsonl", ROWS[4:])
    (tmp_path / "README.md").write_text("x")
    corpus = find_corpus([str(tmp_path)], DEFAULT)
    assert [file.name for file in corpus.files] == ["b.jsonl", "deep/a.ndjson"]
    assert corpus.passed_over == ["README.md"]
    assert [d.id for d in read([tmp_path])] == ["d0", "d1", "d2", "d3"]


def test_whole_numbers_and_places_are_ids(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [{"id": 7, "text": "x"}, {"id": -1, "text": ""}])
    assert [(d.id, d.text) for d in read([path])] == [("7", "x"), ("-1", "")]
    assert [d.id for d in read([path], Columns(id=None))] == ["a.jsonl@0", "a.jsonl@23"]
    table = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"body": pa.array(["x", "y"]).dictionary_encode(), "key": [3, 4]}), table)
    assert [(d.id, d.text) for d in read([table], Columns("body", "key"))] == [("3", "x"), ("4", "y")]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"{broken", "not JSON"),
        (b'{"id": "a", "text": "caf\xe9"}', "not UTF-8: byte 0xe9"),
        (b'["a"]', "expected an object"),
        (b'{"id": "a"}', "no 'text' among the keys"),
        (b'{"text": "a"}', "no 'id' among the keys"),
        (b'{"id": "a", "text": null}', "'text' must be a string, got None"),
        (b'{"id": "a", "text": 3}', "'text' must be a string, got 3"),
        (b'{"id": 1.5, "text": "a"}', "'id' must be a string or a whole number, got 1.5"),
        (b'{"id": true, "text": "a"}', "'id' must be a string or a whole number, got True"),
        (b'{"id": "", "text": "a"}', "'id' must be a string or a whole number, got ''"),
        (b'{"id": "\\ud800", "text": "a"}', "'id' must be a string"),
        (b'{"id": "a", "text": "\\ud800"}', "lone surrogate at character 0"),
        (b'{"id": NaN, "text": "a"}', "NaN is not a finite number"),
    ],
)
def test_a_line_that_cannot_be_used_is_a_document_with_an_error(tmp_path, line, error):
    path = tmp_path / "a.jsonl"
    good = json.dumps({"id": "good", "text": "x"}).encode()
    path.write_bytes(good + b"\n" + line + b"\n" + good + b"\n")
    first, bad, last = read([path])
    assert (first.error, last.error) == ("", "")
    assert error in bad.error
    assert bad.id in ("a", f"a.jsonl@{len(good) + 1}")
    (bad.id + (bad.text or "")).encode()  # what follows can be written


def test_parquet_values_that_cannot_be_used_are_documents_with_errors(tmp_path):
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"), pa.py_buffer(b"\xff")]
    )
    texts = pa.chunked_array([pa.array(["x", None]), broken])
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"id": ["a", "b", "c"], "text": texts}), path)
    errors = [document.error for document in read([path])]
    assert errors == ["", "'text' must be a string, got None", "not UTF-8: byte 0xff at offset 0"]


def test_a_missing_column_is_named_before_anything_starts(tmp_path):
    lines = write_lines(tmp_path / "a.jsonl", [{"body": "x"}])
    table = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": [1]}), table)
    for path, columns, message in (
        (lines, DEFAULT, r"a.jsonl has no 'text' among its columns \['body'\]; name it by --text-column"),
        (lines, Columns("body"), "has no 'id' .* by --id-column, or --ids-by-place"),
        (table, DEFAULT, "has no 'id'"),
        (table, Columns(id=None), "column 'text' of a.parquet holds int64, not strings"),
    ):
        with pytest.raises(ValueError, match=message):
            find_corpus([str(path)], columns)


def test_inputs_that_are_none_are_explained(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 but no more")
    other = tmp_path / "other"
    other.mkdir()
    for folder in (tmp_path, other):
        write_lines(folder / "same.jsonl", ROWS)
    for addresses, kind, message in (
        ([tmp_path / "none"], FileNotFoundError, "there is no input"),
        ([tmp_path / "notes.txt"], ValueError, r"no Parquet .* file in .*notes.txt; name the format"),
        ([tmp_path / "bad.parquet"], ValueError, "bad.parquet is no whole Parquet file"),
        (
            [tmp_path / "same.jsonl", other / "same.jsonl"],
            ValueError,
            "two input files are called 'same.jsonl'",
        ),
        (["nonsense://x/y"], ValueError, "cannot read 'nonsense://x/y'"),
    ):
        with pytest.raises(kind, match=message):
            find_corpus([str(own) for own in addresses], DEFAULT)
    assert len(find_corpus([str(tmp_path / "notes.txt")], DEFAULT, "jsonl").fragments) == 1
