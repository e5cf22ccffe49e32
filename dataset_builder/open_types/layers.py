"""Stand-off layers: labels of public texts without the texts.

A layer file ``<genre>.jsonl.gz`` has one object a line, in the order of ``id``::

    {"id": "wiki-17", "source": "fewnerd_inter_dev", "row": 4096, "window": [0, 118], "hash": "9f0c...",
     "mentions": [[0, 12, "physicist|scientist|person"], ...]}

``row`` is the number of the document in its source, ``window`` the part of it that is labelled; all positions
count characters without white space, from the start of the document (``window``) or of the window
(``mentions``, start and end). ``hash`` is of the window's characters without white space.
"""

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from dataset_builder.mix.hashing import normalize_text
from dataset_builder.mix.pile import passage_group
from dataset_builder.mix.sources import PILE
from dataset_builder.open_types.passage import OpenMention, Passage
from dataset_builder.open_types.texts import Document, TextFolders
from dataset_builder.open_types.written import check_types

PACKAGE = Path(__file__).parent  # its written/ and layers/ are the data
_KEYS = {"id", "source", "row", "window", "hash", "mentions"}


@dataclass(frozen=True)
class Layer:
    """The labels of one text; positions as in the layer file."""

    id: str
    source: str
    row: int
    window: tuple[int, int]
    hash: str
    mentions: tuple[OpenMention, ...]

    @property
    def genre(self) -> str:
        """The kind of text."""
        return self.id.rpartition("-")[0]


@dataclass
class Joined:
    """What a join gave: passages, and the ids of layers whose text was not found, by source and reason."""

    passages: list[Passage] = field(default_factory=list)
    missing: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def report(self) -> list[str]:
        """One line for each source with texts that were not found."""
        return [
            f"{source}: {len(ids)} texts left out, {reason} (first: {ids[0]})"
            for (source, reason), ids in sorted(self.missing.items())
        ]


def text_hash(solid: str) -> str:
    """The hash of a text without its white space."""
    return blake2b(solid.encode("utf-8"), digest_size=8).hexdigest()


def read_layers(folder: Path) -> list[Layer]:
    """Read every layer file of a folder, by file name.

    Raises:
        FileNotFoundError: there is none.
        ValueError: a line is not in the form; the message names file and line.
    """
    files = sorted(folder.glob("*.jsonl.gz"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no layers (*.jsonl.gz)")
    return [layer for path in files for layer in _read_file(path)]


def write_layers(folder: Path, layers: Iterable[Layer]) -> Counter[str]:
    """Write layers, one file for each genre; the bytes depend on the layers alone.

    Returns:
        the number of layers of each genre.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[bytes]] = {}
    for layer in layers:
        mentions = [[mention.start, mention.end, "|".join(mention.types)] for mention in layer.mentions]
        row = {
            "id": layer.id,
            "source": layer.source,
            "row": layer.row,
            "window": list(layer.window),
            "hash": layer.hash,
            "mentions": mentions,
        }
        text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        lines.setdefault(layer.genre, []).append(text.encode("utf-8") + b"\n")
    for genre, own in lines.items():
        with (
            (folder / f"{genre}.jsonl.gz").open("wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=9) as file,
        ):
            file.writelines(own)
    return Counter({genre: len(own) for genre, own in lines.items()})


def join(layers: Sequence[Layer], folders: TextFolders) -> Joined:
    """Put layers and their texts together.

    A layer belongs to the document of its number; where the text there is another one, to the whole document
    of its source whose text has the hash. Layers without a text are left out and named in the result.

    Raises:
        FileNotFoundError, ValueError: a folder of texts lacks a file, or one is not in its form.
    """
    joined = Joined()
    whole: dict[str, dict[str, int]] = {}
    for layer in layers:
        texts = folders.texts(layer.source)
        if texts is None:
            joined.missing.setdefault((layer.source, "no folder with them was given"), []).append(layer.id)
            continue
        passage = _at(layer, texts, layer.row)
        if passage is None and layer.window[0] == 0:
            if layer.source not in whole:
                whole[layer.source] = {
                    text_hash("".join(text.split())): number for number, text in enumerate(texts)
                }
            passage = _at(layer, texts, whole[layer.source].get(layer.hash, -1))
        if passage is None:
            joined.missing.setdefault((layer.source, "no text has the hash"), []).append(layer.id)
        else:
            joined.passages.append(passage)
    return joined


def _at(layer: Layer, texts: Sequence[str], row: int) -> Passage | None:
    """The passage of a layer if document ``row`` has its text."""
    if not 0 <= row < len(texts):
        return None
    document = Document.of(texts[row])
    first, last = layer.window
    if last > len(document.positions) or text_hash(document.solid[first:last]) != layer.hash:
        return None
    start, end = document.span(first, last)
    mentions = []
    for mention in layer.mentions:
        begin, stop = document.span(first + mention.start, first + mention.end)
        mentions.append(OpenMention(begin - start, stop - start, mention.types))
    return Passage(
        layer.id,
        layer.genre,
        document.text[start:end],
        tuple(mentions),
        layer.source,
        group=passage_group(row) if layer.source == PILE.name else normalize_text(document.text),
    )


def _read_file(path: Path) -> Iterator[Layer]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            row = json.loads(line)
            if set(row) != _KEYS:
                raise ValueError(f"{path}:{number}: keys {sorted(row)}, expected {sorted(_KEYS)}")
            first, last = row["window"]
            mentions = []
            reached = 0
            for start, end, types in row["mentions"]:
                if not reached <= start < end <= last - first:
                    raise ValueError(
                        f"{path}:{number}: mention {start}-{end} overlaps another or leaves the window"
                    )
                reached = end
                names = tuple(types.split("|"))
                try:
                    check_types(names)
                except ValueError as error:
                    raise ValueError(f"{path}:{number}: {error}") from None
                mentions.append(OpenMention(start, end, names))
            yield Layer(row["id"], row["source"], row["row"], (first, last), row["hash"], tuple(mentions))
