"""Makes layers from labelled texts: ``python -m dataset_builder.open_types.align --annotated FILE ...``.

The texts are looked up in their sources by letters and digits alone, so they may be spaced and punctuated
otherwise; mentions are moved to the characters of the source.
"""

import argparse
import gzip
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataset_builder.mix.detokenize import normalize_token
from dataset_builder.mix.hashing import normalize_text
from dataset_builder.mix.sources import PILE
from dataset_builder.open_types.layers import Layer, text_hash, write_layers
from dataset_builder.open_types.passage import OpenMention, flat
from dataset_builder.open_types.texts import TEXTBOOKS, Document, TextFolders

_PLACEHOLDER = re.compile(r"\{\{(?:USERNAME|URL)\}\}|\{@(.+?)@\}")
_SEVERAL = {"openstax or pile_ner": (PILE.name, TEXTBOOKS)}


class Corpus:
    """The documents of one source, as one text of letters and digits to search in.

    Args:
        texts: by document number.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        keys = [normalize_text(text) for text in texts]
        self._starts = []
        length = 0
        for key in keys:
            self._starts.append(length)
            length += len(key) + 1
        self._all = " ".join(keys)
        self._number: dict[str, int] = {}
        for number, key in enumerate(keys):
            self._number.setdefault(key, number)

    def find(self, key: str, row: int | None) -> tuple[int, int] | None:
        """Return document and position (in letters and digits) of a key: first in ``row``, then anywhere."""
        if row is not None and row < len(self.texts):
            at = normalize_text(self.texts[row]).find(key)
            if at >= 0:
                return row, at
        if key in self._number:
            return self._number[key], 0
        at = self._all.find(key)
        if at < 0:
            return None
        low, high = 0, len(self._starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._starts[middle] <= at else (low, middle)
        return low, at - self._starts[low]


def align(row: dict[str, Any], text: str, number: int, at: int, source: str, identity: str) -> Layer | None:
    """Return the layer of a labelled row on a document, or ``None`` if a mention's words are not the same.

    Args:
        row: ``text`` and ``entities`` with ``start``, ``end``, ``types``.
        text: of the document.
        number: of the document in its source.
        at: where the row's letters and digits begin among the document's.
        source: name of the source.
        identity: of the layer.
    """
    document = Document.of(text)
    solid = document.solid
    # Letters and digits can change in number when case is folded ("ß"), so each is traced.
    places = [place for place, character in enumerate(solid) for _ in normalize_text(character)]
    own = [place for place, character in enumerate(row["text"]) for _ in normalize_text(character)]
    if not own:
        return None
    shift = {place: at + index for index, place in reversed(list(enumerate(own)))}
    # As much punctuation around the text as the labelled text has.
    first = _back(solid, places[at], row["text"][: own[0]])
    last = _on(solid, places[at + len(own) - 1] + 1, row["text"][own[-1] + 1 :])
    mentions = []
    for entity in row["entities"]:
        marked = [place for place in range(entity["start"], entity["end"]) if place in shift]
        if marked:
            start = _back(solid, places[shift[marked[0]]], row["text"][entity["start"] : marked[0]])
            end = _on(solid, places[shift[marked[-1]]] + 1, row["text"][marked[-1] + 1 : entity["end"]])
        else:
            return None
        if normalize_text(solid[start:end]) != normalize_text(row["text"][entity["start"] : entity["end"]]):
            return None
        mentions.append(OpenMention(start, end, tuple(dict.fromkeys(entity["types"]))))
    kept = flat(tuple(mentions))
    first = min([first, *(mention.start for mention in kept)])
    last = max([last, *(mention.end for mention in kept)])
    if len(own) == len(places):
        first, last = 0, len(solid)
    return Layer(
        identity,
        source,
        number,
        (first, last),
        text_hash(solid[first:last]),
        tuple(OpenMention(m.start - first, m.end - first, m.types) for m in kept),
    )


def _back(solid: str, place: int, before: str) -> int:
    """Move ``place`` back over the characters of ``before``, as far as they are the same."""
    for character in reversed("".join(before.split())):
        if place == 0 or not _same(solid[place - 1], character):
            break
        place -= 1
    return place


def _on(solid: str, place: int, after: str) -> int:
    """Move ``place`` on over the characters of ``after``, as far as they are the same."""
    for character in "".join(after.split()):
        if place == len(solid) or not _same(solid[place], character):
            break
        place += 1
    return place


def without_placeholders(row: dict[str, Any]) -> dict[str, Any]:
    """Replace a labelled row's placeholders of tweets as the reader of the sets does; mentions move along."""
    parts: list[str] = []
    moved: list[int] = []
    length = last = 0
    for match in _PLACEHOLDER.finditer(row["text"]):
        kept, shown = row["text"][last : match.start()], normalize_token(match[0])
        parts += (kept, shown)
        moved += range(length, length + len(kept))
        length += len(kept)
        inside = match.start(1) - match.start() if match[1] else 0
        moved += (
            length + min(max(place - inside, 0), len(shown)) for place in range(match.end() - match.start())
        )
        length += len(shown)
        last = match.end()
    parts.append(row["text"][last:])
    moved += range(length, length + len(row["text"]) - last + 1)
    entities = [
        {**entity, "start": moved[entity["start"]], "end": moved[entity["end"]]} for entity in row["entities"]
    ]
    return {**row, "text": "".join(parts), "entities": entities}


_ALIKE = str.maketrans("“”„‘’`–—−", "\"\"\"'''---")


def _same(one: str, other: str) -> bool:
    return one.translate(_ALIKE) == other.translate(_ALIKE)


def main() -> None:
    """Parse the arguments, align, write the layers, say what was not found."""
    parser = argparse.ArgumentParser(
        prog="python -m dataset_builder.open_types.align", description="Make layers from labelled texts."
    )
    parser.add_argument("--annotated", type=Path, required=True, metavar="FILE", help="rows (.jsonl.gz)")
    parser.add_argument("--ner-mix", type=Path, required=True, metavar="DIR")
    parser.add_argument("--ner-mix2", type=Path, required=True, metavar="DIR")
    parser.add_argument("--pile", type=Path, required=True, metavar="FILE")
    parser.add_argument("--open-texts", type=Path, required=True, metavar="DIR", help="plain-text files")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of layer files")
    arguments = parser.parse_args()
    folders = TextFolders(arguments.ner_mix, arguments.ner_mix2, arguments.pile, arguments.open_texts)
    corpora: dict[str, Corpus] = {}
    counts: Counter[str] = Counter()
    layers, missing = [], []
    with gzip.open(arguments.annotated, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = without_placeholders(json.loads(line))
            counts[row["kind"]] += 1
            layer = _layer(row, f"{row['kind']}-{counts[row['kind']]}", corpora, folders)
            if layer is None:
                missing.append(f"{row['id']} of {row['source']}")
            else:
                layers.append(layer)
    print(dict(write_layers(arguments.output, layers)))
    print(f"{len(missing)} texts were not found in their sources:", *missing[:20])


def _layer(
    row: dict[str, Any], identity: str, corpora: dict[str, Corpus], folders: TextFolders
) -> Layer | None:
    key = normalize_text(row["text"])
    for source in _SEVERAL.get(row["source"], (row["source"],)):
        if source not in corpora:
            corpora[source] = Corpus(folders.texts(source) or [])
        found = corpora[source].find(key, row["row"]) if key else None
        if found is not None:
            layer = align(row, corpora[source].texts[found[0]], *found, source, identity)
            if layer is not None:
                return layer
    return None


if __name__ == "__main__":
    main()
