"""Text stays readable on every type's colour, in both themes (WCAG 2.2, AA: 4.5)."""

from __future__ import annotations

import pytest

from space_app.palette import HUES, INK, TINT, Shade, contrast, css, rgb, type_class

PAGE = {"light": rgb(0, Shade(0, 100)), "dark": rgb(229, Shade(84, 5))}
BODY = {"light": rgb(217, Shade(33, 17)), "dark": rgb(210, Shade(40, 96))}  # gradio's slate text


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("hue", HUES)
def test_contrast(theme: str, hue: int) -> None:
    tint, ink = rgb(hue, TINT[theme]), rgb(hue, INK[theme])
    assert contrast(ink, tint) >= 4.5
    assert contrast(BODY[theme], tint) >= 4.5
    assert contrast(ink, PAGE[theme]) >= 4.5  # the line under a mark, at any opacity of its background


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    assert contrast(rgb(0, Shade(0, 46)), (1, 1, 1)) == pytest.approx(4.6, abs=0.1)  # #767676 is 4.54


def test_hues_come_round_and_have_a_rule_each() -> None:
    rules = css()
    assert [type_class(i) for i in (0, 9, 10)] == ["type-0", "type-9", "type-0"]
    assert len(set(HUES)) == len(HUES)
    assert all(f".{type_class(i)} {{ --hue: {hue}; }}" in rules for i, hue in enumerate(HUES))
