"""JSON Lines in and out: what is read comes back, what cannot be used is answered by why."""

from __future__ import annotations

import json
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling.extraction.jsonlines import (
    Row,
    batches,
    check_encodable,
    read_rows,
    skip_answered,
    write_answer,
    write_line,
)

LABELS = ["person", "organization"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
records = st.builds(
    lambda others, text: {
        **{k: v for k, v in others.items() if k not in ("labels", "entities")},
        "text": text,
    },
    st.dictionaries(st.text(), json_values, max_size=4),
    texts,
)


def read(*lines: bytes | str, labels=LABELS) -> list[Row]:
    return list(read_rows([line if isinstance(line, bytes) else line.encode() for line in lines], labels))


@given(st.lists(records, max_size=5), st.booleans())
def test_a_record_comes_back_with_all_its_keys_and_its_entities(objects, ascii_only):
    lines = [
        json.dumps(value, ensure_ascii=True if ascii_only else not _encodable(value)) for value in objects
    ]
    rows = read(*(line + "\n" for line in lines))
    answers = [[{"start": 0, "end": 1, "text": "x", "label": "person", "score": 0.5}]] * len(rows)
    written = [write_answer(row, answer) for row, answer in zip(rows, answers, strict=True)]
    assert [json.loads(line.encode("utf-8")) for line in written] == [
        {**value, "entities": answer} for value, answer in zip(objects, answers, strict=True)
    ]
    assert all(line.count("\n") == 1 and line.endswith("\n") for line in written)
    assert [row.labels for row in rows] == [tuple(LABELS)] * len(rows)


def _encodable(value) -> bool:
    try:
        check_encodable(json.dumps(value, ensure_ascii=False))
    except ValueError:
        return False
    return True


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_line_is_lost_whatever_the_bytes(chunks):
    lines = [chunk.replace(b"\n", b"") + b"\n" for chunk in chunks]
    rows = list(read_rows(lines, LABELS))
    kept = [
        n
        for n, line in enumerate(lines, 1)
        if (line.removeprefix(b"\xef\xbb\xbf") if n == 1 else line).strip()
    ]
    assert [row.line for row in rows] == kept
    assert [row.size for row in rows] == [len(lines[n - 1]) for n in kept]
    for row in rows:
        output = json.loads(write_answer(row, row.error or []))
        assert ("error" in output) != ("entities" in output)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b'{"text": "caf\xe9"}', "not UTF-8: byte 0xe9 at offset 13"),
        (b"\xff\xfe{\x00", "not UTF-8: byte 0xff at offset 0"),
        ('{"text": "a"', "not JSON: Expecting ',' delimiter (column 13)"),
        ("Ronaldo plays for Al Nassr", "not JSON: Expecting value (column 1)"),
        ('{"text": "a"} {"text": "b"}', "not JSON: Extra data (column 15)"),
        ('{"text": "a", "score": NaN}', "not JSON: NaN is not a finite number"),
        ('{"text": "a", "score": -1e999}', "not JSON: -1e999 is not a finite number"),
        ("[" * 100_000, "nested too deeply to be read"),
        ('["a"]', "expected an object with a 'text', got a JSON list"),
        ('{"Text": "a", "id": 7}', "no 'text' among the keys ['Text', 'id']"),
        ('{"text": null}', "'text' must be a string, got None"),
        ('{"text": ["a"]}', "'text' must be a string, got ['a']"),
        (r'{"text": "a \ud83d b"}', "the text is no valid Unicode: lone surrogate at character 2"),
        ('{"text": "a", "labels": "person"}', "'labels' must be a list of strings, got 'person'"),
        ('{"text": "a", "labels": [3]}', "every label must be a string, got 3 of type int"),
        (
            '{"text": "a", "labels": []}',
            "no labels: give the line its own 'labels', or --labels for all lines",
        ),
    ],
)
def test_an_unusable_line_says_why_and_the_next_one_goes_on(line, error):
    bad, good = read(line, '{"text": "b"}')
    assert bad.error == error
    assert json.loads(write_answer(bad, bad.error))["line"] == 1
    assert (good.line, good.error, good.record) == (2, "", {"text": "b"})


def test_an_unusable_object_keeps_its_keys():
    (row,) = read('{"id": "x7", "text": 3}')
    assert json.loads(write_answer(row, row.error)) == {
        "id": "x7",
        "text": 3,
        "line": 1,
        "error": "'text' must be a string, got 3",
    }


def test_a_line_that_failed_carries_no_entities_of_its_own():
    (row,) = read('{"text": 3, "entities": [{"start": 0}], "error": "old"}')
    answer = write_answer(row, row.error)
    assert json.loads(answer) == {"text": 3, "line": 1, "error": "'text' must be a string, got 3"}
    assert skip_answered(iter([row]), [answer.encode()]) == (1, 1, len(answer))


def test_a_line_with_an_error_of_its_own_is_not_counted_as_failed():
    (row,) = read('{"text": "a", "line": 1, "error": "own"}')
    answer = write_answer(row, [])
    assert json.loads(answer) == {"text": "a", "line": 1, "error": "own", "entities": []}
    assert skip_answered(iter([row]), [answer.encode()]) == (1, 0, len(answer))


def test_a_long_value_is_not_repeated_whole_in_the_message():
    (row,) = read(json.dumps({"text": ["word"] * 10_000}))
    assert len(row.error) < 200


def test_own_labels_replace_the_common_ones():
    rows = read('{"text": "a", "labels": ["city", "  river "]}', '{"text": "b"}')
    assert [row.labels for row in rows] == [("city", "river"), tuple(LABELS)]
    assert rows[0].record["labels"] == ["city", "  river "]
    (row,) = read('{"text": "a"}', labels=())
    assert row.error.startswith("no labels")


def test_blank_lines_are_skipped_but_counted_and_a_byte_order_mark_is_allowed():
    rows = read(b'\xef\xbb\xbf{"text": "a"}\r\n', b"\n", b"  \r\n", b'{"text": "b"}')
    assert [(row.line, row.record["text"], row.error) for row in rows] == [(1, "a", ""), (4, "b", "")]


def test_separators_that_are_no_line_ends_stay_in_the_text():
    line = write_line({"text": "one\u2028two\u0085three\x0bfour"})
    (row,) = read(line)
    assert row.record["text"] == "one\u2028two\u0085three\x0bfour"


def test_reading_goes_no_further_than_the_batch_asked_for():
    taken = []

    def endless():
        for number in count():
            taken.append(number)
            yield b'{"text": "a"}\n'

    groups = batches(read_rows(endless(), LABELS), 3)
    assert [row.line for row in next(groups)] == [1, 2, 3]
    assert len(taken) == 3
    assert [row.line for row in next(groups)] == [4, 5, 6]
    assert len(taken) == 6


@given(st.integers(0, 20), st.integers(1, 7))
def test_batches_partition_the_rows_in_order(total, size):
    rows = [Row(n, 1, {}) for n in range(total)]
    groups = list(batches(rows, size))
    assert [row for group in groups for row in group] == rows
    assert all(len(group) == size for group in groups[:-1])
    assert all(groups)


def test_output_is_readable_and_escapes_only_what_utf8_cannot_hold():
    assert write_line({"text": "Zürich 東京"}) == '{"text": "Zürich 東京"}\n'
    assert write_line({"id": "\ud800"}) == '{"id": "\\ud800"}\n'
