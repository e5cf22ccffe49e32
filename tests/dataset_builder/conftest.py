"""Fixtures of the data set tests: a small real tokenizer, and the reference one."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from dataset_builder.tokens import TokenCounter

_CORPUS = [
    "Extract entities of types: person, organization, location, date, medical condition\nText: \nEntities:",
    "Ada Lovelace met Charles Babbage in London in 1833. The Analytical Engine was never built, she wrote.",
    " person: Ada Lovelace | person: Charles Babbage | location: London | date: 1833 | none",
    "The World Health Organization said on Monday that the number of cases of malaria fell in Kenya.",
]


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer of Dream's kind, with a few hundred merges, as a folder."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|mask|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    folder = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def counter(tokenizer_folder: Path) -> TokenCounter:
    """Counts tokens of the small tokenizer."""
    return TokenCounter(AutoTokenizer.from_pretrained(tokenizer_folder))


@pytest.fixture(scope="session")
def dream_folder(shared: Path) -> Path:
    """Dream's tokenizer, as a folder."""
    return shared / "tokenizers" / "dream"


@pytest.fixture(scope="session")
def pile_subset(shared: Path) -> Path:
    """2,218 records of Pile-NER-type."""
    return shared / "data" / "pile_ner" / "pile_ner_type_subset.json.gz"
