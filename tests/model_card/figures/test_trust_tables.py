"""The cost of a corpus, the table of faults and that of the fuzz run: computed, not typed."""

from __future__ import annotations

import pytest

from model_card.figures import render
from model_card.figures.corpus_cost import PRICES, SENTENCES, Price, costs, dollars, gpu_hours
from model_card.figures.trust import fault_table, fuzz_table, overhead_table, scale_table

PRICE = Price(3.6, "somebody", "a list", "2026-01-01")


def cells(markdown: str, first: str) -> list[str]:
    """Return the cells of the row that begins with this one."""
    (row,) = [line for line in markdown.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in row.split("|")[2:-1]]


def test_hours_and_dollars_by_hand() -> None:
    assert gpu_hours(100.0, sentences=360_000) == pytest.approx(1.0)
    assert dollars(100.0, PRICE, sentences=360_000) == pytest.approx(3.6)
    assert gpu_hours(1.0) == pytest.approx(SENTENCES / 3600)


def test_costs_are_those_of_the_measured_rates() -> None:
    rate = {"all": {"sentences_per_s": 400.0}}
    report = {"results": {"bf16": {"aligned, adaptive": rate, "aligned, T=8": rate}}, "vllm": {"all": 100.0}}
    markdown = costs(report, [PRICE])
    # 1e9 sentences / 400 a second = 694.4 hours; / 24 / 8 = 3.6 days; x $3.60 = $2,500.
    assert cells(markdown, "bf16, aligned, adaptive") == ["400.0", "694", "3.6", "$2,500", "25%"]
    assert cells(markdown, "UniNER-7B's work on vLLM, bf16") == ["100.0", "2,778", "14.5", "$10,000", "100%"]
    assert "T=8" not in markdown
    assert "$3.60: somebody (a list, read 2026-01-01)" in markdown


def test_a_report_without_the_other_side_is_refused() -> None:
    with pytest.raises(ValueError, match="compares with vLLM, which was not measured in the same call"):
        costs({"results": {}, "vllm": None})


def test_every_price_has_a_source_and_a_day() -> None:
    for price in PRICES:
        assert price.dollars > 0
        assert "http" in price.source
        assert len(price.read) == len("2026-01-01")


def test_the_measured_report_is_rendered() -> None:
    report = render.load("speed_h100")
    aligned = report["results"]["bf16"]["aligned, adaptive"]["all"]["sentences_per_s"]
    assert f"{gpu_hours(aligned):,.0f}" in cells(costs(report), "bf16, aligned, adaptive")


def test_faults_are_cells_whatever_they_say() -> None:
    row = {"fault": "a | b", "done": "refused", "seen": "no `x`\nbut | y", "kept": "yes"}
    markdown = fault_table({"groups": {"odd texts": [row]}})
    assert markdown.startswith("## Odd texts\n\n")
    assert "| a \\| b | refused | no `x` but \\| y | yes |" in markdown


def test_fuzz_figures_are_sums() -> None:
    engines = {"atheris": {"cases": 1000, "seconds": 60.0}, "hypothesis": {"cases": 234, "seconds": 30.0}}
    target = {"holds": "it holds", "engines": engines, "crashes": []}
    report = {
        "targets": {"one": target, "two": {**target, "crashes": [{"error": "x"}]}},
        "minutes": 1.5,
        "processes": 2,
        "seed": 0,
        "engines": {"atheris": "guided", "hypothesis": "chosen"},
    }
    markdown = fuzz_table(report)
    assert cells(markdown, "one") == ["it holds", "1,234", "1.5", "0"]
    assert cells(markdown, "**all**") == ["", "**2,468**", "**3.0**", "**1**"]
    assert "1.5 minutes on 2 processes" in markdown


def test_the_scale_table_says_what_was_killed_and_found() -> None:
    report = render.load("scale_cpu")
    markdown = scale_table(report)
    assert report["results"]["passed"]
    rate, _, killed = cells(markdown, "Ray until the driver was killed")
    assert rate == f"{report['results']['killed']['documents_per_s']:.1f}"
    assert killed.startswith("worker at ")
    assert ", driver at " in killed
    assert "every id is there once" in markdown


def test_the_overhead_table_sets_a_worker_against_the_extractor_alone() -> None:
    report = render.load("annotate_h100")
    markdown = overhead_table(report)
    found = report["results"]
    rate, share = cells(markdown, "one worker on Ray, one CPU thread each")
    assert rate == f"{found['1 workers']['documents_per_s']:.1f}"
    assert share == f"{found['1 workers']['documents_per_s'] / found['alone']['documents_per_s']:.0%}"
    assert found["1 workers"]["share_of_alone"] >= 0.95
