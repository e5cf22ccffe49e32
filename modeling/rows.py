"""The rows of a run: prompt/completion rows or entity rows, with what the batches need to know of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset, load_dataset
from transformers import PreTrainedTokenizerBase

from modeling.queries import Inventory
from modeling.template import render_completion

SAMPLE = 1000  # entity rows whose answers are measured
BATCH = 1000  # texts that are tokenized together


@dataclass
class RunRows:
    """Rows by split (``"train"``, perhaps ``"validation"``), and what is known of the training rows.

    ``inventories`` are those of entity rows, by source; ``weights`` how often a row is drawn per epoch.
    """

    splits: dict[str, Dataset]
    inventories: dict[str, Inventory] = field(default_factory=dict)
    weights: list[float] | None = None

    @property
    def are_completions(self) -> bool:
        """Whether the rows are prompts and completions; otherwise they are texts with entities."""
        return "prompt" in self.splits["train"].column_names

    def lengths(self, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        """Return each training row's tokens, of prompts alone if there are such, else an estimate of all."""
        train = self.splits["train"]
        if self.are_completions:
            return _token_counts(tokenizer, train["prompt"])
        # Prompt and both canvases, roughly: a token has 4.5 characters, a word 6; types take some 60.
        return [90 + len(text) // 2 for text in train["text"]]

    def answer_lengths(self, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        """Return the tokens of training rows' answers, each with one padding token behind it.

        Of prompts and completions every row's; of entity rows those of a sample, if all is asked for.
        """
        train = self.splits["train"]
        if self.are_completions:
            texts = train["completion"]
        else:
            texts = [
                render_completion((entity["type"], entity["text"].strip()) for entity in row["entities"])
                for row in train.select(range(0, len(train), max(1, len(train) // SAMPLE)))
                if row.get("exhaustive") is not False
            ]
        return [count + 1 for count in _token_counts(tokenizer, texts)]


def load_rows(source: str, config: str | None = None) -> RunRows:
    """Load the rows of a run.

    Args:
        source: Hub id or folder of prompt/completion rows, or a folder of entity rows (``sources.json``).
        config: name of the Hub data set's configuration.

    Raises:
        FileNotFoundError, OSError: the data cannot be found or reached.
        ValueError: there is no training split.
    """
    folder = Path(source)
    if not (folder / "sources.json").is_file():
        splits = dict(load_dataset(source, config))
        if "train" not in splits:
            raise ValueError(f"{source!r} has no split 'train', only {sorted(splits)}")
        return RunRows(splits)
    files = {split: str(folder / f"{split}.jsonl.gz") for split in ("train", "validation")}
    splits = dict(load_dataset("json", data_files={k: v for k, v in files.items() if Path(v).is_file()}))
    sources: dict[str, Any] = json.loads((folder / "sources.json").read_text(encoding="utf-8"))
    inventories = {
        name: Inventory(tuple(entry.get("types", ())), entry.get("coarse") or {}, entry.get("related") or {})
        for name, entry in sources.items()
    }
    weights = [float(sources[name].get("weight", 1.0)) for name in splits["train"]["source"]]
    return RunRows(splits, inventories, weights)


def _token_counts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[int]:
    counts: list[int] = []
    for at in range(0, len(texts), BATCH):
        encoded = tokenizer(
            list(texts[at : at + BATCH]),
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        counts += [len(ids) for ids in encoded["input_ids"]]
    return counts
