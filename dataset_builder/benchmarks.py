"""Reads the test sets that the data set is compared with: their sentences and their types."""

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dataset_builder.conversation import normalize_type

_QUESTION = re.compile(r"What describes (.*) in the text\?", re.DOTALL)
# CrossNER's catch-all is nothing that a model could be asked for.
_MISC = "misc"
# Two spellings of one name share at least this many letters ("organisation", "organization").
_SHARED_PREFIX = 5


@dataclass(frozen=True)
class Benchmark:
    """A test set: its name, its sentences as lists of words, and its types as a prompt would name them.

    ``mentions`` are (text, type) of all sentences, each time one occurs.
    """

    name: str
    sentences: list[list[str]]
    types: list[str]
    mentions: list[tuple[str, str]] = field(default_factory=list)


def read_benchmarks(directory: Path) -> list[Benchmark]:
    """Read the benchmarks of a folder.

    CrossNER lies in ``crossner/NAME/test.txt`` (word TAB tag), MIT in ``mit/NAME_test.bio`` (tag TAB word).
    UniversalNER's query files in ``uniner/``, if there are any, tell how a type's tag is spelled out.

    Raises:
        ValueError: there is none, or a line is not two columns.
    """
    crossner = sorted((directory / "crossner").glob("*/test.txt"))
    mit = sorted((directory / "mit").glob("*_test.bio"))
    if not crossner and not mit:
        raise ValueError(
            f"no benchmark in {str(directory)!r}; expected crossner/NAME/test.txt or mit/NAME_test.bio"
        )
    spelled = _spelled_names(directory / "uniner")
    found = [(f"crossner_{path.parent.name}", path, 0) for path in crossner]
    found += [(f"mit_{path.name.removesuffix('_test.bio')}", path, 1) for path in mit]
    return [_read(name, path, column, spelled.get(_key(name), [])) for name, path, column in found]


def _read(name: str, path: Path, word_column: int, spelled: list[str]) -> Benchmark:
    sentences: list[list[str]] = [[]]
    tags: set[str] = set()
    tagged: list[tuple[list[str], str]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        columns = line.rstrip("\r").split("\t")
        if columns == [""]:
            sentences.append([])
            continue
        if len(columns) != 2:
            raise ValueError(f"{path}, line {number}: expected two columns with a tab between, got {line!r}")
        word, tag = columns[word_column], columns[1 - word_column]
        sentences[-1].append(word)
        place, _, kind = tag.partition("-")
        if kind in ("", _MISC):
            continue
        tags.add(kind)
        if place == "I" and tagged:
            tagged[-1][0].append(word)
        else:
            tagged.append(([word], kind))
    names = _type_names(sorted(tags), spelled)
    mentions = [(" ".join(words), names[kind]) for words, kind in tagged]
    return Benchmark(name, [words for words in sentences if words], sorted(names.values()), mentions)


def _type_names(tags: Iterable[str], spelled: list[str]) -> dict[str, str]:
    """Return the spelled-out name of each tag where there is one, else the tag with blanks for ``_``."""
    by_key = {_key(name): name for name in spelled}
    names = {}
    left = []
    for tag in tags:
        name = by_key.pop(_key(tag), None)
        if name is None:
            left.append(tag)
        else:
            names[tag] = normalize_type(name)
    for tag in left:
        key = _key(tag)[:_SHARED_PREFIX]
        name = next((name for other, name in sorted(by_key.items()) if other.startswith(key)), tag)
        names[tag] = normalize_type(name)
    return names


def _spelled_names(directory: Path) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for path in sorted(directory.glob("*.json.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            records = json.load(file)
        asked = dict.fromkeys(question for record in records for question in _questions(record))
        names[_key(path.name.removesuffix(".json.gz"))] = list(asked)
    return names


def _questions(record: dict) -> Iterator[str]:
    for turn in record["conversations"][2::2]:
        match = _QUESTION.fullmatch(turn["value"].strip())
        if match:
            yield match[1]


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())
