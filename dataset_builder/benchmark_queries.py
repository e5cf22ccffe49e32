"""UniNER's own test queries, for a score by UniNER's own script on UniNER's own files.

Source: Zhou et al., "UniversalNER: Targeted Distillation from Large Language Models for Open Named Entity
Recognition", ICLR 2024, arXiv:2308.03279; `src/eval/test_data` of its repository.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataset_builder.benchmarks import SOURCES, check_size, download, read_file, source_of

_URL = (
    "https://raw.githubusercontent.com/universal-ner/universal-ner/4e454fec20dae255675d64b7144d0c56b3caeb17/"
    "src/eval/test_data/{file}"
)


@dataclass(frozen=True, slots=True)
class Query:
    """One of UniNER's test queries: one type asked of one sentence.

    Attributes:
        id: UniNER's own id.
        sentence: index of the sentence that is asked about, from 0; its queries stand next to each other.
        text: the sentence.
        type: the type asked for, in the labels of `Benchmark.types`.
        question: UniNER's own wording, for example "What describes Restaurant Name in the text?".
        answers: texts of the gold mentions, in UniNER's order.
    """

    id: str
    sentence: int
    text: str
    type: str
    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuerySet:
    """UniNER's queries for one benchmark's test set; the other attributes are those of `Benchmark`."""

    name: str
    title: str
    types: tuple[str, ...]
    queries: tuple[Query, ...]
    source: str
    sha256: str


def load_uniner_queries(
    name: str, data: Path | str | None = None, *, cache_dir: Path | str | None = None
) -> QuerySet:
    """Loads the test queries that UniNER published for one benchmark: one query per (sentence, type).

    They are not quite the benchmark: CrossNER's `misc`, one Politics and one Restaurant sentence and a few
    mentions are missing, so a score on them is UniNER's and not comparable with one on `load_benchmark`.

    Args:
        name: of a benchmark whose `Source` names a file of queries.
        data: folder with `uniner/<file>.json` or `.json.gz`; None downloads from UniNER's repository.
        cache_dir: where downloads are kept; None is the cache of `datasets`.

    Raises:
        ValueError: a benchmark without queries, a malformed file, or a size other than the published one.
        FileNotFoundError: `data` lacks the file.
        ConnectionError: the download failed and the file is not in the cache.
    """
    source = source_of(name)
    if source.queries is None:
        known = ", ".join(other for other, own in SOURCES.items() if own.queries)
        raise ValueError(f"UniNER published no queries for {name!r}: use one of {known}")
    file, size = source.queries
    if data is None:
        origin = _URL.format(file=file)
        path = download(origin, cache_dir)
    else:
        path = Path(data) / "uniner" / file
        path = path if path.exists() else path.with_name(f"{file}.gz")
        origin = f"uniner/{path.name}"
    content = read_file(path)
    queries = tuple(_queries(content, path, source.types))
    found = {
        "sentences": len(queries) // len(source.types),
        "answers": sum(len(query.answers) for query in queries),
    }
    check_size(f"UniNER's {source.title}", path, found, size)
    return QuerySet(name, source.title, source.types, queries, origin, hashlib.sha256(content).hexdigest())


def _queries(content: bytes, path: Path, types: tuple[str, ...]) -> Iterator[Query]:
    """Reads UniNER's conversations and checks that each sentence is asked for every type exactly once."""
    rows = json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    for first in range(0, len(rows), len(types)):
        texts, asked = set(), []
        for row in rows[first : first + len(types)]:
            passage, _, question, answer = (turn["value"] for turn in row["conversations"])
            match = re.fullmatch(r"What describes (.+) in the text\?", question)
            if match is None or not passage.startswith("Text: "):
                raise ValueError(f"{path}: query {row['id']!r} is not in UniNER's format: {question!r}")
            text, kind = passage.removeprefix("Text: "), match[1].lower()
            texts.add(text)
            asked.append(kind)
            yield Query(row["id"], first // len(types), text, kind, question, tuple(json.loads(answer)))
        if len(texts) != 1 or sorted(asked) != sorted(types):
            raise ValueError(
                f"{path}: the {len(asked)} queries from {first} on do not ask one sentence for each type once"
            )


def queries_of(name: str, data: Path | str | None = None) -> QuerySet | None:
    """`load_uniner_queries`, or None for a benchmark whose queries UniNER did not publish."""
    return None if source_of(name).queries is None else load_uniner_queries(name, data)
