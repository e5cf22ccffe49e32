"""The build: read, clean, de-duplicate, cap, split and write the training mix."""

import gzip
import json
import os
import re
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dataset_builder.mix.detokenize import render
from dataset_builder.mix.filters import (
    Tally,
    clean_mentions,
    clean_tokens,
    drop_unusual_labels,
    stable_hash,
    useless_row_reason,
)
from dataset_builder.mix.labels import LabelTable, load_tables
from dataset_builder.mix.negatives import NegativeSampler, related_types
from dataset_builder.mix.pile import cut_windows, read_passages
from dataset_builder.mix.sources import PILE, SOURCES, Sentence, Source, read_source

EMPTY_SHARE = 0.15
LISTED_NEGATIVES = 15


@dataclass(frozen=True)
class MixSettings:
    """What a build depends on.

    Attributes:
        ner_mix: folder of the annotated sets and ``label_map.json``.
        pile: the Pile-NER file (gzip, JSON).
        output: folder to write; replaced as a whole when the build has succeeded.
        seed: every choice derives from it and from row ids.
        validation: share of the texts held back for validation, in [0, 1).
        hold_out: sources written to files of their own and kept out of training.
        exclude: plain-text files; rows whose text equals one of their lines are dropped.
        sources: the annotated sets to use.
    """

    ner_mix: Path
    pile: Path
    output: Path
    seed: int = 0
    validation: float = 0.01
    hold_out: tuple[str, ...] = ()
    exclude: tuple[Path, ...] = ()
    sources: tuple[Source, ...] = SOURCES

    def __post_init__(self) -> None:
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation is {self.validation}, must lie in [0, 1)")
        known = [source.name for source in (PILE, *self.sources)]
        unknown = sorted(set(self.hold_out) - set(known))
        if unknown:
            raise ValueError(f"unknown sources to hold out: {unknown}; known are {known}")


@dataclass
class _Prepared:
    """The rows of one source after filtering, with what the report and ``sources.json`` say about it."""

    source: Source
    table: LabelTable
    tally: Tally
    rows_in: int = 0
    mentions_in: int = 0
    rows: list[Sentence] = field(default_factory=list)
    related: dict[str, list[str]] = field(default_factory=dict)


def normalize_text(text: str) -> str:
    """The form in which texts are compared: lower case, only letters and digits."""
    return re.sub(r"[\W_]+", "", text.casefold())


def cap_rows(rows: Sequence[Sentence], cap: int, seed: int) -> list[Sentence]:
    """Keep ``cap`` rows in their order, in turn from every combination of types, so that rare ones stay."""
    groups: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for index, row in enumerate(rows):
        combination = tuple(sorted({span.type for span in row.spans}))
        groups[combination].append((stable_hash(f"{seed}:{row.id}"), index))
    order = [
        (turn, key, index) for group in groups.values() for turn, (key, index) in enumerate(sorted(group))
    ]
    return [rows[index] for index in sorted(index for _, _, index in sorted(order)[:cap])]


def build_mix(settings: MixSettings) -> dict[str, Any]:
    """Build the mix and write ``train.jsonl.gz``, ``validation.jsonl.gz``, ``heldout_<source>.jsonl.gz``,
    ``sources.json`` and ``report.json`` into ``settings.output``. Same inputs and seed give the same bytes.

    Returns:
        the report.

    Raises:
        FileNotFoundError: an input is missing.
        ValueError: an input is not in its format.
    """
    excluded = {
        normalize_text(line) for path in settings.exclude for line in path.read_text("utf-8").splitlines()
    }
    excluded.discard("")
    tables = load_tables(settings.ner_mix / "label_map.json", (PILE, *settings.sources))
    prepared = [_prepare_source(settings, source, tables[source.name]) for source in settings.sources]
    prepared.insert(0, _prepare_pile(settings, tables[PILE.name]))
    _deduplicate(prepared, excluded)
    for part in prepared:
        cap = part.source.cap
        if cap is not None and len(part.rows) > cap:
            part.tally.counts["row: over the cap of the source"] += len(part.rows) - cap
            part.rows = cap_rows(part.rows, cap, settings.seed)
        part.rows = _add_negatives(part, settings.seed)
    _limit_empty(prepared, settings.seed)
    return _write(settings, prepared)


def _prepare_source(settings: MixSettings, source: Source, table: LabelTable) -> _Prepared:
    tally = Tally()
    part = _Prepared(source, table, tally)
    raw = list(read_source(settings.ner_mix, source))
    part.rows_in, part.mentions_in = len(raw), sum(len(row.spans) for row in raw)
    if source.distant:
        raw = drop_unusual_labels(raw, tally)
    for renamed in table.apply(map(clean_tokens, raw), tally):
        row = clean_mentions(renamed, source, tally)
        if row is None:
            continue
        reason = useless_row_reason(row, source)
        if reason is None:
            part.rows.append(row)
        else:
            tally.add(reason, " ".join(row.tokens))
    if source.related:
        part.related = related_types(part.rows)
    return part


def _prepare_pile(settings: MixSettings, table: LabelTable) -> _Prepared:
    tally = Tally()
    part = _Prepared(PILE, table, tally)
    for passage in read_passages(settings.pile, tally):
        part.rows_in += 1
        part.mentions_in += len(passage.sentence.spans)
        for row in cut_windows(passage, settings.seed):
            reason = useless_row_reason(row, PILE)
            if reason is None:
                part.rows.append(row)
            else:
                tally.add(reason, " ".join(row.tokens))
    part.related = related_types(part.rows, contrast=False)
    return part


def _deduplicate(prepared: Iterable[_Prepared], excluded: set[str]) -> None:
    seen: set[str] = set()
    for part in prepared:
        kept = []
        for row in part.rows:
            text = normalize_text("".join(row.tokens))
            if text in excluded:
                part.tally.add("row: text is excluded", " ".join(row.tokens))
            elif text in seen:
                part.tally.add("row: text occurs before", " ".join(row.tokens))
            else:
                seen.add(text)
                kept.append(replace(row, group=row.group or text))
        part.rows = kept


def _add_negatives(part: _Prepared, seed: int) -> list[Sentence]:
    """Fill up the listed negatives of sources without a closed inventory of their own."""
    if not part.source.related or (part.source.exhaustive and part.source != PILE):
        return part.rows
    sampler = NegativeSampler(part.rows)
    rows = []
    for row in part.rows:
        present = {name for span in row.spans for name in (span.type, *span.also)} | set(row.types)
        drawn = sampler.sample(row, present, max(0, LISTED_NEGATIVES - len(row.types)), f"{seed}:{row.id}")
        rows.append(replace(row, types=tuple(sorted({*row.types, *drawn}))))
    return rows


def _limit_empty(prepared: Sequence[_Prepared], seed: int) -> None:
    """Thin out rows without a mention, by the same share in every source, to ``EMPTY_SHARE`` of all rows."""
    empty = sum(not row.spans for part in prepared for row in part.rows)
    full = sum(len(part.rows) for part in prepared) - empty
    allowed = full * EMPTY_SHARE / (1 - EMPTY_SHARE)
    if empty <= allowed:
        return
    threshold = allowed / empty * 2**64
    for part in prepared:
        kept = [row for row in part.rows if row.spans or stable_hash(f"{seed}:empty:{row.id}") < threshold]
        if len(kept) < len(part.rows):
            part.tally.counts["row: empty, over the share of empty rows"] += len(part.rows) - len(kept)
        part.rows = kept


def render_row(row: Sentence, source: Source, seed: int) -> dict[str, Any]:
    """One row as it is written; every second one (by id) is spaced as people write, the others as tokens."""
    natural = stable_hash(f"{seed}:style:{row.id}") % 2 == 0
    text, offsets = render(row.tokens, natural, source.split_words)
    entities = []
    for span in row.spans:
        start, end = offsets[span.start][0], offsets[span.end - 1][1]
        while end - start > 1 and text[end - 1] in ",;:":
            end -= 1
        entity: dict[str, Any] = {"type": span.type, "text": text[start:end], "start": start, "end": end}
        if span.also:
            entity["also"] = list(span.also)
        entities.append(entity)
    closed = source.exhaustive and source != PILE
    result: dict[str, Any] = {"id": row.id, "source": source.name, "text": text, "entities": entities}
    result["negatives"] = "closed" if closed else "listed"
    if not closed:
        result["types"] = list(row.types)
    result["exhaustive"] = source.exhaustive
    return result


def _write(settings: MixSettings, prepared: Sequence[_Prepared]) -> dict[str, Any]:
    settings.output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{settings.output.name}-", dir=settings.output.parent))
    try:
        report = _write_into(folder, settings, prepared)
        # mkdtemp makes folders private; what is published has the usual permissions.
        folder.chmod(0o755)
        if settings.output.exists():
            old = folder.with_name(folder.name + "-old")
            os.replace(settings.output, old)
            os.replace(folder, settings.output)
            shutil.rmtree(old)
        else:
            os.replace(folder, settings.output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _open(path: Path) -> gzip.GzipFile:
    # No name and no time in the header: the bytes depend on the content alone.
    return gzip.GzipFile(filename="", mode="wb", fileobj=path.open("wb"), mtime=0, compresslevel=6)


def _write_into(folder: Path, settings: MixSettings, prepared: Sequence[_Prepared]) -> dict[str, Any]:
    threshold = settings.validation * 2**64
    sources: dict[str, Any] = {}
    per_source: dict[str, Any] = {}
    totals: Counter[str] = Counter()
    names: set[str] = set()
    with _open(folder / "train.jsonl.gz") as train, _open(folder / "validation.jsonl.gz") as validation:
        for part in prepared:
            source, counts, types = part.source, Counter[str](), Counter[str]()
            held_out = source.name in settings.hold_out
            own = _open(folder / f"heldout_{source.name}.jsonl.gz") if held_out else None
            for row in part.rows:
                rendered = render_row(row, source, settings.seed)
                split = (
                    "validation" if stable_hash(f"{settings.seed}:split:{row.group}") < threshold else "train"
                )
                file = own or (validation if split == "validation" else train)
                file.write(json.dumps(rendered, ensure_ascii=False).encode("utf-8") + b"\n")
                counts["heldout" if held_out else split] += 1
                counts["mentions"] += len(row.spans)
                counts["empty"] += not row.spans
                types.update(name for span in row.spans for name in (span.type, *span.also))
            if own:
                own.close()
            inventory = sorted(types)
            sources[source.name] = {
                "origin": source.origin,
                "licence": source.licence,
                "weight": source.weight,
                "rows": len(part.rows),
                "exhaustive": source.exhaustive,
                "types": inventory,
                "coarse": {fine: coarse for fine, coarse in part.table.coarse.items() if fine in types},
                "related": part.related,
            }
            per_source[source.name] = {
                "licence": source.licence,
                "rows_in": part.rows_in,
                "mentions_in": part.mentions_in,
                "rows": len(part.rows),
                **{key: counts[key] for key in ("train", "validation", "heldout", "mentions", "empty")},
                "types": dict(sorted(types.items(), key=lambda item: (-item[1], item[0]))),
                "filters": part.tally.as_dict(),
            }
            totals.update({**counts, "rows": len(part.rows)})
            if not held_out:
                names.update(inventory)
    report = {
        "seed": settings.seed,
        "totals": {**dict(sorted(totals.items())), "types": len(names)},
        "empty_percent": round(100 * totals["empty"] / max(1, totals["rows"]), 2),
        "sources": per_source,
    }
    for name, content in (("sources.json", sources), ("report.json", report)):
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    return report
