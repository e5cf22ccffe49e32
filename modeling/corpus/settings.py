"""What decides the answers of a run, kept beside its output so that only the same run goes on with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backbones.sources import file_of, resolve
from .documents import Columns, Corpus
from .storage import Folder

if TYPE_CHECKING:
    from ..extraction.extractor import EntityExtractor

RUN_FILE = "_annotate/run.json"
DOCUMENTS_PER_PART = 2000
_VERSION = 1  # of the way in which input becomes parts: another one could not go on with an output
_MODEL_FILES = ("*.safetensors", "*.json")
_WHOLE = 2**26  # bytes of a file that is read whole
_SAMPLES, _SAMPLE = 64, 2**16  # of a larger one: how many, and bytes of each


@dataclass(frozen=True)
class Settings:
    """All that an answer depends on, but the text.

    Args:
        labels: checked entity types.
        model: folder or Hub id; None is the embedded default.
        revision: as ``revision_of`` returns it.
        threshold: the least score, in [0, 1].
        canvas, options: of the prediction; see ``EntityExtractor.batch_predict_entities``.
        dtype, quantize: of the weights.
        columns: of the input.
        format: of the input files whose names do not tell.
        documents_per_part: the most of a part.
    """

    labels: tuple[str, ...]
    model: str | None
    revision: str
    threshold: float
    canvas: str | None
    options: dict[str, Any]
    dtype: str | None
    quantize: str | None
    columns: Columns
    format: str | None
    documents_per_part: int

    def load(self, device: str | None, threads: int | None) -> EntityExtractor:
        """Return the extractor that these settings name.

        Raises:
            OSError, ValueError: see ``EntityExtractor.from_pretrained``; or an option does not fit the model.
        """
        import torch

        from ..extraction.extractor import EntityExtractor

        local = Path(resolve(self.model)).is_dir()
        extractor = EntityExtractor.from_pretrained(
            self.model,
            device=device,
            dtype=None if self.dtype is None else getattr(torch, self.dtype),
            canvas=self.canvas,
            revision=None if local else self.revision,
            quantize=self.quantize,
            threads=threads,
        )
        if local and (found := revision_of(self.model)) != self.revision:
            raise ValueError(
                f"the model in {resolve(self.model)} is {found} on this machine, but {self.revision} on the "
                "one that started the run; give all machines the same files"
            )
        return extractor


def revision_of(model: str | None, revision: str | None = None) -> str:
    """Return what identifies the weights: the commit of a Hub repository, or a checksum of a folder.

    Of large files the checksum takes size, head and evenly spread samples: no two trained models agree in
    them, and every worker can afford it.

    Raises:
        OSError: there is no such model, or it cannot be reached.
    """
    source = resolve(model)
    if Path(source).is_dir():
        digest = hashlib.sha256()
        for path in sorted(own for pattern in _MODEL_FILES for own in Path(source).glob(pattern)):
            size = path.stat().st_size
            digest.update(f"{path.name} {size} ".encode())
            with path.open("rb") as file:
                if size <= _WHOLE:
                    digest.update(file.read())
                    continue
                for number in range(_SAMPLES):
                    file.seek(number * (size - _SAMPLE) // (_SAMPLES - 1))
                    digest.update(file.read(_SAMPLE))
        return f"sha256:{digest.hexdigest()[:16]}"
    config = file_of(source, "config.json", revision) or file_of(source, "adapter_config.json", revision)
    if config is None:
        raise OSError(f"{source!r} holds neither config.json nor adapter_config.json; it is no model")
    return config.parent.name  # the cache keeps a snapshot in a folder named by its commit


def claim(output: Folder, settings: Settings, corpus: Corpus, inputs: Sequence[str]) -> bool:
    """Write down that the output belongs to this run; return whether it did already.

    Raises:
        ValueError: it belongs to another run, or holds files of something else; the message says which.
    """
    mine = json.loads(json.dumps(_record(settings, corpus, inputs)))
    kept = read_run(output)
    if kept is None:
        strange = output.names()
        if strange:
            raise ValueError(
                f"{output.address} holds files that no annotation wrote ({strange[0]}); name another --output"
            )
        output.write(RUN_FILE, json.dumps(mine, indent=1, ensure_ascii=False).encode())
        return False
    if kept["version"] != _VERSION:
        raise ValueError(
            f"{output.address} was written by another version of this program; name another --output"
        )
    for part in ("settings", "files"):
        if kept[part] != mine[part]:
            raise ValueError(
                f"{output.address} was begun with {_difference(kept[part], mine[part])}; repeat the "
                "arguments of that run, or name another --output"
            )
    return True


def read_run(output: Folder) -> dict[str, Any] | None:
    """Return what ``claim`` wrote, or None."""
    content = output.read(RUN_FILE)
    return None if content is None else json.loads(content)


def _record(settings: Settings, corpus: Corpus, inputs: Sequence[str]) -> dict[str, Any]:
    # A folder's revision says what is in it, wherever it lies.
    own = {key: value for key, value in asdict(settings).items() if key != "model"}
    absolute = [one if "://" in one else str(Path(one).expanduser().absolute()) for one in inputs]
    return {
        "version": _VERSION,
        "settings": own,
        "model": settings.model,
        "inputs": absolute,
        "files": {file.name: file.size for file in corpus.files},
    }


def _difference(kept: dict[str, Any], mine: dict[str, Any]) -> str:
    key = next(k for k in [*kept, *mine] if kept.get(k) != mine.get(k))
    if key not in mine:
        return f"an input file {key!r} that is gone"
    if key not in kept:
        return f"no input file {key!r}"
    return (
        f"{key} {json.dumps(kept[key], ensure_ascii=False)}, not {json.dumps(mine[key], ensure_ascii=False)}"
    )
