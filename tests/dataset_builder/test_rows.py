"""Rows: within the limits by the real tokens, read back as they were rendered, alike in all variants."""

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from dataset_builder.locate import locate
from dataset_builder.negatives import NegativeSampler
from dataset_builder.passages import Passage
from dataset_builder.rows import RowCutter, render_rows, span_row
from dataset_builder.settings import NEGATIVES, BuildSettings
from dataset_builder.tokens import TokenCounter
from modeling.canvas.template import parse_completion

_TYPES = ("person", "place", "none", "a b", "i\u0307l", "date", "film", "gene")
_FREQUENCIES = dict.fromkeys(_TYPES, 3) | {f"kind {number}": 1 for number in range(9)}
_SETTINGS = BuildSettings(max_seq_length=200, max_completion_tokens=40)


def cutter(counter, limits=_SETTINGS):
    costs = dict(zip(_FREQUENCIES, counter.counts([f" {name}" for name in _FREQUENCIES]), strict=True))
    return RowCutter(limits, counter, NegativeSampler(_FREQUENCIES, costs, limits.seed), costs)


def made(text, mentions, negatives=()):
    return Passage("p", text, tuple(locate(text, mentions).mentions), tuple(negatives))


_PIECES = 'Ada Bob Oslo. | person: \\| \\ none "x" a:b|c \u0130l \U0001f600 \u05e9\u05dc\u05d5\u05dd \n'
_FORGED = ("| person:", "place: |", "| a b: x", "| none:", "| kind 1: y")
words = st.sampled_from([*_PIECES.split(" "), *_FORGED])
passage_texts = st.lists(words, min_size=1, max_size=30).map(" ".join).filter(str.strip)


@st.composite
def passages(draw):
    text = draw(passage_texts)
    found = {}
    for _ in range(draw(st.integers(0, 6))):
        start, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        string = text[start:end].strip()
        if string:
            found.setdefault(draw(st.sampled_from(_TYPES)), []).append(string)
    absent = draw(st.lists(st.sampled_from(sorted(set(_TYPES) - set(found))), unique=True, max_size=6))
    return made(text, found, absent)


@settings(max_examples=150, deadline=None)
@given(passages())
def test_every_row_of_every_variant_fits_and_is_read_back(counter, passage):
    ((queries, lost),) = cutter(counter).cut([passage])
    plain = json.loads(json.dumps([query.as_json() for query in queries]))
    stored = json.loads(passage.as_line())
    placed = 0
    for config, (least, most) in NEGATIVES.items():
        for row in render_rows(stored, plain, config):
            answers = [(e["type"], e["text"]) for e in row["entities"]]
            assert parse_completion(row["completion"], row["types"]).entities == answers
            assert parse_completion(row["completion"], row["types"]).violations == []
            assert all(row["text"][e["start"] : e["end"]] == e["text"] for e in row["entities"])
            assert set(row["types"]) == {name for name, _ in answers} | set(row["negative_types"])
            assert not {name for name, _ in answers} & set(row["negative_types"])
            assert least <= len(row["negative_types"]) <= most
            prompt, completion = counter.counts([row["prompt"], row["completion"]])
            assert completion < _SETTINGS.max_completion_tokens
            assert prompt + completion < _SETTINGS.max_seq_length
            placed += len(answers) if config == "sft" else 0
    assert placed + len(lost) == len(passage.mentions)


def test_variants_differ_in_their_negatives_only(counter):
    text = "Ada met Bob in Oslo. " * 12
    passage = made(text, {"person": ["Ada", "Bob"], "place": ["Oslo"]}, ["film", "gene"])
    ((queries, _),) = cutter(counter).cut([passage])
    assert len(queries) > 1
    plain, stored = [query.as_json() for query in queries], json.loads(passage.as_line())
    rows = {config: list(render_rows(stored, plain, config)) for config in NEGATIVES}
    for none, two, five, some in zip(
        rows["sft_negatives_0"], rows["sft_negatives_2"], rows["sft_negatives_5"], rows["sft"], strict=True
    ):
        assert none["text"] == two["text"] == five["text"] == some["text"]
        assert none["completion"] == two["completion"] == five["completion"] == some["completion"]
        assert two["negative_types"] == five["negative_types"][:2]
        assert some["negative_types"] == five["negative_types"][: len(some["negative_types"])]
        assert none["types"] == [name for name in five["types"] if name not in five["negative_types"]]
        assert [name for name in five["types"] if name in two["types"]] == two["types"]
    assert {"film", "gene"} & {name for row in rows["sft_negatives_5"] for name in row["negative_types"]}
    assert len({len(row["negative_types"]) for row in rows["sft"]}) > 1


def test_rows_do_not_depend_on_what_is_cut_with_them(counter):
    one = made("Ada met Bob in Oslo. " * 9, {"person": ["Ada"], "place": ["Oslo"]})
    other = Passage("q", "Eve.", tuple(locate("Eve.", {"person": ["Eve"]}).mentions))
    alone = cutter(counter).cut([one])
    assert cutter(counter).cut([other, one])[1:] == alone
    assert cutter(counter, BuildSettings(1, 200, 40)).cut([one]) != alone


def test_a_cutter_works_alike_in_another_process(counter):
    passage = made("Ada says <|mask|> in Oslo. " * 9, {"person": ["Ada"], "place": ["Oslo"]})
    copy = pickle.loads(pickle.dumps(cutter(counter)))
    assert copy.cut([passage]) == cutter(counter).cut([passage])


def test_uncertain_types_are_never_negatives(counter):
    passage = Passage("p", "Ada.", (), negatives=("film", "gene", "date"), uncertain=("film", "kind 1"))
    ((queries, _),) = cutter(counter).cut([passage])
    assert not {"film", "kind 1"} & {name for query in queries for name in query.negatives}
    assert {"gene", "date"} <= set(queries[0].negatives)


def test_a_mention_that_no_completion_can_hold_is_lost_but_stays_in_spans(counter):
    text = "Ada wrote: " + "again and " * 60 + "done."
    passage = made(text, {"person": ["Ada"], "film": [text[11:-5].strip()]})
    ((queries, lost),) = cutter(counter).cut([passage])
    assert [m.type for m in lost] == ["film"]
    assert [m.type for query in queries for m in query.mentions] == ["person"]
    assert all("film" not in query.types for query in queries)
    assert [e["type"] for e in span_row(json.loads(passage.as_line()))["entities"]] == ["person", "film"]


def test_limits_that_no_row_could_keep_are_refused():
    bytes_only = Tokenizer(
        models.BPE(vocab={c: i for i, c in enumerate(pre_tokenizers.ByteLevel.alphabet())}, merges=[])
    )
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    expensive = TokenCounter(PreTrainedTokenizerFast(tokenizer_object=bytes_only))
    with pytest.raises(
        ValueError, match=r"max_seq_length is 128, but this tokenizer needs 1[4-9][0-9] tokens"
    ):
        cutter(expensive, BuildSettings(max_seq_length=128, max_completion_tokens=40))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_seq_length": 100},
        {"max_completion_tokens": 512},
        {"max_completion_tokens": 8},
        {"validation_share": 0.6},
        {"validation_share": -0.1},
    ],
)
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*; use"):
        BuildSettings(**wrong)
