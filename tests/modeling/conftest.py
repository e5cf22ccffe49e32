"""Fixtures of the model's tests: tokenizers, tiny networks, one small trained model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from modeling import EntityExtractor

# A loaded machine is no failure, and two runs of the suite try the same examples.
settings.register_profile("modeling", deadline=None, derandomize=True)
settings.load_profile("modeling")


@pytest.fixture(autouse=True)
def _alike() -> None:
    """Give every test the same random state; tiny networks run fastest on one thread."""
    torch = sys.modules.get("torch")
    if torch is not None:  # tests that need no torch do not wait for its import
        torch.manual_seed(0)
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    """The WordPiece tokenizer of the toy language, uncased, with markers."""
    from tests.modeling.tiny import toy_tokenizer

    return toy_tokenizer()


@pytest.fixture(scope="session")
def dream_tokenizer(shared: Path) -> PreTrainedTokenizerBase:
    """Dream's own tokenizer, byte-level."""
    from modeling import load_tokenizer

    return load_tokenizer(shared / "tokenizers/dream")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerBase) -> Path:
    """A folder with a small pointer network, trained for some seconds to read the toy language."""
    import torch
    from trl import ModelConfig

    from modeling.training.arguments import DiffusionArguments, RunArguments
    from modeling.training.run import run
    from tests.modeling.tiny import save_encoder, write_mix

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained")
    data = write_mix(folder / "mix", train=1400, validation=42)
    encoder = save_encoder(folder / "encoder", tokenizer)
    arguments = DiffusionArguments(
        output_dir=str(folder / "model"),
        max_steps=320,
        learning_rate=5e-3,
        warmup_steps=20,
        tokens_per_batch=2048,
        max_weight=4.0,
        aligned_full_mask_rate=0.7,
        logging_steps=20,
        eval_sample_rows=4,
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
    )
    run(
        RunArguments(data=str(data), new_pointer_from=str(encoder), max_length=128, canvas_length=64),
        arguments,
        ModelConfig(),
    )
    return folder / "model"


@pytest.fixture(scope="session")
def extractor(trained: Path) -> EntityExtractor:
    """The extractor of the small trained network."""
    from modeling import EntityExtractor

    return EntityExtractor.from_pretrained(trained)


@pytest.fixture(scope="session")
def dream(dream_tokenizer: PreTrainedTokenizerBase) -> EntityExtractor:
    """An untrained network of Dream's shape with its tokenizer: it may write anything."""
    from modeling import EntityExtractor
    from tests.modeling.tiny import byte_level_dream

    return EntityExtractor(byte_level_dream(), dream_tokenizer)
