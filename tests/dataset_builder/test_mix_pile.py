"""Pile passages: reading, sentence windows, negatives."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.mix.filters import Tally
from dataset_builder.mix.negatives import NegativeSampler, related_types
from dataset_builder.mix.pile import Passage, cut_windows, find_words, read_passages, split_sentences
from dataset_builder.mix.sources import Sentence, Span


def write_pile(path: Path, *records: tuple[str, dict[str, list[str]]]) -> Path:
    chats = []
    for number, (text, answers) in enumerate(records):
        turns = [("human", f"Text: {text}"), ("gpt", "I've read this text.")]
        for name, found in answers.items():
            turns += [("human", f"What describes {name} in the text?"), ("gpt", json.dumps(found))]
        chats.append(
            {"id": f"p{number}", "conversations": [{"from": who, "value": what} for who, what in turns]}
        )
    with gzip.open(path, "wt", encoding="utf-8") as file:
        json.dump(chats, file)
    return path


def test_mentions_are_found_at_every_occurrence_and_as_whole_words(tmp_path: Path) -> None:
    text = "A child saw children . The child ran to Rome ."
    path = write_pile(
        tmp_path / "pile.json.gz", (text, {"person": ["child"], "city": ["Rome", "Rom"], "river": []})
    )
    tally = Tally()
    (passage,) = read_passages(path, tally)
    assert passage.sentence.spans == (Span(1, 2, "person"), Span(6, 7, "person"), Span(9, 10, "city"))
    assert passage.absent == ("river",)
    assert tally.examples["mention: not a sequence of words of its passage"] == ["city: Rom"]


def test_a_record_in_another_format_is_refused(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "pile.json.gz", "wt", encoding="utf-8") as file:
        json.dump([{"id": "odd", "conversations": [{"value": "Hello"}]}], file)
    with pytest.raises(ValueError, match="odd"):
        list(read_passages(tmp_path / "pile.json.gz", Tally()))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One ends . Two ends ! Three", ["One ends .", "Two ends !", "Three"]),
        ("Dr . Lee met J . R . Smith . They left .", ["Dr . Lee met J . R . Smith .", "They left ."]),
        ('He said " Go . " Then he left .', ['He said " Go . "', "Then he left ."]),
        ('It was . " Then he left . " Now', ["It was .", '" Then he left . "', "Now"]),
        ("1 . Introduction of it", ["1 . Introduction of it"]),
        ("see fig . 3 for e . g . this one", ["see fig . 3 for e . g . this one"]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    tokens = text.split()
    assert [" ".join(tokens[start:end]) for start, end in split_sentences(tokens, [])] == sentences


def test_a_mention_is_never_cut() -> None:
    tokens = ["He", "wrote", "Go", ".", "Now", ".", "And", "left"]
    assert split_sentences(tokens, [Span(2, 5, "book")]) == [(0, 6), (6, 8)]


@given(
    st.lists(st.sampled_from(["word", "Word", ".", "!", '"', "7"]), min_size=1, max_size=450),
    st.lists(st.tuples(st.integers(0, 440), st.integers(1, 12)), max_size=20),
    st.integers(0, 9),
)
def test_windows_hold_every_mention_once_with_its_words(
    tokens: list[str], raw: list[tuple[int, int]], seed: int
) -> None:
    spans: list[Span] = []
    for start, length in sorted(raw):
        if start + length <= len(tokens) and (not spans or start >= spans[-1].end):
            spans.append(Span(start, start + length, "thing"))
    row = Sentence("pile-0", "pile_ner", tuple(tokens), tuple(spans), "pile-0")
    sentences = split_sentences(tokens, spans)
    assert [start for start, _ in sentences[1:]] == [end for _, end in sentences[:-1]]
    assert (sentences[0][0], sentences[-1][1]) == (0, len(tokens))
    windows = cut_windows(Passage(row, (), frozenset()), seed)
    assert len({window.id for window in windows}) == len(windows)
    found = [window.tokens[span.start : span.end] for window in windows for span in window.spans]
    whole = [tuple(tokens[span.start : span.end]) for span in spans]
    assert found == whole
    assert [token for window in windows for token in window.tokens] == tokens
    assert all(len(window.tokens) <= 200 for window in windows)


def test_windows_list_the_asked_types_that_they_do_not_hold_or_name() -> None:
    tokens = ("Ann", "went", "home", "again", ".", "A", "river", "runs", "there", "now", ".")
    row = Sentence("pile-0", "pile_ner", tokens, (Span(0, 1, "person"),), "pile-0")
    rows = [
        window
        for seed in range(8)
        for window in cut_windows(Passage(row, ("city", "river"), frozenset()), seed)
    ]
    first = next(window for window in rows if window.tokens[-2] == "again")
    second = next(window for window in rows if window.tokens[0] == "A")
    assert first.types == ("city", "river")
    assert second.types == ("city", "person")
    assert second.spans == ()


def test_find_words() -> None:
    assert find_words(["a", "b", "a", "b", "a"], ("a", "b")) == [(0, 2), (2, 4)]
    assert find_words(["a"], ("a", "b")) == []
    assert find_words(["a"], ()) == []


def rows_of(*rows: str) -> list[Sentence]:
    """Rows written as "word/type word/type"."""
    sentences = []
    for number, row in enumerate(rows):
        pairs = [pair.split("/") for pair in row.split()]
        spans = tuple(Span(index, index + 1, pair[1]) for index, pair in enumerate(pairs) if len(pair) > 1)
        sentences.append(Sentence(f"r{number}", "s", tuple(pair[0] for pair in pairs), spans))
    return sentences


def test_types_that_share_mentions_are_related_unless_the_annotation_contrasts_them() -> None:
    rows = rows_of(
        "Rome/city", "Oslo/city", "Rome/place", "Oslo/place", "Oslo/from Rome/to", "Oslo/to Rome/from"
    )
    assert related_types(rows)["city"] == ["from", "place", "to"]
    assert "to" not in related_types(rows)["from"]
    assert "to" in related_types(rows, contrast=False)["from"]


def test_sampled_negatives_exclude_what_may_be_present() -> None:
    rows = rows_of(
        "Rome/city", "Oslo/city", "Rome/place", "Oslo/place", "Ann/person", "oak/tree", "cat/animal"
    )
    sampler = NegativeSampler(rows)
    (row,) = rows_of("Rome/city saw Ann near trees")
    drawn = sampler.sample(row, {"city"}, 5, "seed")
    # place: related to city; person: "Ann" was annotated so elsewhere; tree: the text names it.
    assert drawn == ["animal"]
    assert sampler.sample(row, {"city"}, 5, "seed") == drawn
