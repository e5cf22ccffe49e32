"""The public texts that layers belong to: each source as numbered documents.

A document is a row of an annotated set, a passage of Pile-NER or a line of a plain-text file.
"""

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dataset_builder.mix.detokenize import render
from dataset_builder.mix.filters import Tally, clean_tokens
from dataset_builder.mix.further import FURTHER
from dataset_builder.mix.pile import read_passages
from dataset_builder.mix.sources import PILE, SOURCES, Source, read_source

BOOKS = "classic_books"
TEXTBOOKS = "openstax"
PLAIN_FILES = {BOOKS: "classic_books_110mb.txt.gz", TEXTBOOKS: "openstax.txt.gz"}


@dataclass(frozen=True)
class Document:
    """A text as people write it. Layers count its characters without white space ("solid" positions), for
    those do not depend on how words are spaced.
    """

    text: str
    positions: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> "Document":
        """Make the document of a text."""
        return cls(text, tuple(index for index, character in enumerate(text) if not character.isspace()))

    @property
    def solid(self) -> str:
        """The text without white space."""
        return "".join(self.text.split())

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Positions in the text of ``solid[start:end]``."""
        return self.positions[start], self.positions[end - 1] + 1


@dataclass
class TextFolders:
    """Where the public texts are; a folder that is ``None`` leaves its sources out.

    Attributes:
        ner_mix: folder of the annotated sets.
        ner_mix2: folder of the further sets.
        pile: the Pile-NER file.
        plain: folder of the plain-text files :data:`PLAIN_FILES`.
    """

    ner_mix: Path | None = None
    ner_mix2: Path | None = None
    pile: Path | None = None
    plain: Path | None = None
    _read: dict[str, list[str]] = field(default_factory=dict, repr=False)

    def texts(self, source: str) -> list[str] | None:
        """Return the texts of a source by document number, or ``None`` if its folder is not given.

        Raises:
            FileNotFoundError: the folder lacks the file of the source.
            ValueError: no such source is known, or its file is not in its form.
        """
        if source not in self._read:
            reader = self._reader(source)
            if reader is None:
                return None
            self._read[source] = list(reader())
        return self._read[source]

    def _reader(self, source: str) -> Callable[[], Iterator[str]] | None:
        if source == PILE.name:
            pile = self.pile
            return None if pile is None else lambda: _pile_texts(pile)
        if source in PLAIN_FILES:
            plain = self.plain
            return None if plain is None else lambda: _plain_texts(plain / PLAIN_FILES[source])
        for sources, folder in ((SOURCES, self.ner_mix), (FURTHER, self.ner_mix2)):
            for known in sources:
                if known.name == source:
                    return None if folder is None else _token_reader(folder, known)
        raise ValueError(f"layers name the source {source!r}, which no folder of texts has")


def _token_reader(folder: Path, source: Source) -> Callable[[], Iterator[str]]:
    def read() -> Iterator[str]:
        for sentence in read_source(folder, source):
            yield render(clean_tokens(sentence).tokens, True, source.split_words)[0]

    return read


def _pile_texts(path: Path) -> Iterator[str]:
    # Records whose mentions leave nothing to train on are no passages; numbers are those of the file.
    found: dict[int, str] = {}
    for passage in read_passages(path, Tally()):
        number = int(passage.sentence.id.rpartition("-")[2])
        found[number] = render(passage.sentence.tokens, True, PILE.split_words)[0]
    for number in range(max(found, default=-1) + 1):
        yield found.get(number, "")


def _plain_texts(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield " ".join(line.split())
