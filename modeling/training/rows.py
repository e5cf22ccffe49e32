"""The rows of a run: prompt/completion rows or entity rows, with what the batches need to know of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset, load_dataset

from .queries import Inventory


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


def load_rows(source: str, config: str | None = None, only: Sequence[str] | None = None) -> RunRows:
    """Load the rows of a run.

    Args:
        source: Hub id or folder of prompt/completion rows, or a folder of entity rows (``sources.json``).
        config: name of the Hub data set's configuration.
        only: names of the sources of entity rows to keep; default all.

    Raises:
        FileNotFoundError, OSError: the data cannot be found or reached.
        ValueError: there is no training split, or no such source.
    """
    folder = Path(source)
    if not (folder / "sources.json").is_file():
        if only is not None:
            raise ValueError(f"{source!r} is no folder of entity rows with sources.json: leave out sources")
        splits = dict(load_dataset(source, config))
        if "train" not in splits:
            raise ValueError(f"{source!r} has no split 'train', only {sorted(splits)}")
        return RunRows(splits)
    files = {split: str(folder / f"{split}.jsonl.gz") for split in ("train", "validation")}
    splits = dict(load_dataset("json", data_files={k: v for k, v in files.items() if Path(v).is_file()}))
    sources: dict[str, Any] = json.loads((folder / "sources.json").read_text(encoding="utf-8"))
    if only is not None:
        unknown = sorted(set(only) - set(sources))
        if unknown or not only:
            asked = f"{source!r} has no sources {unknown}" if unknown else "no source is named to train on"
            raise ValueError(f"{asked}; it has {', '.join(sources)}")
        sources = {name: entry for name, entry in sources.items() if name in only}
        splits = {split: _of(rows, set(only)) for split, rows in splits.items()}
    inventories = {
        name: Inventory(tuple(entry.get("types", ())), entry.get("coarse") or {}, entry.get("related") or {})
        for name, entry in sources.items()
    }
    weights = [float(sources[name].get("weight", 1.0)) for name in splits["train"]["source"]]
    return RunRows(splits, inventories, weights)


def _of(rows: Dataset, sources: set[str]) -> Dataset:
    return rows.select([i for i, name in enumerate(rows["source"]) if name in sources])
