"""The labels that one string names: separated by commas, semicolons or lines, or a JSON list."""

from __future__ import annotations

import json


def parse_labels(value: str) -> list[str]:
    """Return the labels that a string names, in order; empty ones are left out.

    ``"person, city"``, ``"person; city"``, one a line, and ``'["person", "city"]'`` are the same. What
    separates is the line end if there is one, else the semicolon, else the comma.

    Raises:
        ValueError: it begins as a JSON list and is none of strings, or has both commas and semicolons, so
            that what separates is not clear.
    """
    text = value.strip()
    if text.startswith("["):
        return _from_json(text)
    if "\n" in text:
        found = text.splitlines()
    elif ";" in text and "," in text:
        raise ValueError(
            f"{value!r:.80} holds both ',' and ';', so that the labels are not clear; "
            'write a JSON list: ["one label", "another"]'
        )
    else:
        found = text.split(";" if ";" in text else ",")
    return [label.strip() for label in found if label.strip()]


def _from_json(text: str) -> list[str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f'{text!r:.80} begins as a JSON list and is none ({error}); write ["one label", "another"] with '
            "double quotes, or labels separated by commas without brackets"
        ) from None
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        raise ValueError(f'{text!r:.80} is no list of strings; write ["one label", "another"]')
    return [label.strip() for label in found if label.strip()]
