"""HTML of the denoising canvas: one chip a slot, which `player.js` moves from step to step.

Frame 0 is the blank canvas. An element with ``data-from`` and ``data-to`` belongs to the frames in
[from, to); without the script those of the last frame show.
"""

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any, NamedTuple

from .palette import type_class

Step = Mapping[str, Any]


class Look(NamedTuple):
    """How a slot looks in one frame: CSS classes, the symbol shown, and what to call it if that says more."""

    classes: str
    symbol: str
    spoken: str = ""


MASKED = Look("masked", "", "masked")
EMPTY = Look("outside", "∅", "empty")
OUTSIDE = Look("outside", "O", "outside")


def canvas_view(result: Mapping[str, Any], types: Sequence[str], aligned: bool) -> str:
    """Return the player for ``inference.denoise``'s result."""
    passes: Sequence[Sequence[Step]] = result["passes"]
    if not passes:
        return (
            '<section class="view" aria-label="Canvas"><p role="status">The text has no words.</p></section>'
        )
    captions: list[str] = []
    bodies = []
    for number, steps in enumerate(passes):
        first = len(captions)
        prefix = f"Pass {number + 1} of {len(passes)}, " if len(passes) > 1 else ""
        captions += [prefix + _caption(i, steps) for i in range(len(steps) + 1)]
        bodies.append((first, len(captions), _pass(steps, types, aligned, first, len(captions))))
    last = len(captions) - 1
    total = len(captions)
    body = "".join(
        f'<div data-from="{a}" data-to="{b}"{"" if b == total else " hidden"}>{html}</div>'
        for a, b, html in bodies
    )
    return (
        '<section class="view player" aria-label="Canvas" '
        f'data-current="{last}" data-captions="{escape(json.dumps(captions))}">'
        f"{_controls(last, captions[last])}{body}{_key(aligned, len(passes))}</section>"
    )


def looks(steps: Sequence[Step], types: Sequence[str], aligned: bool) -> list[list[Look]]:
    """Return for each slot how it looks blank and after each step, ``[slots][steps + 1]``."""
    frames = [[MASKED] * len(steps[0]["slots"])]
    for step in steps:
        frames.append((_aligned_looks if aligned else _completion_looks)(step["slots"], types))
    return [list(column) for column in zip(*frames, strict=True)]


def _aligned_looks(slots: Sequence[Mapping[str, Any]], types: Sequence[str]) -> list[Look]:
    """A continuation has the colour of the entity it continues, once all slots up to there are revealed."""
    shown: list[Look] = []
    owner = ""
    for slot in slots:
        if not slot["revealed"]:
            owner = ""
            shown.append(MASKED)
        elif slot["symbol"] in types:
            owner = type_class(types.index(slot["symbol"]))
            shown.append(Look(f"begin {owner}", slot["symbol"]))
        elif slot["symbol"] == "I":
            shown.append(Look(f"inside {owner}".strip(), "I", "inside"))
        else:
            owner = ""
            shown.append(OUTSIDE)
    return shown


def _completion_looks(slots: Sequence[Mapping[str, Any]], types: Sequence[str]) -> list[Look]:
    """An entry of the list has its type's colour, once the tokens of the type are revealed."""
    shown: list[Look] = []
    for bar, group in groupby(slots, key=lambda slot: slot["revealed"] and slot["symbol"].strip() == "|"):
        entry = list(group)
        head = "".join(slot["symbol"] if slot["revealed"] else "\0" for slot in entry).split(":")[0]
        number = next((i for i, name in enumerate(types) if _same(name, head)), None)
        colour = "" if number is None or bar else type_class(number)
        for slot in entry:
            if not slot["revealed"]:
                shown.append(MASKED)
            elif slot["empty"]:
                shown.append(EMPTY)
            else:
                shown.append(Look(f"token {colour}".strip(), slot["symbol"].strip() or "·"))
    return shown


def _same(name: str, written: str) -> bool:
    """Whether a type is what was written, as tokenizers write it: without regard to case and spaces."""
    return "".join(name.split()).casefold() == "".join(written.split()).casefold()


def _pass(steps: Sequence[Step], types: Sequence[str], aligned: bool, first: int, end: int) -> str:
    """Return the slots and the readings of one pass, whose frames are [first, end)."""
    columns = looks(steps, types, aligned)
    used = len(columns)
    while used > 1 and not aligned and columns[used - 1][-1] == EMPTY:
        used -= 1
    chips = [
        f"<li>{_word(slot['text'])}{_states(column, first, end)}</li>"
        for slot, column in zip(steps[-1]["slots"][:used], columns, strict=False)
    ]
    behind = len(columns) - used
    if behind:  # one chip for all the padding behind the answer, which is revealed together
        times = f" × {behind}" if behind > 1 else ""
        chips.append(f'<li class="rest">{_states(columns[used], first, end)}{times}</li>')
    readings = [()] + [tuple((e["text"], e["label"], e["score"]) for e in step["entities"]) for step in steps]
    read = "".join(
        f'<div class="reading"{_during(a, b, end)}>{_reading(found, types)}</div>'
        for a, b, found in _spans(readings, first)
    )
    kind = "aligned" if aligned else "completion"
    return f'<ol class="slots {kind}" aria-label="Slots">{"".join(chips)}</ol>{read}'


def _word(text: str) -> str:
    return f'<bdi class="word">{escape(text)}</bdi>' if text else ""


def _states(column: Sequence[Look], first: int, end: int) -> str:
    return "".join(
        f'<span class="symbol {look.classes}"{_during(a, b, end)}>{_symbol(look)}</span>'
        for a, b, look in _spans(column, first)
    )


def _symbol(look: Look) -> str:
    if not look.spoken:
        return f"<bdi>{escape(look.symbol)}</bdi>"
    seen = f'<span aria-hidden="true">{escape(look.symbol)}</span>'
    return f'{seen}<span class="unseen">{escape(look.spoken)}</span>'


def _reading(found: Sequence[tuple[str, str, float]], types: Sequence[str]) -> str:
    if not found:
        return "Best reading so far: nothing"
    entries = ", ".join(
        f'<span class="entry"><span class="swatch {type_class(types.index(label))}"></span>'
        f"<bdi>{escape(text)}</bdi> ({escape(label)} {score:.2f})</span>"
        for text, label, score in found
    )
    return f"Best reading so far: {entries}"


def _spans(values: Sequence[Hashable], first: int) -> Iterable[tuple[int, int, Any]]:
    """Yield (from, to, value) for the runs of equal values, counted from frame ``first``."""
    at = first
    for value, group in groupby(values):
        length = sum(1 for _ in group)
        yield at, at + length, value
        at += length


def _during(first: int, frame_end: int, end: int) -> str:
    """Return the attributes of what belongs to the frames in [first, frame_end) of [.., end)."""
    return f' data-from="{first}" data-to="{frame_end}"{"" if frame_end == end else " hidden"}'


def _caption(frame: int, steps: Sequence[Step]) -> str:
    slots = steps[max(frame - 1, 0)]["slots"]
    filled = sum(slot["revealed"] for slot in slots) if frame else 0
    return f"step {frame} of {len(steps)}: {filled} of {len(slots)} slots filled"


def _controls(last: int, caption: str) -> str:
    return (
        '<div class="controls" role="group" aria-label="Denoising">'
        '<button type="button" data-move="-1" aria-label="Previous step">&#8592;</button>'
        '<button type="button" data-play="" class="play">Play</button>'
        '<button type="button" data-move="1" aria-label="Next step">&#8594;</button>'
        f'<input type="range" min="0" max="{last}" step="1" value="{last}" aria-label="Step" '
        f'aria-valuetext="{escape(caption)}">'
        f'<p class="caption" role="status">{escape(caption)}</p></div>'
    )


def _key(aligned: bool, passes: int) -> str:
    signs = [("masked", "", "masked")]
    if aligned:
        signs += [("outside", "O", "outside any entity"), ("inside", "I", "continues the entity before it")]
        signs.append(("begin", "type", "begins an entity of the type"))
    else:
        signs += [("outside", "∅", "empty, behind the answer"), ("token", "word", "a token of the list")]
    items = "".join(
        f'<li><span class="symbol {classes}" aria-hidden="true">{sign}</span> {meaning}</li>'
        for classes, sign, meaning in signs
    )
    several = (
        '<p class="fact">Long texts, long lists of types and answers that outgrow their canvas take several '
        "passes.</p>"
        if passes > 1
        else ""
    )
    return f'<ul class="key" aria-label="Signs">{items}</ul>{several}'
