"""The two passes over the source that every configuration is written from.

The first reads, locates and counts, and draws the split; the second cuts the passages into rows. Both write
a line a passage, so memory does not grow with the passages' text.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import tee
from pathlib import Path
from typing import IO, Any

from dataset_builder.conversation import is_noisy
from dataset_builder.locate import LEVELS
from dataset_builder.negatives import NegativeSampler
from dataset_builder.passages import Passage, ReadPassage, read_batch
from dataset_builder.report import Issue, Report
from dataset_builder.rows import RowCutter
from dataset_builder.settings import SPLITS, BuildSettings
from dataset_builder.source import SourceError, SourceFile
from dataset_builder.split import assign_splits, near_duplicate_groups
from dataset_builder.tokens import TokenCounter
from dataset_builder.workers import batched, ordered_map

ISSUES_FILE = "issues.jsonl"
_READ_FILE = "read.jsonl"
_PASSAGES_FILE = "{split}.passages.jsonl"
_QUERIES_FILE = "{split}.queries.jsonl"
_BATCH = 128

# Called with the pass ("reading" or "cutting") and how much of it is done, from 0 to 1.
Progress = Callable[[str, float], None]

_cutter: RowCutter  # of a worker process


@dataclass
class _Tally:
    """What the first pass counts; ``passages`` and ``occurrences`` go by type, ``names`` are all types."""

    records: int = 0
    passages: Counter[str] = field(default_factory=Counter)
    occurrences: Counter[str] = field(default_factory=Counter)
    levels: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    overlapping: int = 0
    without_mentions: int = 0
    names: set[str] = field(default_factory=set)
    bands: list[bytes] = field(default_factory=list)
    split_keys: list[bytes] = field(default_factory=list)

    def add(self, read: ReadPassage) -> None:
        self.passages.update(read.types.keys())
        self.occurrences.update(read.types)
        self.levels.update(read.levels)
        self.missing += read.missing
        self.overlapping += read.overlapping
        self.without_mentions += not read.types
        self.names.update(read.names)
        self.bands.append(read.bands)
        self.split_keys.append(read.split_key)


def stage(
    source: SourceFile,
    counter: TokenCounter,
    settings: BuildSettings,
    directory: Path,
    num_proc: int = 1,
    progress: Progress = lambda name, share: None,
) -> Report:
    """Write the passages and their queries to ``directory`` and return the report so far.

    Args:
        source: the records.
        counter: of the tokenizer that the limits are meant for.
        settings: of the build.
        directory: an existing folder; gets :data:`ISSUES_FILE` and what :func:`staged_passages`
            and :func:`staged_queries` read.
        num_proc: processes; the result does not depend on it.
        progress: called now and then.

    Raises:
        SourceError: the source cannot be read, or holds not one usable record.
    """
    with ExitStack() as files:

        def opened(name: str, mode: str) -> IO[str]:
            return files.enter_context((directory / name).open(mode, encoding="utf-8", newline="\n"))

        report = Report(log=opened(ISSUES_FILE, "w"))
        with (directory / _READ_FILE).open("w", encoding="utf-8", newline="\n") as lines:
            tally = _read_pass(source, settings, lines, report, num_proc, progress)
        groups = near_duplicate_groups(tally.bands)
        splits = assign_splits(groups, tally.split_keys, settings.validation_share)
        names = sorted(tally.names)
        # With the blank that stands in front of a name in a list.
        type_costs = dict(zip(names, counter.counts([f" {name}" for name in names]), strict=True))
        sampler = NegativeSampler(tally.passages, type_costs, settings.seed)
        cutter = RowCutter(settings, counter, sampler, type_costs)
        outs = {
            split: tuple(opened(name.format(split=split), "w") for name in (_PASSAGES_FILE, _QUERIES_FILE))
            for split in SPLITS
        }
        windows = _cut_pass(opened(_READ_FILE, "r"), splits, outs, cutter, report, num_proc, progress)
    (directory / _READ_FILE).unlink()
    report.log = None
    report.figures = {
        "source": {"name": source.path.name, "bytes": source.size, "sha256": source.sha256},
        "settings": asdict(settings) | {"tokenizer_sha256": counter.fingerprint()},
        "passages": _passage_figures(tally, groups, splits),
        "mentions": _mention_figures(tally),
        "types": _type_figures(tally),
        "windows": windows,
    }
    return report


def staged_passages(directory: Path, split: str) -> Iterator[dict[str, Any]]:
    """Yield the passages of a split as :meth:`Passage.as_line` wrote them, in the order of the source."""
    return _read_lines(directory / _PASSAGES_FILE.format(split=split))


def staged_queries(directory: Path, split: str) -> Iterator[dict[str, Any]]:
    """Yield ``id`` and ``text`` of the passages of a split with their ``queries`` (:meth:`Query.as_json`)."""
    return _read_lines(directory / _QUERIES_FILE.format(split=split))


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="\n") as lines:
        yield from map(json.loads, lines)


def _read_pass(
    source: SourceFile,
    settings: BuildSettings,
    out: IO[str],
    report: Report,
    num_proc: int,
    progress: Progress,
) -> _Tally:
    tally = _Tally()
    contents: dict[str, set[bytes]] = {}
    texts: set[bytes] = set()

    def counted() -> Iterator[Any]:
        for value in source.records():
            tally.records += 1
            yield value

    reading = partial(read_batch, seed=settings.seed)
    for batch in ordered_map(reading, batched(counted(), _BATCH), num_proc):
        for issue in batch.issues:
            report.add(issue)
        for read in batch.passages:
            line = _distinct(read, contents, texts, report)
            if line is not None:
                tally.add(read)
                out.write(line + "\n")
        progress("reading", source.bytes_read / max(1, source.size))
    if not tally.split_keys:
        raise SourceError(
            f"source {source.path.name!r} holds {tally.records} records and not one usable passage; "
            "expected the schema of Universal-NER/Pile-NER-type (id, conversations)"
        )
    return tally


def _distinct(
    read: ReadPassage, contents: dict[str, set[bytes]], texts: set[bytes], report: Report
) -> str | None:
    """Return the passage's line under an id of its own, or ``None`` if the same record came before."""
    known = contents.setdefault(read.id, set())
    if read.content in known:
        report.add(Issue("duplicate_record", read.id, "same passage and answers"))
        return None
    known.add(read.content)
    line, own = read.line, read.id
    if len(known) > 1:
        own = f"{read.id}-{read.content.hex()[:12]}"
        report.add(Issue("duplicate_id", read.id, f"kept as {own}"))
        line = replace(Passage.from_line(line), id=own).as_line()
        contents.setdefault(own, set()).add(read.content)
    if read.split_key in texts:
        report.add(Issue("duplicate_passage", own, "same text as an earlier one"))
    texts.add(read.split_key)
    return line


def _install(cutter: RowCutter) -> None:
    global _cutter
    _cutter = cutter


def _cut_batch(lines: list[str]) -> tuple[list[str], list[Issue], Counter[str]]:
    """Return a line of queries for each line of a passage, the issues met and what was counted."""
    passages = [Passage.from_line(line) for line in lines]
    out: list[str] = []
    issues: list[Issue] = []
    counts: Counter[str] = Counter()
    for passage, (queries, lost) in zip(passages, _cutter.cut(passages), strict=True):
        issues.extend(Issue("mention_too_long", passage.id, f"{m.type}: {m.text}") for m in sorted(lost))
        counts["passages_cut"] += len(queries) > 1
        counts["windows"] += len(queries)
        counts["windows_without_mentions"] += sum(not query.mentions for query in queries)
        counts["occurrences"] += sum(len(query.mentions) for query in queries)
        counts["short_of_negatives"] += sum(len(query.negatives) < query.negatives_drawn for query in queries)
        value = {"id": passage.id, "text": passage.text, "queries": [query.as_json() for query in queries]}
        out.append(json.dumps(value, ensure_ascii=False) + "\n")
    return out, issues, counts


def _cut_pass(
    lines: IO[str],
    splits: list[str],
    outs: dict[str, tuple[IO[str], ...]],
    cutter: RowCutter,
    report: Report,
    num_proc: int,
    progress: Progress,
) -> dict[str, int]:
    counts: Counter[str] = Counter()
    done = 0
    here, there = tee(lines)
    cut = ordered_map(_cut_batch, batched(there, _BATCH), num_proc, _install, (cutter,))
    pairs = zip(here, splits, strict=True)
    for asked, issues, counted in cut:
        for queries, (passage, split) in zip(asked, pairs, strict=False):  # the pairs go on
            outs[split][0].write(passage)
            outs[split][1].write(queries)
        for issue in issues:
            report.add(issue)
        counts.update(counted)
        done += len(asked)
        progress("cutting", done / len(splits))
    names = ("passages_cut", "windows", "windows_without_mentions", "occurrences", "short_of_negatives")
    return {name: counts[name] for name in names}


def _passage_figures(tally: _Tally, groups: list[int], splits: list[str]) -> dict[str, int]:
    sizes = Counter(groups).values()
    return {
        "records": tally.records,
        "passages": len(splits),
        "without_mentions": tally.without_mentions,
        "in_near_duplicate_groups": sum(size for size in sizes if size > 1),
        "largest_near_duplicate_group": max(sizes),
        **{split: splits.count(split) for split in SPLITS},
    }


def _mention_figures(tally: _Tally) -> dict[str, int | float]:
    located = sum(tally.levels.values())
    listed = located + tally.missing
    return {
        "listed": listed,
        "located": located,
        "located_share": round(located / max(1, listed), 6),
        **{f"located_{level}": tally.levels[level] for level in LEVELS},
        "occurrences": sum(tally.occurrences.values()),
        "overlapping_occurrences": tally.overlapping,
    }


def _type_figures(tally: _Tally) -> dict[str, Any]:
    occurrences = tally.occurrences
    noisy = {name: occurrences[name] for name in sorted(occurrences) if is_noisy(name)}
    frequent = sorted(occurrences.items(), key=lambda item: (-item[1], item[0]))
    return {
        "distinct": len(occurrences),
        "noisy": len(noisy),
        "noisy_occurrences": sum(noisy.values()),
        "noisy_types": noisy,
        "most_frequent": dict(frequent[:30]),
    }
