"""Writes the published data set: written passages as Parquet, layers, card and datasheet."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import DatasetCard, DatasetCardData

from dataset_builder.mix.hashing import normalize_text
from dataset_builder.mix.write import in_validation
from dataset_builder.open_types.layers import PACKAGE, Layer, read_layers
from dataset_builder.open_types.passage import Passage
from dataset_builder.open_types.written import read_written

REPOSITORY = "diffusion-ner/open-types"
LICENCE = "cc-by-4.0"
# Five times the share that the training mix holds back: passages are drawn alike, so none of them is lost.
VALIDATION = 0.05
_SEED = 0
_LAYERS = "layers"
_EXAMPLE_LENGTH = 120
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("genre", pa.string()),
        ("text", pa.string()),
        (
            "entities",
            pa.list_(
                pa.struct(
                    [
                        ("start", pa.int32()),
                        ("end", pa.int32()),
                        ("text", pa.string()),
                        ("types", pa.list_(pa.string())),
                    ]
                )
            ),
        ),
    ]
)


@dataclass(frozen=True)
class Figures:
    """What the card and the datasheet say, counted from the data.

    ``genres`` has texts, mentions, different types and mean words a text of each kind; ``types`` the mentions
    of each type name.
    """

    genres: dict[str, dict[str, float]]
    types: Counter[str]
    mentions: int
    texts: int

    @property
    def once(self) -> int:
        """Number of type names that occur once."""
        return sum(count == 1 for count in self.types.values())


def write_dataset(output: Path, data: Path = PACKAGE) -> Path:
    """Write ``data/<split>-*.parquet``, ``layers/``, ``README.md`` and ``DATASHEET.md``.

    The same data give the same bytes.

    Args:
        output: folder to write; an earlier build there is replaced.
        data: folder with ``written/`` and ``layers/``.

    Raises:
        FileExistsError: ``output`` holds files that no build wrote.
        FileNotFoundError, ValueError: the data lack a file, or one is not in its form.
    """
    if output.exists() and any(output.iterdir()) and not (output / "DATASHEET.md").is_file():
        raise FileExistsError(f"{output} holds files that no build wrote; name another folder or empty it")
    passages, layers = read_written(data / "written"), read_layers(data / _LAYERS)
    output.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        (folder / "data").mkdir()
        splits = split_passages(passages)
        for split, own in splits.items():
            table = pa.Table.from_pylist([_row(passage) for passage in own], _SCHEMA)
            pq.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet", compression="zstd")
        (folder / _LAYERS).mkdir()
        for path in sorted((data / _LAYERS).glob("*.jsonl.gz")):
            shutil.copyfile(path, folder / _LAYERS / path.name)
        for name, text in render_documents(splits, layers).items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        # mkdtemp makes folders private; what is published has the usual permissions.
        folder.chmod(0o755)
        if output.exists():
            shutil.rmtree(output)
        folder.rename(output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return output


def split_passages(passages: Sequence[Passage]) -> dict[str, list[Passage]]:
    """Divide passages into train and validation; passages with the same words are on one side."""
    splits: dict[str, list[Passage]] = {"train": [], "validation": []}
    for passage in passages:
        held = in_validation(normalize_text(passage.text), _SEED, VALIDATION)
        splits["validation" if held else "train"].append(passage)
    return splits


def figures_of(texts: Sequence[Passage | Layer]) -> Figures:
    """Count texts, mentions and types."""
    types: Counter[str] = Counter()
    by_genre: dict[str, list[Passage | Layer]] = {}
    for text in texts:
        by_genre.setdefault(text.genre, []).append(text)
        types.update(name for mention in text.mentions for name in mention.types)
    genres = {}
    for genre, own in sorted(by_genre.items()):
        words = sum(len(text.text.split()) for text in own if isinstance(text, Passage))
        genres[genre] = {
            "texts": len(own),
            "mentions": sum(len(text.mentions) for text in own),
            "types": len({name for text in own for mention in text.mentions for name in mention.types}),
            "words": words / len(own),
        }
    return Figures(genres, types, sum(len(text.mentions) for text in texts), len(texts))


def render_documents(splits: dict[str, list[Passage]], layers: Sequence[Layer]) -> dict[str, str]:
    """Return card (``README.md``) and datasheet (``DATASHEET.md``), rendered from the counts of the data."""
    written = [passage for own in splits.values() for passage in own]
    example = min(
        (passage for passage in written if "\n" not in passage.text and len(passage.mentions) >= 4),
        key=lambda passage: (abs(len(passage.text) - _EXAMPLE_LENGTH), passage.id),
        default=None,
    )
    values: dict[str, Any] = {
        "repository": REPOSITORY,
        "written": figures_of(written),
        "layers": figures_of(layers),
        "splits": {name: len(own) for name, own in splits.items()},
        "with_lines": sum("\n" in passage.text for passage in written),
        "empty": sum(not passage.mentions for passage in written),
        "sources": Counter(layer.source for layer in layers),
        "example": example and _row(example),
    }
    data = DatasetCardData(
        pretty_name="Passages with open entity types",
        language=["en"],
        license=LICENCE,
        task_categories=["token-classification"],
        task_ids=["named-entity-recognition"],
        annotations_creators=["machine-generated"],
        language_creators=["machine-generated"],
        size_categories=["1K<n<10K" if len(written) >= 1000 else "n<1K"],
        tags=["named-entity-recognition", "zero-shot", "open-types", "synthetic"],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits],
            }
        ],
    )
    documents = {}
    for name, template in (("README.md", "card_template.md"), ("DATASHEET.md", "datasheet_template.md")):
        card = DatasetCard.from_template(data, template_path=str(PACKAGE / template), **values)
        documents[name] = (str(card) if name == "README.md" else card.text).strip() + "\n"
    return documents


def _row(passage: Passage) -> dict[str, Any]:
    return {
        "id": passage.id,
        "genre": passage.genre,
        "text": passage.text,
        "entities": [
            {
                "start": mention.start,
                "end": mention.end,
                "text": passage.text[mention.start : mention.end],
                "types": list(mention.types),
            }
            for mention in passage.mentions
        ],
    }
