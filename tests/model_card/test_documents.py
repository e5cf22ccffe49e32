"""The documents of our own: they compile to the committed files, and every span stands where it says."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset_builder.contamination import words_of
from model_card.documents.__main__ import FOLDER, SPLITS, compiled
from model_card.documents.markup import KINDS, LABELS, WORDS, parse, unmark

# No run of this many words is shared with the training texts or the benchmarks.
SHARED_WORDS = 8

FILLER = " ".join(["plain"] * 40)


def rows(split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def block(body: str, labels: str = "city; person; company; passport number") -> str:
    return f"### email 1\nlabels: {labels}\n{FILLER} {body}\n"


@pytest.mark.parametrize("split", SPLITS)
def test_committed_files_are_what_the_marked_files_compile_to(split: str) -> None:
    assert compiled(split).encode() == (FOLDER / f"{split}.jsonl").read_bytes()


@pytest.mark.parametrize(("split", "share"), SPLITS.items())
def test_every_kind_has_its_share(split: str, share: int) -> None:
    assert Counter(row["kind"] for row in rows(split)) == dict.fromkeys(KINDS, share)


def test_identifiers_and_texts_are_unique_over_both_splits() -> None:
    both = [row for split in SPLITS for row in rows(split)]
    assert len({row["id"] for row in both}) == len({row["text"] for row in both}) == len(both) == 160


@pytest.mark.parametrize("split", SPLITS)
def test_spans_stand_in_their_text_in_order_and_apart(split: str) -> None:
    for row in rows(split):
        end = 0
        for entity in row["entities"]:
            assert row["text"][entity["start"] : entity["end"]] == entity["text"], row["id"]
            assert end <= entity["start"] < entity["end"], row["id"]
            end = entity["end"]


@pytest.mark.parametrize("split", SPLITS)
def test_every_document_asks_for_one_or_two_labels_that_do_not_occur(split: str) -> None:
    for row in rows(split):
        used = {entity["label"] for entity in row["entities"]}
        assert used <= set(row["labels"]), row["id"]
        assert len(set(row["labels"]) - used) in (1, 2), row["id"]
        assert len(row["labels"]) in LABELS, row["id"]
        assert len(row["text"].split()) in WORDS, row["id"]


def test_mark_up_is_taken_out_and_escapes_are_resolved() -> None:
    text, spans = unmark(r"\[[Ada Kern|person]\]\tat [A|B Ltd|company] | \\")
    assert text == "[Ada Kern]\tat A|B Ltd | \\"
    assert [(span.start, span.end, span.label) for span in spans] == [(1, 9, "person"), (14, 21, "company")]
    assert [text[span.start : span.end] for span in spans] == [span.text for span in spans]


@pytest.mark.parametrize("body", ["[Ada", "Ada|person]", "[Ada [Kern|person]|name]", "[Ada]", r"Ada \q"])
def test_loose_brackets_and_unknown_escapes_are_refused(body: str) -> None:
    with pytest.raises(ValueError, match=r"t\.txt:1: t-email-1: .*write \[span\|label\]"):
        parse(block(body), "t")


@pytest.mark.parametrize(
    ("body", "labels", "message"),
    [
        ("[Oslo|town] [Ada|person]", "city; person; age; company", "label 'town' is not among"),
        ("[Oslo|city] [Ada|person] oslo", "city; person; age; company", r"'oslo' is marked elsewhere"),
        ("[Oslo |city] [Ada|person]", "city; person; age; company", "white space"),
        ("[Oslo|city]", "city; person; age; company", r"absent labels \['age', 'company', 'person'\]"),
        ("[Oslo|city] [Ada|person]", "city; person; age", "ask for 4 to 9"),
        ("[Oslo|city] [Ada|person]", "city; person; age; age", "ask for 4 to 9 different"),
        (f"[Oslo|city] [Ada|person] {'word ' * 250}", "city; person; age; company", "292 words"),
    ],
)
def test_broken_rules_are_reported(body: str, labels: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(block(body, labels), "t")


def test_repeated_string_may_be_declared_no_entity_or_stand_in_a_longer_word() -> None:
    body = "[Rose|person] likes a [rose|-] and Roseanne, [Tim|person] of [Rose Ltd|company]"
    (document,) = parse(block(body, "person; company; city; age"), "t")
    assert [entity.text for entity in document.entities] == ["Rose", "Tim", "Rose Ltd"]


def test_unknown_kind_and_broken_header_are_reported_with_their_line() -> None:
    good = block("[Oslo|city] [Ada|person]")
    with pytest.raises(ValueError, match=r"t\.txt:4: expected '### kind number'"):
        parse(good + "### email one\nlabels: a\nbody", "t")
    with pytest.raises(ValueError, match=r"t\.txt:1: expected '### kind number' as the first line"):
        parse("stray text\n" + good, "t")
    with pytest.raises(ValueError, match="unknown kind 'poem'"):
        parse(good.replace("email", "poem"), "t")


def reference_texts(folder: Path) -> Iterator[str]:
    """Yield the open-type training texts and the benchmarks' sentences."""
    for path in sorted((folder / "open_types/written").glob("*.txt")):
        plain = re.sub(r"\[([^\[\]|]*)\|[^\]]*\]", r"\1", path.read_text(encoding="utf-8"))
        yield from plain.replace("\\n", " ").replace("\\t", " ").splitlines()
    with gzip.open(folder / "open_types/annotated.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from (json.loads(line)["text"] for line in lines)
    for pattern, column in (("crossner/*/*.txt", 0), ("mit/*.bio", 1)):
        for path in sorted((folder / "benchmarks").glob(pattern)):
            for sentence in path.read_text(encoding="utf-8").split("\n\n"):
                fields = [line.split("\t") for line in sentence.splitlines()]
                yield " ".join(field[column] for field in fields if len(field) > column)


def test_no_long_run_of_words_is_shared_with_training_texts_or_benchmarks(shared: Path) -> None:
    runs: dict[tuple[str, ...], str] = {}
    for split in SPLITS:
        for row in rows(split):
            words = words_of(row["text"])
            runs |= {words[i : i + SHARED_WORDS]: row["id"] for i in range(len(words) - SHARED_WORDS + 1)}
    texts = 0
    for text in reference_texts(shared / "data"):
        texts += 1
        words = words_of(text)
        found = [words[i : i + SHARED_WORDS] for i in range(len(words) - SHARED_WORDS + 1)]
        assert not [(runs[run], run) for run in found if run in runs]
    assert texts > 40_000
