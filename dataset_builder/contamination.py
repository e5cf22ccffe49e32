"""Command line: how much of the benchmarks the training texts, entities and types already hold.

``python -m dataset_builder.contamination --dataset DIR --benchmarks DIR`` reads what
``python -m dataset_builder.build`` wrote, with ``--mix DIR`` instead what ``python -m dataset_builder.mix``
did. A test sentence counts as seen if a passage holds all its words in a row (exact), or 13 of them in a row
(Brown et al. 2020, https://arxiv.org/abs/2005.14165, appendix C); a test mention, if training marks the same
words as an entity, of the same type or of any. Letter case and punctuation do not count.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import load_dataset
from rich.console import Console
from rich.table import Table

from dataset_builder.benchmarks import Benchmark, Sentence, read_benchmarks
from dataset_builder.mix.built import passages as mix_passages
from dataset_builder.mix.built import type_names

NGRAM = 13
# A sentence of fewer words turns up anywhere; its matches are counted apart.
SHORT = 5
EXAMPLES = 5
_ANCHOR = 3
_WORD = re.compile(r"\w+")

Words = tuple[str, ...]


def words_of(text: str) -> Words:
    """Return the words that are compared: case folded, without punctuation."""
    return tuple(_WORD.findall(text.casefold()))


def mention_key(text: str) -> str:
    """Return the form in which mentions are compared: their words, or the text itself if it has none."""
    return " ".join(words_of(text)) or text.casefold()


class OverlapFinder:
    """Finds sentences, and word n-grams of them, in running text.

    Every pattern is filed under its first three words, so a text is gone through once.

    Args:
        sentences: the words of each sentence; empty ones are never found.
        ngram: length of the n-grams in words.
    """

    def __init__(self, sentences: Sequence[Words], ngram: int = NGRAM) -> None:
        self._patterns: dict[Words, dict[Words, tuple[set[int], set[int]]]] = {}
        for index, words in enumerate(sentences):
            if words:
                self._file(words)[0].add(index)
            for start in range(len(words) - ngram + 1):
                self._file(words[start : start + ngram])[1].add(index)
        self._anchor_lengths = sorted({len(anchor) for anchor in self._patterns})

    def _file(self, pattern: Words) -> tuple[set[int], set[int]]:
        return self._patterns.setdefault(pattern[:_ANCHOR], {}).setdefault(pattern, (set(), set()))

    def find(self, text: str) -> tuple[set[int], set[int]]:
        """Return the indices of sentences that the text holds whole, and of those it holds an n-gram of."""
        words = words_of(text)
        exact: set[int] = set()
        partial: set[int] = set()
        for length in self._anchor_lengths:
            for start in range(len(words) - length + 1):
                filed = self._patterns.get(words[start : start + length])
                if filed is None:
                    continue
                for pattern, (whole, part) in filed.items():
                    if words[start : start + len(pattern)] == pattern:
                        exact |= whole
                        partial |= part
        return exact, partial


@dataclass
class Overlap:
    """What training has of one benchmark.

    ``exact`` and ``ngram`` are indices of sentences; ``passages`` counts the training passages with either of
    more than :data:`SHORT` words; ``seen`` and ``unseen`` part the benchmark's types. ``entities`` are the
    keys of its mentions that training marks, each with the types of them there.
    """

    benchmark: Benchmark
    exact: set[int] = field(default_factory=set)
    ngram: set[int] = field(default_factory=set)
    passages: int = 0
    seen: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    entities: dict[str, set[str]] = field(default_factory=dict)

    def knows(self, text: str, kind: str) -> bool:
        """Return whether training marks a mention of this text as one of this type."""
        return kind in self.entities.get(mention_key(text), ())

    def figures(self) -> dict[str, Any]:
        """Return plain JSON values."""
        sentences = self.benchmark.sentences
        long = [index for index in sorted(self.exact) if not _short(sentences[index])]
        types = self.seen + self.unseen
        mentions = self.benchmark.mentions
        return {
            "sentences": len(sentences),
            f"sentences_{NGRAM}_words": sum(len(words_of(s.text)) >= NGRAM for s in sentences),
            "exact": len(long),
            "exact_short": len(self.exact) - len(long),
            f"ngram_{NGRAM}": len(self.ngram),
            "training_passages": self.passages,
            "mentions": len(mentions),
            "mentions_seen": sum(self.knows(text, kind) for text, kind in mentions),
            "mentions_seen_any_type": sum(bool(self.entities.get(mention_key(t))) for t, _ in mentions),
            "types": len(types),
            "types_seen": self.seen,
            "types_unseen": self.unseen,
            "types_seen_share": round(len(self.seen) / len(types), 4) if types else None,
            "examples": [sentences[i].text for i in sorted({*long, *self.ngram})[:EXAMPLES]],
        }


def compare(
    passages: Iterable[dict[str, Any]], benchmarks: Sequence[Benchmark], asked: Iterable[str] = ()
) -> list[Overlap]:
    """Compare training passages with benchmarks.

    Args:
        passages: rows of the ``spans`` configuration: ``text``, and ``entities`` with ``type`` and ``text``.
        benchmarks: test sets.
        asked: types that training asks for beside those of the passages' entities.
    """
    sentences = [(number, index) for number, b in enumerate(benchmarks) for index in range(len(b.sentences))]
    finder = OverlapFinder([words_of(benchmarks[n].sentences[i].text) for n, i in sentences])
    overlaps = [Overlap(benchmark) for benchmark in benchmarks]
    types = set(asked)
    # One table for all benchmarks, of their own mentions alone: the training set's would not fit.
    marked: dict[str, set[str]] = {mention_key(text): set() for b in benchmarks for text, _ in b.mentions}
    for row in passages:
        for entity in row["entities"]:
            types.add(entity["type"])
            known = marked.get(mention_key(entity["text"])) if marked else None
            if known is not None:
                known.add(entity["type"])
        exact, ngram = finder.find(row["text"])
        touched = set()
        for found, name in ((exact, "exact"), (ngram, "ngram")):
            for flat in found:
                number, index = sentences[flat]
                getattr(overlaps[number], name).add(index)
                if not _short(benchmarks[number].sentences[index]):
                    touched.add(number)
        for number in touched:
            overlaps[number].passages += 1
    for overlap in overlaps:
        for name in overlap.benchmark.types:
            (overlap.seen if name in types else overlap.unseen).append(name)
        keys = {mention_key(text) for text, _ in overlap.benchmark.mentions}
        overlap.entities = {key: marked[key] for key in sorted(keys) if marked[key]}
    return overlaps


def _short(sentence: Sentence) -> bool:
    return len(words_of(sentence.text)) < SHORT


def table(overlaps: Sequence[Overlap]) -> Table:
    """Return the figures as a terminal table."""
    shown = Table(title="Test sentences and types that training has too", title_justify="left")
    shown.add_column("benchmark")
    grams, short = f"{NGRAM}-gram", f"under {SHORT} words"
    headings = ("sentences", "exact", short, grams, "passages", "mentions", "seen", "types")
    for heading in headings:
        shown.add_column(heading, justify="right")
    for overlap in overlaps:
        f = overlap.figures()
        names = ("sentences", "exact", "exact_short", f"ngram_{NGRAM}", "training_passages")
        counts = [f[name] for name in (*names, "mentions", "mentions_seen")]
        seen = f"{len(overlap.seen)} of {f['types']}"
        shown.add_row(overlap.benchmark.name, *(f"{count:,}" for count in counts), seen)
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m dataset_builder.contamination",
        description="Report the overlap of the training text and types with benchmark test sets.",
    )
    training = parser.add_mutually_exclusive_group(required=True)
    training.add_argument("--dataset", metavar="DIR", help="what dataset_builder.build wrote")
    training.add_argument("--mix", type=Path, metavar="DIR", help="what dataset_builder.mix wrote")
    parser.add_argument(
        "--benchmarks", required=True, type=Path, metavar="DIR", help="CrossNER and MIT test sets"
    )
    parser.add_argument("--split", default="train")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    options = parser.parse_args(arguments)
    try:
        benchmarks = read_benchmarks(options.benchmarks)
        if options.mix is not None:
            passages = mix_passages(options.mix, options.split)
            overlaps = compare(passages, benchmarks, type_names(options.mix))
        else:
            rows = load_dataset(options.dataset, "spans", split=options.split, streaming=True)
            overlaps = compare(rows, benchmarks)
    except (OSError, ValueError) as error:
        Console(stderr=True).print(f"error: {error}", highlight=False, markup=False, soft_wrap=True)
        return 1
    console = Console()
    console.print(table(overlaps))
    for overlap in overlaps:
        console.print(
            f"{overlap.benchmark.name}: not seen {', '.join(overlap.unseen) or 'none'}", highlight=False
        )
    if options.json:
        figures = {overlap.benchmark.name: overlap.figures() for overlap in overlaps}
        options.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
