"""The canvas of each frame is that of the step."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from space_app.canvas import EMPTY, MASKED, OUTSIDE, Look, canvas_view, looks
from tests.space_app.pages import Page

TYPES = ("person", "big city")


def slot(symbol: str, text: str = "", empty: bool = False) -> dict[str, Any]:
    revealed = symbol != ""
    return {
        "text": text,
        "symbol": symbol,
        "revealed": revealed,
        "confidence": 0.9,
        "empty": empty and revealed,
    }


def step(number: int, symbols: list[str], words: list[str] | None = None, **more: Any) -> dict[str, Any]:
    texts = words or [""] * len(symbols)
    slots = [slot(s, t, s == "[PAD]") for s, t in zip(symbols, texts, strict=True)]
    return {"step": number, "steps": 2, "slots": slots, "entities": [], **more}


def test_a_continuation_takes_its_colour_when_its_beginning_is_known() -> None:
    steps = [step(1, ["", "I", "O"]), step(2, ["person", "I", "O"])]
    assert looks(steps, TYPES, aligned=True) == [
        [MASKED, MASKED, Look("begin type-0", "person")],
        [MASKED, Look("inside", "I", "inside"), Look("inside type-0", "I", "inside")],
        [MASKED, OUTSIDE, OUTSIDE],
    ]


def test_an_entry_of_the_list_takes_its_colour_when_its_type_is_known() -> None:
    steps = [
        step(1, ["big", "", ":", "oslo", "|", "[PAD]"]),
        step(2, ["big", " city", ":", " oslo", " |", "[PAD]"]),
    ]
    columns = looks(steps, TYPES, aligned=False)
    assert [look.classes for look in columns[3]] == ["masked", "token", "token type-1"]
    assert columns[4][-1] == Look("token", "|")
    assert columns[5][1:] == [EMPTY, EMPTY]


def shown(html: str, frame: int) -> list[str]:
    """Return the classes of the symbols that a frame shows, as the player chooses them."""
    return [
        classes
        for classes, first, end in re.findall(
            r'<span class="symbol ([^"]*)" data-from="(\d+)" data-to="(\d+)"', html
        )
        if int(first) <= frame < int(end)
    ]


def test_padding_behind_the_answer_is_one_chip() -> None:
    html = canvas_view(
        {
            "text": "a",
            "passes": [[step(1, ["none", "", "", ""]), step(2, ["none", "[PAD]", "[PAD]", "[PAD]"])]],
        },
        TYPES,
        aligned=False,
    )
    assert shown(html, 1) == ["token", "masked"]
    assert shown(html, 2) == ["token", "outside"]
    assert "× 3" in html


def test_passes_follow_each_other_and_each_begins_blank() -> None:
    passes = [[step(1, ["O"], ["a"])], [step(1, ["", "O"], ["b", "c"]), step(2, ["person", "O"], ["b", "c"])]]
    html = canvas_view({"text": "a b c", "passes": passes}, TYPES, aligned=True)
    captions = json.loads(Page(html).of("section")[0]["data-captions"] or "")
    assert captions == [
        "Pass 1 of 2, step 0 of 1: 0 of 1 slots filled",
        "Pass 1 of 2, step 1 of 1: 1 of 1 slots filled",
        "Pass 2 of 2, step 0 of 2: 0 of 2 slots filled",
        "Pass 2 of 2, step 1 of 2: 1 of 2 slots filled",
        "Pass 2 of 2, step 2 of 2: 2 of 2 slots filled",
    ]
    bodies = [own for own in Page(html).of("div") if "data-from" in own and own.get("class") is None]
    assert [(own["data-from"], own["data-to"], "hidden" in own) for own in bodies] == [
        ("0", "2", True),
        ("2", "5", False),
    ]
    assert shown(html, 3) == ["masked", "outside"]


def test_a_text_without_words_says_so() -> None:
    assert "The text has no words" in canvas_view({"text": "\u200b", "passes": []}, TYPES, aligned=True)


SYMBOLS = st.sampled_from(["", "O", "I", *TYPES])


@given(st.data())
def test_every_frame_shows_each_slot_once_as_the_step_has_it(data: st.DataObject) -> None:
    words = data.draw(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\r\0")),
            min_size=1,
            max_size=5,
        )
    )
    rows = data.draw(
        st.lists(st.lists(SYMBOLS, min_size=len(words), max_size=len(words)), min_size=1, max_size=4)
    )
    steps = [step(i + 1, row, words) for i, row in enumerate(rows)]
    html = canvas_view({"text": "".join(words), "passes": [steps]}, TYPES, aligned=True)
    page = Page(html, within="word")
    assert page.text == "".join(words)
    assert {tag for tag, _ in page.elements} <= {
        "section",
        "div",
        "button",
        "input",
        "p",
        "ol",
        "ul",
        "li",
        "bdi",
        "span",
    }
    names = {"": "masked", "O": "outside", "I": "inside", "person": "begin", "big city": "begin"}
    for frame, row in enumerate([[""] * len(words), *rows]):
        assert [classes.split()[0] for classes in shown(html, frame)] == [names[symbol] for symbol in row]
