"""Figures in README files come from results files, and from nowhere else."""

from pathlib import Path

import pytest

from model_card.figures import render


def test_an_unknown_figure_is_refused() -> None:
    with pytest.raises(KeyError, match="no figure is called 'nonsense'"):
        render.render("<!-- figures: nonsense -->\n<!-- /figures -->")


def test_a_figure_without_results_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(render, "RESULTS", render.ROOT / "model_card" / "no_results")
    with pytest.raises(FileNotFoundError, match=r"mini_latency\.json.*measure it first"):
        render.render("<!-- figures: mini-latency -->\n<!-- /figures -->")


def test_a_typed_number_does_not_survive() -> None:
    block = "<!-- figures: full-shape -->\n| load | 99999.99 | 1 |\n<!-- /figures -->"
    rendered = render.render(block)
    assert "99999.99" not in rendered
    assert f"{render.load('full_shape')['results']['load']['seconds']:.2f}" in rendered
