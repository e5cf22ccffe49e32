"""HTML of results. Every piece of user text goes through `escape`; the same results give the same HTML."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from .palette import type_class

Entity = Mapping[str, Any]


@dataclass(frozen=True)
class Mark:
    """A stretch of text to highlight.

    Args:
        start, end: character offsets.
        colour: number of its type.
        tag: what stands behind it.
        classes: further CSS classes.
        strength: opacity of its background, in [0, 1].
    """

    start: int
    end: int
    colour: int
    tag: str
    classes: str = ""
    strength: float | None = None


def passage(text: str, marks: Iterable[Mark]) -> str:
    """Return the text as a paragraph with its marks, which must be in order and not overlap."""
    pieces, at = [], 0
    for mark in marks:
        pieces += [escape(text[at : mark.start]), _marked(mark, text[mark.start : mark.end])]
        at = mark.end
    pieces.append(escape(text[at:]))
    return f'<p class="passage" dir="auto">{"".join(pieces)}</p>'


def _marked(mark: Mark, text: str) -> str:
    classes = " ".join(filter(None, ("mark", type_class(mark.colour), mark.classes)))
    style = "" if mark.strength is None else f' style="--strength: {mark.strength:.2f}"'
    # The brackets are for ears and for copied text; eyes see a label.
    tag = f'<span class="unseen"> [</span>{escape(mark.tag)}<span class="unseen">]</span>'
    return f'<mark class="{classes}"{style}><bdi>{escape(text)}</bdi><span class="tag">{tag}</span></mark>'


def entities_view(result: Mapping[str, Any], types: Sequence[str], steps: int, device: str) -> str:
    """Return the text with its entities, their scores, and how many of each type there are."""
    found = result["entities"]
    marks = [entity_mark(entity, types) for entity in found]
    summary = f"{_count(len(found), 'entity', 'entities')} in {_steps(steps)}, {_time(result)} on {device}"
    return _section(
        "Entities", summary, passage(result["text"], marks) + (_legend(found, types) or _nothing())
    )


def entity_mark(entity: Entity, types: Sequence[str], classes: str = "") -> Mark:
    """Return the highlight of an entity."""
    tag = f"{entity['label']} {entity['score']:.2f}"
    return Mark(entity["start"], entity["end"], types.index(entity["label"]), tag, classes)


def steps_view(result: Mapping[str, Any], types: Sequence[str], device: str) -> str:
    """Return the answers for the compared numbers of steps side by side, what only one has marked."""
    answers = [{_place(e) for e in answer["entities"]} for answer in result["results"]]
    shared = set.intersection(*answers)
    columns = []
    for answer in result["results"]:
        marks = []
        for entity in answer["entities"]:
            alone = _place(entity) not in shared
            mark = entity_mark(entity, types, "alone" if alone else "")
            marks.append(
                Mark(mark.start, mark.end, mark.colour, mark.tag + ", only here", mark.classes)
                if alone
                else mark
            )
        columns.append(
            f'<div class="answer"><h2>{_steps(answer["steps"])}</h2>'
            f'<p class="fact">{_count(len(marks), "entity", "entities")}, {_time(answer)} on {device}</p>'
            f"{passage(result['text'], marks)}</div>"
        )
    different = len(set.union(*answers) - shared)
    if different:
        verdict = f"{_count(different, 'entity differs', 'entities differ')}, {len(shared)} the same"
    else:
        verdict = "The same entities"
    return _section("One step against eight", verdict, f'<div class="answers">{"".join(columns)}</div>')


def uncertainty_view(result: Mapping[str, Any], types: Sequence[str]) -> str:
    """Return the text with the candidates the runs agree on most, and all candidates in a table."""
    runs, candidates = result["runs"], result["candidates"]
    marks = [
        Mark(
            candidate["start"],
            candidate["end"],
            types.index(candidate["label"]),
            f"{candidate['label']} {candidate['runs']}/{runs}",
            "agreed" if candidate["agreement"] >= 0.8 else "disputed",
            candidate["agreement"],
        )
        for candidate in most_agreed(candidates)
    ]
    certain = sum(candidate["runs"] == runs for candidate in candidates)
    summary = f"{_count(len(candidates), 'candidate')} in {runs} random runs, {certain} found every time"
    rows = "".join(
        f'<tr><th scope="row"><bdi>{escape(c["text"])}</bdi></th>'
        f'<td><span class="swatch {type_class(types.index(c["label"]))}"></span>{escape(c["label"])}</td>'
        f'<td class="number">{c["runs"]}/{runs}</td><td class="number">{c["score"]:.2f}</td></tr>'
        for c in candidates
    )
    table = (
        '<table><caption class="unseen">Candidates</caption><thead><tr><th scope="col">Text</th>'
        '<th scope="col">Type</th><th scope="col">Runs</th><th scope="col">Mean score</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    help_ = (
        '<p class="fact">The fainter the background, the fewer runs found it; a dashed line marks fewer than '
        "eight in ten. Where candidates overlap, the text shows the most frequent.</p>"
    )
    return _section(
        "Uncertainty", summary, passage(result["text"], marks) + (help_ + table if candidates else _nothing())
    )


def most_agreed(candidates: Sequence[Entity]) -> list[Entity]:
    """Return candidates that do not overlap, in order: of two that do, the one found more often stays."""
    kept: list[Entity] = []
    for one in sorted(candidates, key=lambda c: (-c["runs"], -c["score"], c["start"], -c["end"], c["label"])):
        if all(one["end"] <= other["start"] or other["end"] <= one["start"] for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda c: c["start"])


def notice(message: str) -> str:
    """Return what stands in place of a result that could not be had."""
    return f'<p class="notice" role="alert"><strong>Not run.</strong> <bdi>{escape(message)}</bdi></p>'


def _section(name: str, summary: str, body: str) -> str:
    status = f'<p class="summary" role="status">{escape(summary)}</p>'
    return f'<section class="view" aria-label="{escape(name)}">{status}{body}</section>'


def _legend(found: Sequence[Entity], types: Sequence[str]) -> str:
    counts = Counter(entity["label"] for entity in found)
    if not counts:
        return ""
    items = "".join(
        f'<li{"" if counts[name] else " class=absent"}><span class="swatch {type_class(i)}"></span>'
        f"{escape(name)} <b>{counts[name]}</b></li>"
        for i, name in enumerate(types)
    )
    return f'<ul class="legend" aria-label="How many of each type">{items}</ul>'


def _nothing() -> str:
    return '<p class="fact">Nothing found. Lower the threshold, or name other types.</p>'


def _place(entity: Entity) -> tuple[int, int, str]:
    return entity["start"], entity["end"], entity["label"]


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _steps(number: int) -> str:
    return _count(number, "step")


def _time(answer: Mapping[str, Any]) -> str:
    return f"{answer['milliseconds']:.0f} ms"
