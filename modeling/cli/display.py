"""Entities for people to read: a coloured table on a terminal, plain aligned columns elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import IO, Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_HEADER = ("start", "end", "score", "label", "text")
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")


def print_entities(
    text: str, entities: Sequence[dict[str, Any]], labels: Sequence[str], file: IO[str]
) -> None:
    """Print one text and its entities, as `EntityExtractor` returns them, to ``file``.

    ``labels`` are the types that were asked for; their order decides the colours. Whether ``file`` is a
    terminal and takes colour is for rich to tell, which follows NO_COLOR, FORCE_COLOR and TERM.
    """
    console = Console(file=file, highlight=False)
    rows = [
        (str(e["start"]), str(e["end"]), f"{e['score']:.3f}", visible(e["label"]), visible(e["text"]))
        for e in entities
    ]
    if not console.is_terminal:
        print(visible(text), *_aligned(rows), sep="\n", file=file)
        return
    styles = {label: f"bold {_COLOURS[i % len(_COLOURS)]}" for i, label in enumerate(labels)}
    console.print(_marked(text, entities, styles))
    console.print(_table(rows, [styles[e["label"]] for e in entities]) if rows else "  no entities")


def visible(text: str) -> str:
    """``text`` with control characters as backslash escapes, so that no text can drive the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _marked(text: str, entities: Sequence[dict[str, Any]], styles: Mapping[str, str]) -> Text:
    """The text with each entity in the colour of its label; where entities overlap the first one's shows."""
    marked = Text()
    cuts = sorted({0, len(text), *(e["start"] for e in entities), *(e["end"] for e in entities)})
    for start, end in pairwise(cuts):
        covering = [styles[e["label"]] for e in entities if e["start"] <= start and end <= e["end"]]
        marked.append(visible(text[start:end]), covering[0] if covering else None)
    return marked


def _table(rows: Sequence[Sequence[str]], styles: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 0, 0, 2), header_style="dim")
    for name in _HEADER:
        table.add_column(name, justify="left" if name in ("label", "text") else "right")
    for (*numbers, label, span), style in zip(rows, styles, strict=True):
        table.add_row(*numbers, Text(label, style), Text(span, style))
    return table


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table, the last column unpadded; wide characters count for the two columns they take."""
    if not rows:
        yield "  no entities"
        return
    lines = [_HEADER, *rows]
    widths = [max(cell_len(cell) for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        gaps = [" " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)]
        start, end, score, label, span = line
        cells = (gaps[0] + start, gaps[1] + end, gaps[2] + score, label + gaps[3], span)
        yield "  " + "  ".join(cells)
