"""Colours of entity types: one hue a type, two shades a theme."""

import colorsys
from typing import NamedTuple

# Neighbours in the list are far apart on the wheel: the first types asked for are easy to tell apart.
HUES = (215, 28, 145, 325, 265, 50, 185, 0, 95, 295)


class Shade(NamedTuple):
    """Saturation and lightness in percent, for any hue."""

    saturation: int
    lightness: int


TINT = {"light": Shade(85, 88), "dark": Shade(50, 24)}  # behind the page's own text
INK = {"light": Shade(85, 22), "dark": Shade(80, 86)}  # text on the tint, and borders


def type_class(number: int) -> str:
    """Return the CSS class of a type by its place in the request; after ten the hues come round again."""
    return f"type-{number % len(HUES)}"


def css() -> str:
    """Return the rules that give the type classes their colours."""
    rules = [f".type-{i} {{ --hue: {hue}; }}" for i, hue in enumerate(HUES)]
    for theme, scope in (("light", ":root"), ("dark", ".dark")):
        tint, ink = TINT[theme], INK[theme]
        rules.append(
            f"{scope} {{ --tint: {tint.saturation}% {tint.lightness}%; "
            f"--ink: {ink.saturation}% {ink.lightness}%; }}"
        )
    return "\n".join(rules)


def rgb(hue: int, shade: Shade) -> tuple[float, float, float]:
    """Return the sRGB colour, each channel in [0, 1]."""
    return colorsys.hls_to_rgb(hue / 360, shade.lightness / 100, shade.saturation / 100)


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """Return the contrast ratio of two sRGB colours, in [1, 21] (WCAG 2.2)."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: tuple[float, float, float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
