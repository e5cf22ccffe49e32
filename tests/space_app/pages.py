"""Reads the HTML that the app writes."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"input"}


class Page(HTMLParser):
    """Collects a fragment's elements and texts, and fails on markup that does not nest.

    ``elements`` are (tag, attributes) pairs; ``text`` is what stands in elements whose class is ``within``,
    apart from ``.tag`` children.
    """

    def __init__(self, html: str, within: str = "passage") -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[tuple[str, str]] = []
        self._within = within
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        self.elements.append((tag, own))
        if tag not in VOID:
            self._open.append((tag, own.get("class") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"{tag} was never opened"
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        classes = [name for _, own in self._open for name in own.split()]
        if self._within in classes and "tag" not in classes:
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of the elements of one tag."""
        return [attributes for name, attributes in self.elements if name == tag]
