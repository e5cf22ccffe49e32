"""A built mix as others read it: the type names it asks for and its annotated texts."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset_builder.mix.sources import allows_commercial_use


def read_sources(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what ``sources.json`` says of each source.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = folder / "sources.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give the folder that dataset_builder.mix wrote")
    return json.loads(path.read_text(encoding="utf-8"))


def type_names(folder: Path) -> list[str]:
    """Return the type names that training asks for, in alphabetical order, coarse ones included."""
    sources = read_sources(folder).values()
    names = {name for source in sources for name in source["types"]}
    return sorted(names | {coarse for source in sources for coarse in (source.get("coarse") or {}).values()})


def free_sources(folder: Path) -> list[str]:
    """Return the names of the sources whose licence allows commercial use, in the order of the mix."""
    return [name for name, entry in read_sources(folder).items() if allows_commercial_use(entry["licence"])]


def passages(folder: Path, split: str = "train") -> Iterator[dict[str, Any]]:
    """Yield ``{"text", "entities": [{"type", "text"}, ...]}``, a mention once for each name it is asked by.

    Raises:
        FileNotFoundError: the folder has no such split, or is not a mix.
    """
    coarse = {name: source.get("coarse") or {} for name, source in read_sources(folder).items()}
    path = folder / f"{split}.jsonl.gz"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: the mix has no split {split!r}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            coarser = coarse[row["source"]]
            entities = []
            for entity in row["entities"]:
                names = entity_names(entity)
                names += [coarser[name] for name in names if name in coarser]
                entities += [{"type": name, "text": entity["text"]} for name in dict.fromkeys(names)]
            yield {"text": row["text"], "entities": entities}


def entity_names(entity: dict[str, Any]) -> list[str]:
    """All type names of an entity of a row: its type, other types and levels, each once."""
    return list(dict.fromkeys((entity["type"], *(entity.get("also") or ()), *(entity.get("levels") or ()))))
