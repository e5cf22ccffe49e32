"""Windows of long passages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.open_types.cutting import cut_long
from dataset_builder.open_types.passage import OpenMention, Passage

PIECES = st.sampled_from(("word", "Word", "two words", "end.", "end.\n", "para.\n\n", 'said."', "x"))


@given(st.lists(st.tuples(PIECES, st.booleans()), min_size=1, max_size=60), st.integers(4, 12))
def test_windows_hold_every_word_and_mention_once(pieces: list[tuple[str, bool]], longest: int) -> None:
    text, mentions = "", []
    for piece, marked in pieces:
        start = len(text)
        text += piece
        if marked:
            mentions.append(OpenMention(start, start + len(piece.rstrip()), ("type",)))
        text += " "
    passage = Passage("p-1", "p", text, tuple(mentions))
    windows = cut_long(passage, longest)
    assert " ".join(window.text for window in windows).split() == text.split()
    marked_words = [window.text[m.start : m.end] for window in windows for m in window.mentions]
    assert marked_words == [text[m.start : m.end] for m in mentions]
    if len(windows) > 1:
        assert all(len(window.text.split()) <= longest for window in windows)
        assert {window.group for window in windows} == {"p-1"}
        assert len({window.id for window in windows}) == len(windows)
    else:
        assert windows == [passage]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("one two three.\n\nfour five.\nsix seven eight nine", "one two three."),
        ("one two three. Four five\nsix seven eight nine", "one two three. Four five"),
        ('one two "three four." Five six seven eight nine', 'one two "three four."'),
        ("one two three four five six seven eight nine", "one two three four five six"),
    ],
)
def test_the_best_end_is_taken(text: str, first: str) -> None:
    assert cut_long(Passage("p", "p", text, ()), 6)[0].text == first


def test_a_mention_that_leaves_no_place_is_named() -> None:
    text = "a b c d e f g h"
    with pytest.raises(ValueError, match="passage p-7: no place to cut"):
        cut_long(Passage("p-7", "p", text, (OpenMention(0, len(text), ("x",)),)), 4)
