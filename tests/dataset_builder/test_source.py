"""The streaming reader: every value once, broken stretches reported, memory bounded by a record."""

import gzip
import hashlib
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.source import BrokenRecord, SourceError, SourceFile, iter_json
from tests.dataset_builder.records import record

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
records = st.lists(
    st.dictionaries(st.text(), json_values, max_size=4) | st.text() | st.integers(), max_size=6
)


@given(records, st.integers(1, 40), st.sampled_from(["array", "indented", "lines"]), st.booleans())
def test_any_chunk_size_gives_every_value_once(values, chunk, layout, ascii_only):
    if layout == "lines":
        text = "\n".join(json.dumps(value, ensure_ascii=ascii_only) for value in values)
    else:
        text = json.dumps(values, ensure_ascii=ascii_only, indent=1 if layout == "indented" else None)
    assert list(iter_json(io.StringIO(text, newline=""), chunk)) == values


@given(st.integers(1, 200), st.integers(0, 3))
def test_a_broken_record_costs_only_itself(chunk, place):
    good = [record(f"r{i}", f"Text number {i} \u2028 of \\ many", {"person": []}) for i in range(3)]
    pieces = [json.dumps(value) for value in good]
    broken = json.dumps(record("broken", "It ends in the midd", {"a": []}))[:60]
    pieces.insert(place, broken)
    read = list(iter_json(io.StringIO("[" + ", ".join(pieces) + "]"), chunk))
    assert [value for value in read if not isinstance(value, BrokenRecord)] == good
    (found,) = [value for value in read if isinstance(value, BrokenRecord)]
    assert broken.startswith(found.excerpt[:50])


@pytest.mark.parametrize("cut", [1, 30, 100, 150])
def test_a_truncated_file_reports_its_last_record(cut):
    text = json.dumps([record("a", "One."), record("b", "Two.", {"person": ["x"]})])
    read = list(iter_json(io.StringIO(text[:-cut]), 64))
    assert read[0]["id"] == "a"
    if cut == 1:  # only the closing bracket is gone
        assert [value["id"] for value in read] == ["a", "b"]
    else:
        assert isinstance(read[1], BrokenRecord)
        assert len(read) == 2


def test_garbage_without_records_is_one_broken_stretch_and_little_memory():
    class Endless(io.StringIO):
        longest = 0

        def read(self, size: int | None = -1) -> str:
            Endless.longest = max(Endless.longest, size or 0)
            return super().read(size)

    (found,) = list(iter_json(Endless("x" * 100_000), 1000))
    assert isinstance(found, BrokenRecord)
    assert Endless.longest == 1000


def test_plain_gzip_lines_and_mark_read_alike(tmp_path: Path):
    values = [record("a", "Caf\u00e9 \U0001f600"), record("b", "B")]
    array = json.dumps(values, ensure_ascii=False).encode()
    lines = "\n".join(json.dumps(value) for value in values).encode()
    contents = {
        "plain.json": array,
        "packed.json.gz": gzip.compress(array),
        "misnamed.json": gzip.compress(lines),
        "lines.jsonl": lines,
        "marked.json": b"\xef\xbb\xbf" + array,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        source = SourceFile(tmp_path / name)
        assert list(source.records()) == values, name
        assert source.sha256 == hashlib.sha256(content).hexdigest(), name
        assert source.bytes_read == source.size == len(content), name


def test_undecodable_bytes_do_not_end_the_reading(tmp_path: Path):
    (tmp_path / "s.json").write_bytes(b'[{"id": "a\xff", "conversations": []}, {"id": "b"}]')
    assert [value["id"] for value in SourceFile(tmp_path / "s.json").records()] == ["a\udcff", "b"]


def test_a_missing_or_damaged_file_says_so(tmp_path: Path):
    with pytest.raises(SourceError, match=r"nothing\.json.*--source FILE"):
        SourceFile(tmp_path / "nothing.json")
    whole = gzip.compress(json.dumps([record("a", "x" * 5000)]).encode())
    (tmp_path / "cut.gz").write_bytes(whole[:-20])
    with pytest.raises(SourceError, match=r"cut\.gz.*cannot be read to its end"):
        list(SourceFile(tmp_path / "cut.gz").records())
