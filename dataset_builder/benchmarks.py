"""The test sets: their registry and the one reader of their files.

CrossNER: Liu et al., "CrossNER: Evaluating Cross-Domain Named Entity Recognition", AAAI 2021,
arXiv:2012.04373. MIT Movie and Restaurant: Liu et al., "Asgard: A portable architecture for multilingual
dialogue systems", ICASSP 2013. Labels are spelled as in UniNER's queries (`benchmark_queries`).

Files come from a folder given by the caller, or from the projects' own repositories and then a cache. A data
set is identified by its size: a file with another number of sentences or mentions is refused, wherever it
came from. The checksum of the bytes read is kept for the results files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, KeysView, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MISC = "misc"
"""CrossNER's catch-all type: nothing that a model could be asked for, so `Benchmark.types` leaves it out."""

# Tags whose label in UniNER's queries is not simply the tag in lower case with spaces.
_LABELS = {
    "academicjournal": "academic journal",
    "astronomicalobject": "astronomical object",
    "chemicalcompound": "chemical compound",
    "chemicalelement": "chemical element",
    "literarygenre": "literary genre",
    "musicalartist": "musical artist",
    "musicalinstrument": "musical instrument",
    "musicgenre": "music genre",
    "organisation": "organization",
    "politicalparty": "political party",
    "programlang": "program language",
}


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of one data set.

    Attributes:
        title: name for tables; its last word is the short name.
        tags: the tags of its files, separated by spaces, in alphabetical order but `misc` last.
        sizes: per split the numbers of sentences and mentions.
        file: path below the data folder, `{split}` for the split. Two columns with a tab between, IOB2 tags,
            a blank line after each sentence.
        url: where the file is downloaded from, `{split}` for the split.
        tag_first: whether the first column is the tag (MIT) or the word (CrossNER).
        names: tag -> label, where the label is not the tag in lower case with spaces.
        queries: file of UniNER's test queries, and the numbers of sentences and answers in it; None: UniNER
            published none.
    """

    title: str
    tags: str
    sizes: Mapping[str, tuple[int, int]]
    file: str
    url: str
    tag_first: bool = False
    names: Mapping[str, str] = field(default_factory=lambda: _LABELS)
    queries: tuple[str, tuple[int, int]] | None = None

    @property
    def labels(self) -> dict[str, str]:
        """Tag -> natural-language label."""
        return {tag: self.names.get(tag, tag.replace("_", " ").lower()) for tag in self.tags.split()}

    @property
    def types(self) -> tuple[str, ...]:
        """The labels that a model is asked for, without `misc`."""
        return tuple(label for label in self.labels.values() if label != MISC)


def _crossner(
    domain: str, title: str, tags: str, sizes: tuple[tuple[int, int], ...], queries: tuple[int, int]
) -> Source:
    return Source(
        f"CrossNER {title}",
        f"{tags} misc",
        dict(zip(("train", "dev", "test"), sizes, strict=True)),
        f"crossner/{domain}/{{split}}.txt",
        "https://raw.githubusercontent.com/zliucr/CrossNER/5b393ecd2329b1ebad4f379dff65c80b4771896c/"
        f"ner_data/{domain}/{{split}}.txt",
        queries=(f"CrossNER_{title if domain == 'ai' else domain}.json", queries),
    )


def _mit(name: str, tags: str, size: tuple[int, int], queries: tuple[int, int] | None = None) -> Source:
    stem = "eng" if name == "movie" else name
    return Source(
        f"MIT {name.capitalize()}",
        tags,
        {"test": size},
        f"mit/{name}_{{split}}.bio",
        f"https://groups.csail.mit.edu/sls/downloads/{name}/{stem}{{split}}.bio",
        tag_first=True,
        queries=None if queries is None else (f"mit-{name}.json", queries),
    )


# Sentence counts are those of the CrossNER paper (Table 1) and of the MIT corpora. Mentions were counted on
# the files, in which every reading of the tags agrees: no I- tag follows O or another type.
SOURCES: dict[str, Source] = {
    "crossner_ai": _crossner(
        "ai",
        "AI",
        "algorithm conference country field location metrics organisation person product programlang "
        "researcher task university",
        ((100, 532), (350, 1549), (431, 1809)),
        (431, 1624),
    ),
    "crossner_literature": _crossner(
        "literature",
        "Literature",
        "award book country event literarygenre location magazine organisation person poem writer",
        ((100, 541), (400, 2130), (416, 2266)),
        (416, 2025),
    ),
    "crossner_music": _crossner(
        "music",
        "Music",
        "album award band country event location musicgenre musicalartist musicalinstrument organisation "
        "person song",
        ((100, 648), (380, 2679), (465, 3336)),
        (465, 3163),
    ),
    "crossner_politics": _crossner(
        "politics",
        "Politics",
        "country election event location organisation person politicalparty politician",
        ((200, 1304), (541, 3482), (651, 4209)),
        (650, 3943),
    ),
    "crossner_science": _crossner(
        "science",
        "Science",
        "academicjournal astronomicalobject award chemicalcompound chemicalelement country discipline enzyme "
        "event location organisation person protein scientist theory university",
        ((200, 1075), (450, 2538), (543, 3089)),
        (543, 2568),
    ),
    "mit_movie": _mit(
        "movie",
        "ACTOR CHARACTER DIRECTOR GENRE PLOT RATING RATINGS_AVERAGE REVIEW SONG TITLE TRAILER YEAR",
        (2443, 5339),
    ),
    "mit_restaurant": _mit(
        "restaurant",
        "Amenity Cuisine Dish Hours Location Price Rating Restaurant_Name",
        (1521, 3151),
        (1520, 3150),
    ),
}
"""The registry, in the order of the published tables. A further entry is read, scored and shown as these."""

BENCHMARKS: KeysView[str] = SOURCES.keys()
"""Names of the benchmarks, a live view of the registry."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One gold mention: `text` is `sentence.text[start:end]`, character offsets, end exclusive."""

    type: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: `text` is its words joined by single spaces; `entities` stand from left to right."""

    id: str
    text: str
    entities: tuple[Entity, ...] = ()


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One split of one data set, in natural-language labels.

    Attributes:
        name: key of the registry.
        title: name for tables.
        types: every type of the data set that a model is asked for, in alphabetical order, without `misc`.
        sentences: in file order. Their entities include `misc` ones: score with `types` or with `all_types`.
        split: "train", "dev" or "test".
        source: URL that was read, or path below the data folder.
        sha256: checksum of the bytes read, in hexadecimal.
        all_types: `types`, and `misc` after them where the data set has it; empty: as `types`.
    """

    name: str
    title: str
    types: tuple[str, ...]
    sentences: tuple[Sentence, ...]
    split: str = "test"
    source: str = ""
    sha256: str = ""
    all_types: tuple[str, ...] = ()

    @property
    def mentions(self) -> list[tuple[str, str]]:
        """(text, type) of all mentions but `misc`, each time one occurs."""
        return [(e.text, e.type) for s in self.sentences for e in s.entities if e.type != MISC]


def load_benchmark(
    name: str, split: str = "test", data: Path | str | None = None, *, cache_dir: Path | str | None = None
) -> Benchmark:
    """Reads one split of one benchmark and checks its size.

    Args:
        name: key of the registry.
        split: "train", "dev" or "test" for CrossNER; the MIT sets have "test" only.
        data: folder with `crossner/<domain>/<split>.txt` (word TAB tag) and `mit/<set>_test.bio` (tag TAB
            word). None downloads from the projects' own repositories.
        cache_dir: where downloads are kept; None is the cache of `datasets`.

    Raises:
        ValueError: unknown name or split, a malformed line, or a size other than the published one.
        FileNotFoundError: `data` lacks the file.
        ConnectionError: the download failed and the file is not in the cache.
    """
    source = source_of(name)
    if split not in source.sizes:
        raise ValueError(f"{name} has no split {split!r}: use one of {', '.join(source.sizes)}")
    relative, url = source.file.format(split=split), source.url.format(split=split)
    path = download(url, cache_dir) if data is None else Path(data) / relative
    content = read_file(path)
    labels = source.labels
    sentences = tuple(
        _sentence(f"{name}/{split}/{index}", tokens, labels)
        for index, tokens in enumerate(_blocks(content, path, tag_first=source.tag_first))
    )
    found = {"sentences": len(sentences), "mentions": sum(len(sentence.entities) for sentence in sentences)}
    check_size(f"{source.title} {split}", path, found, source.sizes[split])
    return Benchmark(
        name,
        source.title,
        source.types,
        sentences,
        split,
        url if data is None else relative,
        hashlib.sha256(content).hexdigest(),
        tuple(labels.values()),
    )


def load_benchmarks(
    split: str = "test", data: Path | str | None = None, *, cache_dir: Path | str | None = None
) -> tuple[Benchmark, ...]:
    """`load_benchmark` for all that have `split`: seven for "test", CrossNER's five for "train" and "dev"."""
    names = [name for name, source in SOURCES.items() if split in source.sizes]
    if not names:
        raise ValueError(f"no benchmark has a split {split!r}: use train, dev or test")
    return tuple(load_benchmark(name, split, data, cache_dir=cache_dir) for name in names)


def read_benchmarks(data: Path) -> list[Benchmark]:
    """Reads the test sets whose files a folder holds.

    Raises:
        ValueError: it holds none, or one is malformed.
    """
    files = {name: source.file.format(split="test") for name, source in SOURCES.items()}
    found = [name for name, file in files.items() if (data / file).is_file()]
    if not found:
        raise ValueError(f"no benchmark in {str(data)!r}; expected {' or '.join(files.values())}")
    return [load_benchmark(name, "test", data) for name in found]


def source_of(name: str) -> Source:
    """What is known of a benchmark; ValueError if there is none of that name."""
    if name not in SOURCES:
        raise ValueError(f"unknown benchmark {name!r}: use one of {', '.join(BENCHMARKS)}")
    return SOURCES[name]


def download(url: str, cache_dir: Path | str | None) -> Path:
    """Path of the cached copy of `url`, fetched if it is not there yet; a cached copy needs no network."""
    from datasets import DownloadConfig, DownloadManager
    from huggingface_hub.errors import OfflineModeIsEnabled

    # Without the ETag in its name a cached file is found again offline; no file is expected to change.
    config = DownloadConfig(use_etag=False, cache_dir=cache_dir)
    try:
        return Path(DownloadManager(download_config=config, record_checksums=False).download(url))
    except (OfflineModeIsEnabled, OSError) as error:
        raise ConnectionError(
            f"cannot download {url} ({type(error).__name__}): connect to the network, or give the folder "
            "that holds the data (--data)"
        ) from error


def read_file(path: Path) -> bytes:
    """Content of `path`; FileNotFoundError names what to do."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: check the data folder, or give none to download it")
    return path.read_bytes()


def check_size(title: str, path: Path, found: dict[str, int], expected: tuple[int, ...]) -> None:
    """Raises ValueError unless the counts `found` (unit -> number) are `expected`, in that order."""
    if tuple(found.values()) != expected:
        counts = [
            f"{n:,} {unit} instead of {m:,}" for (unit, n), m in zip(found.items(), expected, strict=True)
        ]
        raise ValueError(
            f"{title}: {path} holds {' and '.join(counts)}: put the published file there, or delete it if "
            "it is a spoilt download"
        )


def _blocks(content: bytes, path: Path, *, tag_first: bool) -> Iterator[list[tuple[str, str]]]:
    """Sentences of a two-column file as lists of (word, IOB2 tag); I- may only continue its own type."""
    tokens: list[tuple[str, str]] = []
    for number, line in enumerate(content.decode("utf-8").split("\n"), start=1):
        columns = line.rstrip("\r").split("\t")
        if columns == [""]:
            if tokens:
                yield tokens
                tokens = []
            continue
        if len(columns) != 2 or not all(columns):
            raise ValueError(
                f"{path}, line {number}: expected two columns with a tab between, found {line!r}"
            )
        word, tag = reversed(columns) if tag_first else columns
        previous = tokens[-1][1] if tokens else "O"
        if not (tag == "O" or tag.startswith("B-") or (tag.startswith("I-") and previous[2:] == tag[2:])):
            raise ValueError(f"{path}, line {number}: tag {tag!r} cannot follow {previous!r} (IOB2)")
        tokens.append((word, tag))
    if tokens:
        yield tokens


def _sentence(identifier: str, tokens: list[tuple[str, str]], labels: dict[str, str]) -> Sentence:
    """Joins the words by spaces and turns tags into mentions with character offsets."""
    text = " ".join(word for word, _ in tokens)
    spans: list[tuple[str, int, int]] = []
    start = 0
    for word, tag in tokens:
        end = start + len(word)
        if tag.startswith("B-"):
            if tag[2:] not in labels:
                raise ValueError(f"{identifier}: unknown tag {tag!r}, expected one of {', '.join(labels)}")
            spans.append((labels[tag[2:]], start, end))
        elif tag.startswith("I-"):
            label, first, _ = spans[-1]
            spans[-1] = label, first, end
        start = end + 1
    return Sentence(identifier, text, tuple(Entity(label, text[a:b], a, b) for label, a, b in spans))
