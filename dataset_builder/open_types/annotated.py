"""Reads annotated sentences with their texts."""

import gzip
import json
from pathlib import Path

from dataset_builder.open_types.passage import OpenMention, Passage, flat


def read_annotated(path: Path) -> list[Passage]:
    """Read ``{"id", "kind", "source", "text", "entities": [{"start", "end", "text", "types"}]}`` rows.

    Raises:
        ValueError: a mention is not what stands in the text.
    """
    passages = []
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            row = json.loads(line)
            for entity in row["entities"]:
                found = row["text"][entity["start"] : entity["end"]]
                if found != entity["text"]:
                    raise ValueError(f"{path}:{number}: {entity} stands for {found!r} in the text")
            mentions = tuple(
                OpenMention(entity["start"], entity["end"], tuple(dict.fromkeys(entity["types"])))
                for entity in row["entities"]
            )
            passages.append(Passage(row["id"], row["kind"], row["text"], flat(mentions), row["source"]))
    return passages
