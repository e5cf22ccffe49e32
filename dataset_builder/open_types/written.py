r"""Reads and renders written passages: one a line, each mention as ``[span|finest type|...|general type]``.

``\n`` and ``\t`` stand for a line break and a tab, ``\\`` for one backslash. Text holds no bracket and no bar
but those of mentions.
"""

import re
from pathlib import Path

from dataset_builder.open_types.passage import OpenMention, Passage

MAX_TYPES = 3
# Lower case, plain words of any alphabet: "maître d'", "d&b", "m.2 drive", "c++ library".
_TYPE = re.compile(r"[^\W_A-Z]+(?:[ '’\-/&+.#]+[^\W_A-Z]+)*['’+#.]*")
_VAGUE = frozenset(["other", "misc", "miscellaneous", "entity", "thing", "unknown"])
_ESCAPE = re.compile(r"\\(.?)")
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\"}
_PIECES = re.compile(r"\[([^\[\]]*)\]|([\[\]|])")


def parse_line(line: str) -> tuple[str, tuple[OpenMention, ...]]:
    """Parse one line.

    Returns:
        the text and its mentions.

    Raises:
        ValueError: the line is not in the form; the message says what is wrong.
    """
    parts: list[str] = []
    mentions: list[OpenMention] = []
    length = last = 0
    for match in _PIECES.finditer(line):
        if match[2] is not None:
            raise ValueError(f"{match[2]!r} at character {match.start() + 1} belongs to no mention")
        before = _unescaped(line[last : match.start()])
        span, types = _mention(match[1])
        parts += (before, span)
        length += len(before)
        mentions.append(OpenMention(length, length + len(span), types))
        length += len(span)
        last = match.end()
    parts.append(_unescaped(line[last:]))
    text = "".join(parts)
    if not text.strip():
        raise ValueError("there is no text")
    return text, tuple(mentions)


def render_line(text: str, mentions: tuple[OpenMention, ...]) -> str:
    """Return the line of a passage: the inverse of :func:`parse_line`.

    Raises:
        ValueError: the text holds a bracket or a bar, or mentions overlap.
    """
    parts = []
    last = 0
    for mention in mentions:
        if mention.start < last:
            raise ValueError(f"{mention} overlaps the mention before it")
        parts.append(_escaped(text[last : mention.start]))
        parts.append(f"[{'|'.join((_escaped(text[mention.start : mention.end]), *mention.types))}]")
        last = mention.end
    return "".join([*parts, _escaped(text[last:])])


def read_written(folder: Path) -> list[Passage]:
    """Read every ``<genre>.txt`` of a folder, by file name and line; ids are ``<genre>-<line>``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is not in the form; the message names file and line.
    """
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no written passages (*.txt)")
    passages = []
    for path in files:
        for number, line in enumerate(path.read_text("utf-8").removesuffix("\n").split("\n"), start=1):
            try:
                text, mentions = parse_line(line)
            except ValueError as error:
                raise ValueError(f"{path}:{number}: {error}") from None
            passages.append(Passage(f"{path.stem}-{number}", path.stem, text, mentions))
    return passages


def check_types(types: tuple[str, ...]) -> None:
    """Raise :class:`ValueError` unless there are one to three different types in the right form."""
    if not 1 <= len(types) <= MAX_TYPES:
        raise ValueError(f"{len(types)} types, must be 1 to {MAX_TYPES}: {types}")
    if len(set(types)) < len(types):
        raise ValueError(f"a type is named twice: {types}")
    for name in types:
        if not _TYPE.fullmatch(name) or name != name.lower():
            raise ValueError(f"type {name!r} is not in plain lower-case words")
        if name in _VAGUE:
            raise ValueError(f"type {name!r} says nothing: name what the mention is")


def _mention(body: str) -> tuple[str, tuple[str, ...]]:
    written, *types = body.split("|")
    span = _unescaped(written)
    if not span or span != span.strip():
        raise ValueError(f"mention [{body}] is empty or has blanks at its ends")
    try:
        check_types(tuple(types))
    except ValueError as error:
        raise ValueError(f"mention [{body}]: {error}") from None
    return span, tuple(types)


def _unescaped(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            raise ValueError(f"{match[0]!r} is no escape: write \\n, \\t or \\\\")
        return _ESCAPES[match[1]]

    return _ESCAPE.sub(character, text)


def _escaped(text: str) -> str:
    for character in "[]|":
        if character in text:
            raise ValueError(f"{character!r} cannot stand in a written passage: {text!r}")
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
