"""Written passages: the line format, and the passages of the repository."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.open_types.layers import PACKAGE
from dataset_builder.open_types.passage import OpenMention, flat
from dataset_builder.open_types.written import check_types, parse_line, read_written, render_line

WRITTEN = PACKAGE / "written"
NAMES = ("person", "e-mail address", "maître d'", "c++ library", "m.2 drive", "3d printer", "r&b song")
TEXT = st.text(st.characters(exclude_characters="[]|", exclude_categories=["Cs"]), max_size=12)
TYPES = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True).map(tuple)


@given(st.lists(st.tuples(TEXT, TEXT.map(str.strip).filter(bool), TYPES)), TEXT)
def test_what_is_rendered_is_parsed_back(pieces: list[tuple[str, str, tuple[str, ...]]], end: str) -> None:
    text, mentions = "x", []
    for before, span, types in pieces:
        text += before
        mentions.append(OpenMention(len(text), len(text) + len(span), types))
        text += span
    text += end
    line = render_line(text, tuple(mentions))
    assert "\n" not in line
    assert "\t" not in line
    assert parse_line(line) == (text, tuple(mentions))


def test_a_line_with_breaks_tabs_and_a_path() -> None:
    text, mentions = parse_line(r"Date:\t[3 May|date]\nPath: [C:\\new|file path|path]")
    assert text == "Date:\t3 May\nPath: C:\\new"
    assert [text[mention.start : mention.end] for mention in mentions] == ["3 May", "C:\\new"]
    assert mentions[1].types == ("file path", "path")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("met [Ann|person", r"'\[' at character 5"),
        ("met Ann|person] here", r"'\|' at character 8"),
        ("met [Ann [B|person]", r"'\[' at character 5"),
        ("met [Ann] here", "0 types"),
        ("met [Ann|a|b|c|d] here", "4 types"),
        ("met [ Ann|person] here", "blanks at its ends"),
        ("met [|person] here", "is empty"),
        ("met [Ann|Person] here", "'Person' is not in plain lower-case words"),
        ("met [Ann|first  _name] here", "not in plain lower-case words"),
        ("met [Ann|thing] here", "'thing' says nothing"),
        ("met [Ann|person|person] here", "named twice"),
        (r"a \x b", "is no escape"),
        ("", "there is no text"),
    ],
)
def test_a_bad_line_is_named_with_its_file(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "notes.txt").write_text(f"a good [line|text]\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        read_written(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'notes.txt'}:2: ")


def test_text_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot stand in a written passage"):
        render_line("a [b]", ())
    with pytest.raises(ValueError, match="overlaps"):
        render_line("abc", (OpenMention(0, 2, ("x",)), OpenMention(1, 3, ("y",))))


def test_a_folder_without_passages_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no written passages"):
        read_written(tmp_path)


def test_of_overlapping_mentions_the_longest_stays() -> None:
    spans = (OpenMention(0, 3, ("a",)), OpenMention(2, 9, ("b",)), OpenMention(9, 12, ("c",)))
    assert flat((*spans, OpenMention(2, 9, ("later",)))) == spans[1:]


def test_the_passages_of_the_repository_are_in_the_form() -> None:
    passages = read_written(WRITTEN)
    assert len({passage.id for passage in passages}) == len(passages) > 6_000
    lines = [
        line
        for path in sorted(WRITTEN.glob("*.txt"))
        for line in path.read_text("utf-8").removesuffix("\n").split("\n")
    ]
    assert [render_line(passage.text, passage.mentions) for passage in passages] == lines
    for passage in passages:
        for mention in passage.mentions:
            check_types(mention.types)
            assert passage.text[mention.start : mention.end].strip()


def _grams(text: str, size: int) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[start : start + size]) for start in range(len(words) - size + 1)}


def test_no_passage_has_eight_words_in_a_row_of_a_benchmark(shared: Path) -> None:
    benchmarks: set[tuple[str, ...]] = set()
    files = sorted((shared / "data" / "benchmarks" / "crossner").glob("*/*.txt"))
    files += sorted((shared / "data" / "benchmarks" / "mit").glob("*.bio"))
    assert files
    for path in files:
        word = 0 if path.suffix == ".txt" else 1
        for block in path.read_text("utf-8").split("\n\n"):
            columns = [line.split("\t") for line in block.splitlines() if "\t" in line]
            benchmarks |= _grams(" ".join(column[word] for column in columns), 8)
    assert len(benchmarks) > 50_000
    found = [passage.id for passage in read_written(WRITTEN) if _grams(passage.text, 8) & benchmarks]
    assert not found
