"""Puts each artefact together in a folder of its own: exactly the files that will be uploaded."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from model_card.release.artefact import KINDS, PLACEHOLDER, Artefact
from model_card.release.bundle import FOLDER, MODELING, ROOT, write_bundle
from model_card.release.card import artefact_card, mini_card

TEXT = {".md", ".json", ".jsonl", ".py", ".txt", ".yaml", ".yml", ".toml", ".jinja"}
# What a checkpoint needs to be loaded, and its training log. The rest that a training run leaves stays
# behind, the pickles training_args.bin and optimizer.pt among it.
CHECKPOINT = (
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "training_log.json",
    "card_*.png",
    "card_*.gif",
    "EVIDENCE.md",
    "conversion.json",
    "merge.json",
)
CODE_JUNK = ("__pycache__", "*.pyc", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".DS_Store")
PIPELINE = {
    "zero-shot-ner": {
        "impl": f"{FOLDER}/pipeline.ZeroShotNerPipeline",
        "pt": ["AutoModelForCausalLM"],
        "type": "text",
    }
}


class AssemblyError(ValueError):
    """An artefact cannot be put together; the message says why and what to give."""


@dataclass(frozen=True)
class Sources:
    """What the artefacts are made from.

    Args:
        namespace: user or organisation on the Hub.
        folders: of the artefacts that are not part of this repository, by their key.
        results: files that the command evaluate wrote, for the models' cards.
    """

    namespace: str
    folders: Mapping[str, Path] = field(default_factory=dict)
    results: tuple[Path, ...] = ()


def assemble(key: str, sources: Sources, work: Path) -> Artefact:
    """Write one artefact to ``work/key``, which must not exist, and return it.

    Raises:
        AssemblyError, BundleError: it cannot be put together.
        FileNotFoundError: a folder or file that it is made from does not exist.
    """
    folder = work / key
    folder.mkdir(parents=True)
    left_out = _BUILDERS[key](sources, folder)
    _name(folder, sources.namespace)
    return Artefact(KINDS[key], sources.namespace, folder, tuple(sorted(left_out)))


def _dataset(sources: Sources, folder: Path) -> list[str]:
    return _copy(_given("dataset", sources), folder, ignore=CODE_JUNK)


def _metric(sources: Sources, folder: Path) -> list[str]:
    _copy(ROOT / "metric" / "entity_f1", folder, ignore=CODE_JUNK)
    return []


def _mini(sources: Sources, folder: Path) -> list[str]:
    left_out = _copy(MODELING / "mini", folder, only=CHECKPOINT)
    write_bundle(folder, "integrations/pipeline", "backbones/pointer_bert")
    classes = {"AutoConfig": "PointerBertConfig"}
    classes |= dict.fromkeys(("AutoModel", "AutoModelForCausalLM"), "PointerBert")
    _edit(
        folder / "config.json",
        auto_map={auto: f"{FOLDER}/pointer_bert.{name}" for auto, name in classes.items()},
        custom_pipelines=PIPELINE,
        # Stored in bf16 for its size, run in fp32, as modeling.load_model does.
        dtype="float32",
    )
    (folder / "README.md").write_text(mini_card(MODELING / "mini", sources.results), encoding="utf-8")
    return [name for name in left_out if name != "README.md"]


def _base(sources: Sources, folder: Path) -> list[str]:
    left_out = _network("base", sources, folder)
    write_bundle(folder)
    (folder / "README.md").write_text(artefact_card("base", folder, ()), encoding="utf-8")
    return left_out


def _full(sources: Sources, folder: Path) -> list[str]:
    left_out = _network("full", sources, folder)
    write_bundle(folder, "integrations/pipeline")
    _edit(folder / "config.json", custom_pipelines=PIPELINE)
    (folder / "README.md").write_text(artefact_card("full", folder, sources.results), encoding="utf-8")
    return left_out


def _adapter(sources: Sources, folder: Path) -> list[str]:
    source = _given("adapter", sources)
    left_out = _copy(source, folder, only=CHECKPOINT)
    config = _read(folder / "adapter_config.json", source)
    # Transformers alone cannot load Dream as published: the native form is what the adapter stands on.
    _edit(
        folder / "adapter_config.json",
        base_model_name_or_path=f"{sources.namespace}/{KINDS['base'].name}",
        revision=None,
        task_type=config.get("task_type") or "CAUSAL_LM",
    )
    write_bundle(folder)
    (folder / "README.md").write_text(artefact_card("adapter", folder, sources.results), encoding="utf-8")
    return left_out


def _demo(sources: Sources, folder: Path) -> list[str]:
    # space_app/app.py runs at the root of a Space, with the package it uses beside it.
    _copy(ROOT / "space_app", folder, ignore=CODE_JUNK)
    _copy(MODELING, folder / "modeling", ignore=(*CODE_JUNK, "configs"))
    return []


_BUILDERS: dict[str, Callable[[Sources, Path], list[str]]] = {
    "dataset": _dataset,
    "metric": _metric,
    "base": _base,
    "adapter": _adapter,
    "full": _full,
    "mini": _mini,
    "demo": _demo,
}


def _network(key: str, sources: Sources, folder: Path) -> list[str]:
    source = _given(key, sources)
    left_out = _copy(source, folder, only=CHECKPOINT)
    kind = _read(folder / "config.json", source).get("model_type")
    if kind != "qwen2":
        raise AssemblyError(
            f"{source} is of model_type {kind!r}, not of the native form 'qwen2': "
            "make it with python -m modeling.convert_dream or python -m modeling.merge"
        )
    return left_out


def _given(key: str, sources: Sources) -> Path:
    folder = sources.folders.get(key)
    if folder is None:
        raise AssemblyError(f"the {key} is not part of this repository: name its folder with --{key} DIR")
    if not folder.is_dir():
        raise FileNotFoundError(f"--{key} {folder}: there is no such folder")
    return folder


def _copy(source: Path, target: Path, only: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> list[str]:
    """Copy the files of a folder that match ``only`` and not ``ignore``; return those left out."""
    left_out = []
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if path.is_dir() or _any(name.parts, CODE_JUNK):
            continue
        if _any(name.parts, ignore) or (only and (len(name.parts) > 1 or not _any([name.name], only))):
            # The loop is written anew, and a card too.
            if name.parts[0] != FOLDER:
                left_out.append(name.as_posix())
            continue
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in TEXT:
            shutil.copyfile(path, place)
        else:
            _link(path.resolve(), place)
    return left_out


def _any(parts: Iterable[str], patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(part, pattern) for part in parts for pattern in patterns)


def _link(source: Path, target: Path) -> None:
    """Place a file that is never changed: weights take no second room where the disk is the same."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _name(folder: Path, namespace: str) -> None:
    """Give the artefacts their namespace wherever a text names one of them."""
    names = "|".join(sorted({re.escape(kind.name) for kind in KINDS.values()}, key=len, reverse=True))
    pattern = re.compile(rf"\b{PLACEHOLDER}/(?=(?:{names})(?![\w-]))")
    for path in folder.rglob("*"):
        if path.suffix in TEXT - {".jsonl"} and path.is_file():
            text = path.read_text(encoding="utf-8")
            named = pattern.sub(f"{namespace}/", text)
            if named != text:
                path.write_text(named, encoding="utf-8")


def _read(path: Path, source: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{source} has no {path.name}: give a folder that holds a checkpoint")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _edit(path: Path, **changes: Any) -> None:
    """Set fields of a JSON file."""
    content = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
