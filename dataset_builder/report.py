"""What a build met: every issue in a file of its own, counts and examples in one report."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, Any

from rich.table import Table

EXAMPLES_PER_KIND = 5
_EXCERPT = 240

# kind -> (what happened, what was done about it), in the order of the table.
ISSUE_KINDS: dict[str, tuple[str, str]] = {
    "malformed_record": ("record that is no JSON object with a list of conversations", "record dropped"),
    "no_passage": ("record whose first turn is no passage", "record dropped"),
    "empty_passage": ("record with an empty passage", "record dropped"),
    "nothing_answered": ("record without one readable answer", "record dropped"),
    "duplicate_record": ("record with the same id and content as an earlier one", "record dropped"),
    "duplicate_id": ("record with the id of an earlier one and other content", "kept under a new id"),
    "missing_id": ("record without a usable id", "kept under a new id"),
    "duplicate_passage": ("passage that another record has too", "kept, on the same side of the split"),
    "malformed_turn": ("turn that is no object with a speaker and a string", "turn dropped"),
    "unknown_question": ("question that asks for no type", "question and answer dropped"),
    "unusable_type": ("type name that is empty or too long", "question and answer dropped"),
    "missing_answer": ("question without an answer", "type neither present nor absent"),
    "answer_without_question": ("answer to no question", "answer dropped"),
    "unparsable_answer": ("answer that is no JSON list", "type neither present nor absent"),
    "repeated_type": ("type asked more than once, in one spelling or several", "answers merged"),
    "non_string_mention": ("listed mention that is no string", "mention dropped"),
    "empty_mention": ("listed mention that is empty", "mention dropped"),
    "duplicate_mention": ("mention listed more than once for a type", "merged"),
    "invalid_unicode": ("text with bytes that are no character", "replaced by U+FFFD"),
    "mention_not_found": ("mention that the passage does not hold", "mention dropped, type not absent"),
    "mention_too_long": ("mention that no window can hold", "in spans; its type not asked in that window"),
}


@dataclass(frozen=True)
class Issue:
    """One thing that could not be used as it stood: its kind, the record's id, and what it was."""

    kind: str
    record: str
    detail: str


@dataclass
class Report:
    """Counts and examples of a build; ``as_dict`` is what ``report.json`` holds.

    ``issues`` counts by kind, ``examples`` keeps the first of each kind in the order of the source, and
    ``figures`` holds everything else that the build counted, by section.
    """

    issues: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    log: IO[str] | None = None

    def add(self, issue: Issue) -> None:
        """Count an issue and write it to the log, one JSON object a line.

        Raises:
            KeyError: the kind is none of :data:`ISSUE_KINDS`.
        """
        ISSUE_KINDS[issue.kind]
        entry = {"kind": issue.kind, "record": _clean(issue.record), "detail": _clean(issue.detail)}
        self.issues[issue.kind] += 1
        kept = self.examples.setdefault(issue.kind, [])
        if len(kept) < EXAMPLES_PER_KIND:
            kept.append(entry)
        if self.log is not None:
            self.log.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {
            **self.figures,
            "issues": {kind: self.issues[kind] for kind in ISSUE_KINDS},
            "examples": {kind: self.examples[kind] for kind in ISSUE_KINDS if kind in self.examples},
        }


def issue_table(report: dict[str, Any]) -> Table:
    """Return the issues of a report (as :meth:`Report.as_dict` gives it) as a terminal table."""
    table = Table(title="What could not be used as it stood", title_justify="left")
    for heading in ("issue", "count", "done", "example"):
        table.add_column(heading, justify="right" if heading == "count" else "left", overflow="fold")
    for kind, count in report["issues"].items():
        meaning, action = ISSUE_KINDS[kind]
        examples = report["examples"].get(kind)
        shown = f"{examples[0]['record']}: {examples[0]['detail']}" if examples else ""
        table.add_row(_plain(meaning), f"{count:,}", _plain(action), _plain(shown[:80]))
    return table


def figure_table(report: dict[str, Any]) -> Table:
    """Return the figures of a report as a terminal table; lists and nested values stay in the JSON."""
    table = Table(title="Figures", title_justify="left")
    for heading in ("section", "figure", "value"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for section, figures in report.items():
        if section in ("issues", "examples"):
            continue
        for name, value in figures.items():
            if isinstance(value, (int, float, str)):
                shown = f"{value:,}" if isinstance(value, (int, float)) else value
                table.add_row(section, name.replace("_", " "), _plain(shown))
    return table


def _clean(text: str) -> str:
    """Cut to an excerpt that any encoder takes."""
    return text[:_EXCERPT].encode("utf-8", "replace").decode("utf-8")


def _plain(text: str) -> str:
    # Square brackets are rich's markup.
    return text.replace("[", r"\[")
