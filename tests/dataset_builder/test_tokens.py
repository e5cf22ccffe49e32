"""Token counts by word equal those of whole texts, or are not used."""

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from dataset_builder.tokens import TokenCounter, TokenizerError

texts = st.lists(
    st.text(max_size=30)
    | st.text(st.sampled_from("ab  \n.,'|:7\u00e9\u4e2d\U0001f600\u0301\u00a0\u3000<|mask>"), max_size=60),
    max_size=5,
)


@given(texts)
def test_counts_and_starts_by_word_are_exact(counter, tokenizer_folder, texts):
    direct = TokenCounter(AutoTokenizer.from_pretrained(tokenizer_folder), by_word=False)
    assert counter.by_word
    assert counter.counts(texts) == direct.counts(texts)
    assert counter.starts(texts) == direct.starts(texts)


def test_dreams_tokenizer_counts_by_word_exactly(dream_folder: Path, pile_subset: Path):
    from dataset_builder.source import SourceFile

    passages = [value["conversations"][0]["value"] for value in SourceFile(pile_subset).records()][:500]
    tokenizer = AutoTokenizer.from_pretrained(dream_folder)
    counter = TokenCounter(tokenizer)
    assert counter.by_word
    plain = tokenizer(passages, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert counter.counts(passages) == [len(ids) for ids in plain]
    assert counter.counts(passages) == [len(ids) for ids in plain]  # from the cache


def test_a_tokenizer_that_joins_words_is_told_apart():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))  # no pre-tokenizer: merges cross blanks
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>"], show_progress=False)
    tokenizer.train_from_iterator(["a word a word a word . a 7 word Word ."] * 20, trainer)
    counter = TokenCounter(PreTrainedTokenizerFast(tokenizer_object=tokenizer))
    assert not counter.by_word
    assert counter.counts(["a word a word"])[0] < sum(counter.counts(["a", " word", " a", " word"]))


def test_special_tokens_in_a_text_count_as_characters_also_in_another_process(counter):
    copy = pickle.loads(pickle.dumps(counter))
    assert counter.counts(["<|mask|>"])[0] > 1
    assert copy.counts(["say <|mask|> twice"]) == counter.counts(["say <|mask|> twice"])


def test_starts_are_offsets_into_the_text(counter):
    text = "Ada met \U0001f600 in K\u00f8benhavn"
    (starts,) = counter.starts([text])
    assert len(starts) == counter.counts([text])[0]
    assert starts[0] == 0
    assert starts == sorted(starts)
    assert text.index(" in") in starts


def test_no_texts(counter):
    assert counter.counts([]) == []
    assert counter.starts([]) == []


def test_a_tokenizer_that_cannot_be_loaded_is_named(tmp_path: Path):
    with pytest.raises(TokenizerError, match=r"Hub id 'nobody/nothing'.*--tokenizer"):
        TokenCounter.load("nobody/nothing")
    with pytest.raises(TokenizerError, match=r"tried the tokenizer of folder.*--tokenizer"):
        TokenCounter.load(str(tmp_path))


def test_a_slow_tokenizer_is_refused():
    class Slow:
        is_fast = False

    with pytest.raises(TokenizerError, match="Slow is no fast tokenizer"):
        TokenCounter(Slow())
