"""The build: read, clean, de-duplicate, cap, split and write the training mix."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dataset_builder.mix.filters import (
    MAX_WORDS,
    Tally,
    clean_mentions,
    clean_tokens,
    drop_unusual_labels,
    useless_row_reason,
)
from dataset_builder.mix.further import FURTHER
from dataset_builder.mix.hashing import normalize_text, stable_hash
from dataset_builder.mix.labels import LabelTable, load_tables
from dataset_builder.mix.negatives import NegativeSampler, related_types
from dataset_builder.mix.open_part import OpenPart, prepare_open, set_open_share
from dataset_builder.mix.parts import Part, TokenPart
from dataset_builder.mix.pile import cut_long, cut_windows, read_passages
from dataset_builder.mix.sources import PILE, SOURCES, Sentence, Source, read_source
from dataset_builder.mix.write import write_mix
from dataset_builder.open_types.texts import PLAIN_FILES, TextFolders

EMPTY_SHARE = 0.15
LISTED_NEGATIVES = 15
SHOWS_FIELDS = 500


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
        ner_mix2: folder of the further sets, if they are used.
        further: the further sets to use.
        open_types: folder of the passages with open types (``written/`` and ``layers/``), if they are used.
        open_texts: folder of the plain-text files that some layers belong to; without it these are left out.
        open_share: share of the drawn rows that are passages with open types, in (0, 1).
    """

    ner_mix: Path
    pile: Path
    output: Path
    seed: int = 0
    validation: float = 0.01
    hold_out: tuple[str, ...] = ()
    exclude: tuple[Path, ...] = ()
    sources: tuple[Source, ...] = SOURCES
    ner_mix2: Path | None = None
    further: tuple[Source, ...] = FURTHER
    open_types: Path | None = None
    open_texts: Path | None = None
    open_share: float = 0.4

    def __post_init__(self) -> None:
        if not 0 < self.open_share < 1:
            raise ValueError(f"open_share is {self.open_share}, must lie in (0, 1)")
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation is {self.validation}, must lie in [0, 1)")
        known = [source.name for source in (PILE, *self.all_sources)]
        unknown = sorted(set(self.hold_out) - set(known))
        if unknown:
            raise ValueError(f"unknown sources to hold out: {unknown}; known are {known}")

    def files(self) -> dict[str, Path]:
        """The file of every source."""
        files = {PILE.name: self.pile}
        files |= {source.name: self.ner_mix / f"{source.name}.jsonl.gz" for source in self.sources}
        if self.ner_mix2 is not None:
            files |= {source.name: self.ner_mix2 / f"{source.name}.jsonl.gz" for source in self.further}
        if self.open_types is not None and self.open_texts is not None:
            files |= {name: self.open_texts / file for name, file in PLAIN_FILES.items()}
        return files

    @property
    def all_sources(self) -> tuple[Source, ...]:
        """The tokenised sets that are used."""
        return (*self.sources, *(self.further if self.ner_mix2 is not None else ()))


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
    tables = load_tables(settings.ner_mix / "label_map.json", (PILE, *settings.all_sources))
    prepared = [_prepare_pile(settings, tables[PILE.name])]
    prepared += [_prepare_source(settings, source, tables[source.name]) for source in settings.all_sources]
    opened = []
    if settings.open_types is not None:
        texts = TextFolders(settings.ner_mix, settings.ner_mix2, settings.pile, settings.open_texts)
        opened = prepare_open(settings.open_types, texts)
    _deduplicate(opened, prepared, excluded)
    for part in prepared:
        cap = part.source.cap
        if cap is not None and len(part.rows) > cap:
            part.tally.counts["row: over the cap of the source"] += len(part.rows) - cap
            part.rows = cap_rows(part.rows, cap, settings.seed)
        part.rows = _add_negatives(part, settings.seed)
    _limit_empty(prepared, settings.seed)
    set_open_share(
        opened,
        [part for part in prepared if part.name not in settings.hold_out],
        settings.open_share,
        settings.seed,
        settings.validation,
    )
    return write_mix(
        settings.output, _ordered(prepared, opened), settings.seed, settings.validation, settings.hold_out
    )


def _ordered(prepared: Sequence[TokenPart], opened: Sequence[OpenPart]) -> list[Part]:
    """Put one small source with levels first, for readers that infer a row's fields from the first ones."""
    first = min(opened, key=lambda part: (len(part) < SHOWS_FIELDS, len(part)), default=None)
    rest = [part for part in opened if part is not first]
    return [*([] if first is None else [first]), *prepared, *rest]


def _prepare_source(settings: MixSettings, source: Source, table: LabelTable) -> TokenPart:
    tally = Tally()
    part = TokenPart(source, table, tally)
    further = settings.ner_mix2 is not None and source in settings.further
    folder = settings.ner_mix2 if further and settings.ner_mix2 is not None else settings.ner_mix
    raw = list(read_source(folder, source))
    part.rows_in, part.mentions_in = len(raw), sum(len(row.spans) for row in raw)
    if source.distant:
        raw = drop_unusual_labels(raw, tally)
    for renamed in table.apply(map(clean_tokens, raw), tally):
        row = clean_mentions(renamed, source, tally)
        if row is None:
            continue
        for window in cut_long(row, MAX_WORDS) if source.passages else (row,):
            reason = useless_row_reason(window, source)
            if reason is None:
                part.rows.append(window)
            else:
                tally.add(reason, " ".join(window.tokens))
    if source.related:
        part.related = related_types(part.rows)
    return part


def _prepare_pile(settings: MixSettings, table: LabelTable) -> TokenPart:
    tally = Tally()
    part = TokenPart(PILE, table, tally)
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


def _deduplicate(opened: Iterable[OpenPart], prepared: Iterable[TokenPart], excluded: set[str]) -> None:
    """Keep a text once: with open types where there are some, else in the first source that has it."""
    seen: set[str] = set()

    def is_new(text: str, tally: Tally, shown: str) -> bool:
        if text in excluded:
            tally.add("row: text is excluded", shown)
        elif text in seen:
            tally.add("row: text occurs before", shown)
        else:
            seen.add(text)
            return True
        return False

    for part in opened:
        part.passages = [
            passage
            for passage in part.passages
            if is_new(normalize_text(passage.text), part.tally, passage.text)
        ]
    for tokens in prepared:
        kept = []
        for row in tokens.rows:
            text = normalize_text("".join(row.tokens))
            if is_new(text, tokens.tally, " ".join(row.tokens)):
                kept.append(replace(row, group=row.group or text))
        tokens.rows = kept


def _add_negatives(part: TokenPart, seed: int) -> list[Sentence]:
    """Fill up the listed negatives of sources without a closed inventory of their own."""
    if not part.source.related or part.source.closed:
        return part.rows
    sampler = NegativeSampler(part.rows)
    rows = []
    for row in part.rows:
        present = {name for span in row.spans for name in (span.type, *span.also)}
        present |= {*row.types, *row.hidden}
        drawn = sampler.sample(row, present, max(0, LISTED_NEGATIVES - len(row.types)), f"{seed}:{row.id}")
        rows.append(replace(row, types=tuple(sorted({*row.types, *drawn}))))
    return rows


def _limit_empty(prepared: Sequence[TokenPart], seed: int) -> None:
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
