"""The ``datasets`` builder: Pile-NER-type as spans and as prompt/completion rows.

It runs where the data set is made; the Hub gets the Parquet files that :mod:`dataset_builder.build` writes,
because ``datasets`` 4 and later run no scripts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import datasets
from datasets import Features, List, Value

from dataset_builder.hub import download_source
from dataset_builder.rows import render_rows, span_row
from dataset_builder.settings import (
    CONFIGS,
    DEFAULT_CONFIG,
    DEFAULT_TOKENIZER,
    SPLITS,
    BuildSettings,
)
from dataset_builder.source import SourceFile
from dataset_builder.stage import stage, staged_passages, staged_queries
from dataset_builder.tokens import TokenCounter

ENTITIES = List(
    {"type": Value("string"), "text": Value("string"), "start": Value("int32"), "end": Value("int32")}
)
SPANS_FEATURES = Features(
    {
        "id": Value("string"),
        "text": Value("string"),
        "entities": ENTITIES,
        "negative_types": List(Value("string")),
    }
)
SFT_FEATURES = Features(
    {
        "id": Value("string"),
        "passage_id": Value("string"),
        "text": Value("string"),
        "types": List(Value("string")),
        "negative_types": List(Value("string")),
        "entities": ENTITIES,
        "prompt": Value("string"),
        "completion": Value("string"),
    }
)
_VERSION = datasets.Version("1.0.0")


@dataclass
class PileNerConfig(datasets.BuilderConfig):
    """One configuration of the data set.

    Attributes:
        source: source file; empty downloads it from the Hub.
        tokenizer: Hub id or folder of the tokenizer that the limits are meant for.
        seed, max_seq_length, max_completion_tokens, validation_share: see :class:`BuildSettings`.
        num_proc: processes; the rows do not depend on it.
        staged: folder of an earlier :func:`dataset_builder.stage.stage`, so that several configurations
            share one; the values above are then those it was made with.
    """

    source: str = ""
    tokenizer: str = DEFAULT_TOKENIZER
    seed: int = BuildSettings.seed
    max_seq_length: int = BuildSettings.max_seq_length
    max_completion_tokens: int = BuildSettings.max_completion_tokens
    validation_share: float = BuildSettings.validation_share
    num_proc: int = 1
    staged: str = ""

    def settings(self) -> BuildSettings:
        """Return the checked settings."""
        return BuildSettings(
            self.seed, self.max_seq_length, self.max_completion_tokens, self.validation_share
        )


class PileNer(datasets.GeneratorBasedBuilder):
    """Pile-NER-type for diffusion fine-tuning; the configurations are :data:`CONFIGS`.

    >>> builder = PileNer(config_name="sft", source="train.json", tokenizer="folder")  # doctest: +SKIP
    >>> builder.download_and_prepare(); rows = builder.as_dataset("train")  # doctest: +SKIP
    """

    VERSION = _VERSION
    BUILDER_CONFIG_CLASS = PileNerConfig
    BUILDER_CONFIGS: ClassVar = [PileNerConfig(name=name, version=_VERSION) for name in CONFIGS]
    DEFAULT_CONFIG_NAME = DEFAULT_CONFIG

    config: PileNerConfig

    def _info(self) -> datasets.DatasetInfo:
        spans = self.config.name == "spans"
        return datasets.DatasetInfo(features=SPANS_FEATURES if spans else SFT_FEATURES)

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        directory = Path(self.config.staged or self.cache_dir)
        if not self.config.staged:
            directory = Path(f"{directory}-staged")
            directory.mkdir(parents=True, exist_ok=True)
            source = SourceFile(self.config.source or download_source())
            counter = TokenCounter.load(self.config.tokenizer)
            stage(source, counter, self.config.settings(), directory, self.config.num_proc)
        return [
            datasets.SplitGenerator(split, gen_kwargs={"directory": str(directory), "split": split})
            for split in SPLITS
            if next(staged_passages(directory, split), None)
            is not None  # datasets has no use for an empty split
        ]

    def _generate_examples(self, directory: str, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if self.config.name == "spans":
            for passage in staged_passages(Path(directory), split):
                yield passage["id"], span_row(passage)
        else:
            for passage in staged_queries(Path(directory), split):
                for row in render_rows(passage, passage["queries"], self.config.name):
                    yield row["id"], row
