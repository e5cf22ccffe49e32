"""The artefacts of a release: what each is called, what it must hold, under which licence."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PLACEHOLDER = "diffusion-ner"  # the namespace that cards and code name before a release
COLLECTION = "collection"
GIB = 1024**3
RepoType = Literal["model", "dataset", "space"]


@dataclass(frozen=True)
class Kind:
    """What every release of one artefact has in common.

    Args:
        key: its name on the command line.
        repo_type: ``"model"``, ``"dataset"`` or ``"space"``.
        name: of the repository, behind the namespace.
        licence: that its card must name.
        required: files it must hold; a pattern must match one at least.
        largest: the most bytes that all its files may take.
        given: whether its folder must be named on the command line (else it is part of this repository).
        note: one line for the collection.
    """

    key: str
    repo_type: RepoType
    name: str
    licence: str
    required: tuple[str, ...]
    largest: int
    given: bool
    note: str


_TOKENIZER = ("tokenizer_config.json", "tokenizer.json")
_NETWORK = ("config.json", "generation_config.json", "*.safetensors", *_TOKENIZER)
_LOOP = ("custom_generate/generate.py",)
_PIPELINE = ("custom_generate/pipeline.py",)

KINDS = {
    kind.key: kind
    for kind in (
        Kind(
            "dataset",
            "dataset",
            "pile-ner-diffusion",
            "cc-by-nc-4.0",
            ("report.json", "*/train-*.parquet"),
            20 * GIB,
            True,
            "Pile-NER as spans and as prompt/completion rows",
        ),
        Kind(
            "metric",
            "space",
            "entity_f1",
            "apache-2.0",
            ("entity_f1.py", "app.py", "requirements.txt"),
            GIB,
            False,
            "Strict entity F1 for evaluate.load",
        ),
        Kind(
            "base",
            "model",
            "dream-v0-base-7b-qwen2",
            "apache-2.0",
            (*_NETWORK, *_LOOP),
            40 * GIB,
            True,
            "Dream-7B in native form, the base of the adapter",
        ),
        Kind(
            "adapter",
            "model",
            "diffusion-ner-zero-lora",
            "cc-by-nc-4.0",
            (
                "adapter_config.json",
                "adapter_model.safetensors",
                "generation_config.json",
                *_TOKENIZER,
                *_LOOP,
            ),
            10 * GIB,
            True,
            "The LoRA adapter",
        ),
        Kind(
            "full",
            "model",
            "diffusion-ner-zero",
            "cc-by-nc-4.0",
            (*_NETWORK, *_LOOP, *_PIPELINE),
            40 * GIB,
            True,
            "The adapter merged into its base",
        ),
        Kind(
            "mini",
            "model",
            "diffusion-ner-zero-mini",
            "cc-by-nc-4.0",
            (*_NETWORK, *_LOOP, *_PIPELINE, "custom_generate/pointer_bert.py"),
            GIB,
            False,
            "The small model that runs anywhere",
        ),
        Kind(
            "demo",
            "space",
            "diffusion-ner-zero",
            "cc-by-nc-4.0",
            ("app.py", "requirements.txt", "modeling/__init__.py", "modeling/mini/config.json"),
            GIB,
            False,
            "The demo",
        ),
    )
}


@dataclass(frozen=True)
class Artefact:
    """One assembled artefact.

    Args:
        kind: what it is.
        namespace: user or organisation on the Hub.
        folder: its files, as they will be uploaded.
        left_out: files of its source that are not published.
    """

    kind: Kind
    namespace: str
    folder: Path
    left_out: tuple[str, ...] = ()

    @property
    def repo_id(self) -> str:
        """Its id on the Hub."""
        return f"{self.namespace}/{self.kind.name}"

    @property
    def files(self) -> dict[str, Path]:
        """Its files by their path in the repository, sorted."""
        found = {path.relative_to(self.folder).as_posix(): path for path in self.folder.rglob("*")}
        return {name: path for name, path in sorted(found.items()) if path.is_file()}

    @property
    def size(self) -> int:
        """The bytes of all its files."""
        return sum(path.stat().st_size for path in self.files.values())
