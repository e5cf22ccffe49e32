"""The seven zero-shot benchmarks: CrossNER's five domains, MIT Movie and MIT Restaurant.

CrossNER: Liu et al., "CrossNER: Evaluating Cross-Domain Named Entity Recognition", AAAI 2021,
arXiv:2012.04373. MIT Movie and Restaurant: Liu et al., "Asgard: A portable architecture for multilingual
dialogue systems", ICASSP 2013. Labels are spelled as in UniNER's queries (`model_card.uniner_queries`).

Files come from a folder given by the caller, or from the projects' own repositories and then a cache. What
identifies a data set here is its size: a file with another number of sentences or mentions is refused,
wherever it came from, and the checksum of the bytes read is kept for the results files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MISC = "misc"
"""CrossNER's catch-all type: nothing that a model could be asked for, so `Benchmark.types` leaves it out."""

_CROSSNER_URL = (
    "https://raw.githubusercontent.com/zliucr/CrossNER/5b393ecd2329b1ebad4f379dff65c80b4771896c/"
    "ner_data/{domain}/{split}.txt"
)
_MIT_URLS = {
    "movie": "https://groups.csail.mit.edu/sls/downloads/movie/engtest.bio",
    "restaurant": "https://groups.csail.mit.edu/sls/downloads/restaurant/restauranttest.bio",
}

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
        title: name for tables.
        tags: the tags of its files, separated by spaces, in alphabetical order but `misc` last.
        sizes: per split the numbers of sentences and mentions.
    """

    title: str
    tags: str
    sizes: dict[str, tuple[int, int]]

    @property
    def labels(self) -> dict[str, str]:
        """Tag -> natural-language label."""
        return {tag: label_of(tag) for tag in self.tags.split()}

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(label for label in self.labels.values() if label != MISC)


# Sentence counts are those of the CrossNER paper (Table 1) and of the MIT corpora. Mentions were counted on
# the files, in which every reading of the tags agrees: no I- tag follows O or another type.
_SOURCES = {
    "crossner_ai": Source(
        "CrossNER AI",
        "algorithm conference country field location metrics organisation person product programlang "
        "researcher task university misc",
        {"train": (100, 532), "dev": (350, 1549), "test": (431, 1809)},
    ),
    "crossner_literature": Source(
        "CrossNER Literature",
        "award book country event literarygenre location magazine organisation person poem writer misc",
        {"train": (100, 541), "dev": (400, 2130), "test": (416, 2266)},
    ),
    "crossner_music": Source(
        "CrossNER Music",
        "album award band country event location musicgenre musicalartist musicalinstrument organisation "
        "person song misc",
        {"train": (100, 648), "dev": (380, 2679), "test": (465, 3336)},
    ),
    "crossner_politics": Source(
        "CrossNER Politics",
        "country election event location organisation person politicalparty politician misc",
        {"train": (200, 1304), "dev": (541, 3482), "test": (651, 4209)},
    ),
    "crossner_science": Source(
        "CrossNER Science",
        "academicjournal astronomicalobject award chemicalcompound chemicalelement country discipline enzyme "
        "event location organisation person protein scientist theory university misc",
        {"train": (200, 1075), "dev": (450, 2538), "test": (543, 3089)},
    ),
    "mit_movie": Source(
        "MIT Movie",
        "ACTOR CHARACTER DIRECTOR GENRE PLOT RATING RATINGS_AVERAGE REVIEW SONG TITLE TRAILER YEAR",
        {"test": (2443, 5339)},
    ),
    "mit_restaurant": Source(
        "MIT Restaurant",
        "Amenity Cuisine Dish Hours Location Price Rating Restaurant_Name",
        {"test": (1521, 3151)},
    ),
}

BENCHMARKS = tuple(_SOURCES)
"""Names of the seven benchmarks, in the order of the published tables."""


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
    entities: tuple[Entity, ...]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One split of one data set, in natural-language labels.

    Attributes:
        name: one of `BENCHMARKS`.
        title: name for tables.
        types: every type of the data set that a model is asked for, in alphabetical order, without `misc`.
        sentences: in file order. Their entities include `misc` ones: score with `types` or with `all_types`.
        split: "train", "dev" or "test".
        source: URL that was read, or path below the data folder.
        sha256: checksum of the bytes read, in hexadecimal.
    """

    name: str
    title: str
    types: tuple[str, ...]
    sentences: tuple[Sentence, ...]
    split: str
    source: str
    sha256: str

    @property
    def all_types(self) -> tuple[str, ...]:
        """`types`, and `misc` after them where the data set has it (CrossNER)."""
        return tuple(_SOURCES[self.name].labels.values())


def label_of(tag: str) -> str:
    """Natural-language label of a data set's tag: "programlang" -> "program language", "YEAR" -> "year"."""
    return _LABELS.get(tag, tag.replace("_", " ").lower())


def load_benchmark(
    name: str, split: str = "test", data: Path | str | None = None, *, cache_dir: Path | str | None = None
) -> Benchmark:
    """Loads one split of one benchmark and checks its size.

    Args:
        name: one of `BENCHMARKS`.
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
    family, _, part = name.partition("_")
    if family == "crossner":
        relative, url = Path("crossner", part, f"{split}.txt"), _CROSSNER_URL.format(domain=part, split=split)
    else:
        relative, url = Path("mit", f"{part}_{split}.bio"), _MIT_URLS[part]
    path = download(url, cache_dir) if data is None else Path(data) / relative
    content = read_file(path)
    labels = source.labels
    sentences = tuple(
        _sentence(f"{name}/{split}/{index}", tokens, labels)
        for index, tokens in enumerate(_blocks(content, path, tag_first=family == "mit"))
    )
    found = {"sentences": len(sentences), "mentions": sum(len(sentence.entities) for sentence in sentences)}
    check_size(f"{source.title} {split}", path, found, source.sizes[split])
    origin = url if data is None else relative.as_posix()
    checksum = hashlib.sha256(content).hexdigest()
    return Benchmark(name, source.title, source.types, sentences, split, origin, checksum)


def load_benchmarks(
    split: str = "test", data: Path | str | None = None, *, cache_dir: Path | str | None = None
) -> tuple[Benchmark, ...]:
    """`load_benchmark` for all that have `split`: seven for "test", CrossNER's five for "train" and "dev"."""
    names = [name for name, source in _SOURCES.items() if split in source.sizes]
    if not names:
        raise ValueError(f"no benchmark has a split {split!r}: use train, dev or test")
    return tuple(load_benchmark(name, split, data, cache_dir=cache_dir) for name in names)


def source_of(name: str) -> Source:
    """What is known of a benchmark; ValueError if there is none of that name."""
    if name not in _SOURCES:
        raise ValueError(f"unknown benchmark {name!r}: use one of {', '.join(BENCHMARKS)}")
    return _SOURCES[name]


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
