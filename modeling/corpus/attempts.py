"""How often a part was begun, so that a document that kills its worker costs only itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from .storage import Folder


@dataclass
class Attempts:
    """The marks of one part, kept in the output until the part is there.

    A worker may die for many reasons, so a part is begun again as a whole at first. Once it has been begun
    too often, its documents are read one at a time, each marked before, and one that is still marked after so
    many deaths is given up.

    Args:
        output: where the marks are kept.
        name: of the part.
        allowed: deaths that are put up with, of the whole part and then of one document.
    """

    output: Folder
    name: str
    allowed: int
    starts: int = 0
    document: int | None = None
    deaths: dict[int, int] = field(default_factory=dict)

    @property
    def one_at_a_time(self) -> bool:
        """Whether the documents must be read one by one, marked by ``enter``."""
        return self.starts > self.allowed + 1

    def begin(self) -> None:
        """Count one more start, with what the marks of the earlier ones say."""
        content = self.output.read(self._file)
        if content is not None:
            kept = json.loads(content)
            self.starts = kept["starts"]
            self.deaths = {int(key): number for key, number in kept["deaths"].items()}
            if (last := kept["document"]) is not None:
                self.deaths[last] = self.deaths.get(last, 0) + 1
        self.starts += 1
        self._write()

    def given_up(self, document: int) -> bool:
        """Whether workers died too often while they read this document."""
        return self.deaths.get(document, 0) > self.allowed

    def enter(self, document: int) -> None:
        """Mark the document, by its index in the part, that is read next."""
        self.document = document
        self._write()

    def end(self) -> None:
        """Remove the marks: the part is there."""
        self.output.delete(self._file)

    @property
    def _file(self) -> str:
        return f"_annotate/attempts/{self.name}.json"

    def _write(self) -> None:
        marks = {"starts": self.starts, "document": self.document, "deaths": self.deaths}
        self.output.write(self._file, json.dumps(marks).encode())
