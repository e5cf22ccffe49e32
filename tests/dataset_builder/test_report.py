"""The report: counts of all kinds, a few examples, and every issue in the log."""

import io
import json

import pytest
from rich.console import Console

from dataset_builder.report import EXAMPLES_PER_KIND, ISSUE_KINDS, Issue, Report, figure_table, issue_table


def test_counts_examples_and_log():
    log = io.StringIO()
    report = Report(log=log)
    for number in range(20):
        report.add(Issue("empty_mention", f"r{number}", "x" * 1000))
    report.add(Issue("missing_id", "odd \udcff", "lone \ud800 surrogate"))
    report.figures["passages"] = {"records": 21}
    value = json.loads(json.dumps(report.as_dict(), ensure_ascii=False).encode("utf-8"))
    assert list(value["issues"]) == list(ISSUE_KINDS)
    assert {kind: count for kind, count in value["issues"].items() if count} == {
        "empty_mention": 20,
        "missing_id": 1,
    }
    assert [e["record"] for e in value["examples"]["empty_mention"]] == [
        f"r{n}" for n in range(EXAMPLES_PER_KIND)
    ]
    assert len(log.getvalue().splitlines()) == 21
    log.getvalue().encode("utf-8")
    assert value["passages"] == {"records": 21}


def test_an_unknown_kind_is_a_mistake():
    with pytest.raises(KeyError):
        Report().add(Issue("whatever", "r", "d"))


def test_tables_show_every_kind_and_text_that_looks_like_markup():
    report = Report(figures={"source": {"name": "a[b].json", "records": 12345}})
    report.add(Issue("unparsable_answer", "r[1]", "[red]x[/nothing]"))
    out = io.StringIO()
    console = Console(file=out, width=200)
    console.print(issue_table(report.as_dict()), figure_table(report.as_dict()))
    printed = out.getvalue()
    assert all(meaning in printed for meaning, _ in ISSUE_KINDS.values())
    assert "r[1]: [red]x[/nothing]" in printed
    assert "a[b].json" in printed
    assert "12,345" in printed
