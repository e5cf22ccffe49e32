"""The text format: how types, text and entities become a prompt and a completion, and back.

``prompt = "Extract entities of types: {types}\\nText: {text}\\nEntities:"`` and
``completion = " type: span | type: span"`` in order of occurrence, or ``" none"``.

One module owns rendering and parsing; the data set, the loss, generation, the Space and the tests all
call it. Spans may hold ``|`` and ``:`` themselves, so a separator only counts where a *queried* type
follows it; a span that would forge such a separator has it escaped by a backslash, which makes
``parse(render(entities)) == entities`` hold for every span.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

PROMPT_HEAD = "Extract entities of types: "
PROMPT_TEXT = "\nText: "
PROMPT_TAIL = "\nEntities:"
TYPE_SEPARATOR = ", "
NONE = "none"
MAX_TYPE_LENGTH = 200
MAX_TYPES = 10_000


@dataclass(frozen=True, order=True)
class Mention:
    """One entity mention: ``text == passage[start:end]`` (character offsets, end exclusive)."""

    start: int
    end: int
    type: str
    text: str


@dataclass(frozen=True)
class ParsedCompletion:
    """What a completion says, and what in it could not be read.

    ``entities``: (type, span) pairs in the order written, and in ``ranges`` where in the completion each
    stands, type and span, as character offsets. ``segments``: how many pieces the completion
    has, readable or not. ``violations``: (reason, piece) pairs; reasons are ``"no type"`` (a piece that
    begins with no queried type) and ``"empty span"`` (a type with nothing behind it).
    """

    entities: list[tuple[str, str]] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    segments: int = 0
    violations: list[tuple[str, str]] = field(default_factory=list)


def check_types(types: Sequence[str]) -> list[str]:
    """Return the entity types as the prompt will name them: white space collapsed, duplicates merged.

    The first spelling of a duplicate wins and the order is kept. Two types that differ only in case
    count as duplicates.

    Raises:
        TypeError: ``types`` is one string, or holds something that is not a string.
        ValueError: there is no type, or more than ``MAX_TYPES``, or one is empty, too long, or holds a
            character that the completion format uses (``:``, ``|``) or a control character.
    """
    if isinstance(types, str):
        raise TypeError(f"labels must be a list of strings, got the string {types!r}; write [{types!r}]")
    if not isinstance(types, Iterable):
        raise TypeError(f"labels must be a list of strings, got {types!r} of type {type(types).__name__}")
    seen: dict[str, str] = {}
    for number, name in enumerate(types):
        if number == MAX_TYPES:
            raise ValueError(f"more than {MAX_TYPES:,} labels; ask for fewer at a time")
        if not isinstance(name, str):
            raise TypeError(f"every label must be a string, got {name!r} of type {type(name).__name__}")
        clean = " ".join(name.split())
        if not clean:
            raise ValueError(f"label {name!r} is empty; remove it or give it a name")
        if len(clean) > MAX_TYPE_LENGTH:
            raise ValueError(
                f"label {clean[:40]!r}... has {len(clean)} characters; "
                f"use a short name of at most {MAX_TYPE_LENGTH}"
            )
        bad = next((c for c in clean if c in ":|" or not c.isprintable()), None)
        if bad is not None:
            raise ValueError(
                f"label {clean!r} holds the character {bad!r}, which the format uses as a separator "
                "or which cannot be printed; replace it by a space or a hyphen"
            )
        seen.setdefault(clean.casefold(), clean)
    if not seen:
        raise ValueError('no labels given; name at least one entity type, for example ["person"]')
    return list(seen.values())


def render_prompt(types: Sequence[str], text: str) -> str:
    """Return the prompt that asks for ``types`` in ``text``."""
    return PROMPT_HEAD + TYPE_SEPARATOR.join(types) + PROMPT_TEXT + text + PROMPT_TAIL


def render_completion(entities: Iterable[tuple[str, str]], types: Sequence[str] = ()) -> str:
    """Return the completion for (type, span) pairs, in the order given.

    ``types`` are the queried types; those of ``entities`` are always among them.

    Raises:
        ValueError: a span is empty or begins or ends with white space, which parsing would lose.
    """
    pairs = list(entities)
    if not pairs:
        return f" {NONE}"
    pieces = []
    for name, span in pairs:
        if not span or span != span.strip():
            raise ValueError(f"span {span!r} of type {name!r} is empty or has white space at an end; trim it")
        if "|" in span:  # rare, and the pattern is dear to compile
            span = _forged_separator([*types, *(n for n, _ in pairs)]).sub(r"\\\g<0>", span)
        pieces.append(f"{name}: {span}")
    return " " + " | ".join(pieces)


def render_mentions(mentions: Iterable[Mention], types: Sequence[str] = ()) -> str:
    """Return the completion for mentions, sorted by occurrence: start, then the longer one, then type."""
    ordered = sorted(mentions, key=lambda m: (m.start, -m.end, m.type))
    return render_completion(((m.type, m.text) for m in ordered), types)


def parse_completion(completion: str, types: Sequence[str]) -> ParsedCompletion:
    """Read a completion. Never raises on model output: what cannot be read is counted as a violation.

    Inverse of :func:`render_completion` for the same ``types`` (a superset of those rendered).
    """
    body = completion.strip()
    if not body:
        return ParsedCompletion()
    if body.casefold() == NONE:
        return ParsedCompletion(segments=1)
    forged = _forged_separator(types)
    parsed = ParsedCompletion()
    # A blank in front lets the first piece be found by the same pattern as the others.
    matches = list(_separator(types).finditer(" | " + body))
    source = " | " + body
    shift = completion.index(body) - 3
    first = matches[0].start() if matches else len(source)
    stray = source[3:first].strip()
    segments = len(matches) + bool(stray)
    if stray:
        parsed.violations.append(("no type", stray))
    ends = [match.start() for match in matches[1:]] + [len(source)]
    for match, end in zip(matches, ends, strict=False):  # no match: the one end has no partner
        raw = source[match.end() : end].strip()
        span = forged.sub(lambda m: m.group(0)[1:] if m.group(0).startswith("\\") else m.group(0), raw)
        if span:
            parsed.entities.append((_queried(match["type"], types), span))
            parsed.ranges.append(
                (
                    match.start("type") + shift,
                    match.end() + shift + source[match.end() : end].index(raw) + len(raw),
                )
            )
        else:
            parsed.violations.append(("empty span", match["type"]))
    return ParsedCompletion(parsed.entities, parsed.ranges, segments, parsed.violations)


def _queried(written: str, types: Sequence[str]) -> str:
    """Return the queried type that was written, perhaps in another letter case."""
    if written in types:
        return written
    # By the rule that found it: casefolding knows other equals (the dotless i) than IGNORECASE does.
    return next(name for name in types if re.fullmatch(re.escape(name), written, re.IGNORECASE))


def _alternatives(types: Sequence[str]) -> str:
    """Return a pattern for any of the types, the longest first so that a prefix never wins."""
    unique = sorted({name for name in types if name}, key=lambda name: (-len(name), name))
    return "|".join(re.escape(name) for name in unique) or r"(?!)"


def _separator(types: Sequence[str]) -> re.Pattern[str]:
    """Match a separator together with the queried type behind it."""
    return re.compile(rf"\s\|\s(?P<type>{_alternatives(types)}):(?=\s|$)", re.IGNORECASE)


def _forged_separator(types: Sequence[str]) -> re.Pattern[str]:
    """Match what would read as a separator inside a span, with the backslashes in front of it."""
    return re.compile(rf"\\*\|(?=\s(?:{_alternatives(types)}):(?:\s|$))", re.IGNORECASE)
