"""What an assembled artefact must satisfy before anything of it is uploaded."""

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from safetensors import SafetensorError, safe_open

from model_card.release.artefact import PLACEHOLDER, Artefact
from model_card.release.bundle import FOLDER, BundleError, check_imports, imports_of
from model_card.release.card_checks import card_problems
from model_card.release.links import link_problems
from modeling.custom_generate.settings import DiffusionSettings

PICKLES = {
    ".bin",
    ".pt",
    ".pth",
    ".pkl",
    ".pickle",
    ".ckpt",
    ".joblib",
    ".dill",
    ".msgpack",
    ".h5",
    ".npy",
    ".npz",
}
# The first bytes of a pickle of protocol 2 to 5.
_PICKLED = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
_TEXT = {".md", ".json", ".py", ".txt", ".yaml", ".yml", ".toml", ".jinja"}
# Tokens and passages of a corpus may look like anything.
_CORPUS = ("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "report.json", "issues.jsonl")
_LOCAL = re.compile(
    r"(?<![\w.:/~-])/(?:home|root|Users|tmp|mnt|work|workspace|scratch|media)/[\w.-]+|file://|\b[A-Z]:\\\\?Users"
)
_SECRET = re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")
_MACHINE = ("__pycache__", ".git", ".cache", ".ipynb_checkpoints")
LARGEST_FILE = 50 * 1024**3  # the Hub's own limit
# What generate() reads of a checkpoint's settings: an adapter runs with its base's.
LOOP_SETTINGS = (
    "mask_token_id",
    "pad_token_id",
    "logits_shift",
    "prompt_attention",
    "outside_token_id",
    "inside_token_id",
    "first_marker_id",
    "outside_bias",
)


def problems(artefact: Artefact, others: list[Artefact]) -> list[str]:
    """Return what is wrong with an artefact, one line each that names the file and the fix; none if nothing.

    Args:
        artefact: to check.
        others: all artefacts of this release, for links and for what refers from one to another.
    """
    checks: list[Callable[[], Iterator[str]]] = [
        lambda: _missing(artefact),
        lambda: _sizes(artefact),
        lambda: _pickles(artefact),
        lambda: _texts(artefact),
        lambda: _weights(artefact),
        lambda: _network(artefact),
        lambda: _adapter(artefact, others),
        lambda: _code(artefact),
        lambda: card_problems(artefact),
        lambda: link_problems(artefact, others),
    ]
    return [problem for check in checks for problem in check()]


def _missing(artefact: Artefact) -> Iterator[str]:
    for pattern in ("README.md", *artefact.kind.required):
        if not any(fnmatch(name, pattern) for name in artefact.files):
            yield f"{pattern} is missing"


def _sizes(artefact: Artefact) -> Iterator[str]:
    for name, path in artefact.files.items():
        size = path.stat().st_size
        if size > LARGEST_FILE:
            yield f"{name} has {size:,} bytes, more than the Hub takes in one file: write smaller shards"
        if size == 0 and path.suffix not in (".py", ".jsonl"):
            yield f"{name} is empty"
    if artefact.size > artefact.kind.largest:
        yield f"its files have {artefact.size:,} bytes together, more than {artefact.kind.largest:,}"


def _pickles(artefact: Artefact) -> Iterator[str]:
    for name, path in artefact.files.items():
        with path.open("rb") as file:
            start = file.read(2)
        if path.suffix in PICKLES or start in _PICKLED or (start == b"PK" and _holds_pickle(path)):
            yield f"{name} may be a pickle, which can run code when it is read: store it as safetensors"


def _holds_pickle(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(PurePosixPath(name).suffix == ".pkl" for name in archive.namelist())


def _texts(artefact: Artefact) -> Iterator[str]:
    for name, path in artefact.files.items():
        if set(PurePosixPath(name).parts) & set(_MACHINE):
            yield f"{name} belongs to a machine, not to a repository: leave it out"
        if path.suffix not in _TEXT or PurePosixPath(name).name in _CORPUS:
            continue
        try:
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".json":
                json.loads(text)
        except ValueError as error:
            yield f"{name} cannot be read: {error}"
            continue
        local = _LOCAL.search(text)
        if local:
            yield f"{name} names a path of a machine, {local[0]!r}: write a Hub id or a relative path"
        if _SECRET.search(text):
            yield f"{name} holds what looks like a Hub token: remove it, and revoke the token"
        if artefact.namespace != PLACEHOLDER:
            for stray in sorted(set(re.findall(rf"\b{PLACEHOLDER}/[\w.-]+", text))):
                yield f"{name} names {stray!r}, which is no artefact of this release"


def _weights(artefact: Artefact) -> Iterator[str]:
    held: dict[str, set[str]] = {}
    for name, path in artefact.files.items():
        if path.suffix == ".safetensors":
            try:
                with safe_open(path, framework="pt") as tensors:
                    held[name] = set(tensors.keys())
            except SafetensorError as error:
                yield f"{name} is incomplete or damaged ({error}): write it again"
                held[name] = set()
    indices = [name for name in artefact.files if name.endswith(".safetensors.index.json")]
    for name in indices:
        for tensor, shard in _json(artefact.folder / name).get("weight_map", {}).items():
            place = (PurePosixPath(name).parent / shard).as_posix()
            if tensor not in held.get(place, ()):
                yield f"{name} says that {shard} holds {tensor}, which it does not: write the model again"
                break
    if artefact.kind.repo_type == "model" and len(held) > 1 and not indices:
        yield "it has several weight files and no model.safetensors.index.json"


def _network(artefact: Artefact) -> Iterator[str]:
    if artefact.kind.key not in ("base", "full", "mini"):
        return
    config = _json(artefact.folder / "config.json")
    if config.get("is_causal", True):
        yield "config.json does not say is_causal: false, so transformers would run the network causally"
    yield from _settings_problems(artefact)
    references = list((config.get("auto_map") or {}).values())
    references += [entry["impl"] for entry in (config.get("custom_pipelines") or {}).values()]
    for reference in references:
        module, name = reference.rsplit(".", 1)
        source = artefact.files.get(f"{module}.py")
        if source is None or not re.search(
            rf"^class {name}\b", source.read_text(encoding="utf-8"), re.MULTILINE
        ):
            yield f"config.json refers to {reference}, which {module}.py does not define"


def _adapter(artefact: Artefact, others: list[Artefact]) -> Iterator[str]:
    if artefact.kind.key != "adapter":
        return
    config = _json(artefact.folder / "adapter_config.json")
    base = config.get("base_model_name_or_path") or ""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", base):
        yield f"adapter_config.json names the base {base!r}, which is no Hub id"
    if config.get("task_type") != "CAUSAL_LM":
        yield (
            f"adapter_config.json has task_type {config.get('task_type')!r}: "
            "AutoPeftModelForCausalLM needs CAUSAL_LM"
        )
    yield from _settings_problems(artefact)
    own = _json(artefact.folder / "generation_config.json")
    for other in others:
        if other.kind.key != "base":
            continue
        of_base = _json(other.folder / "generation_config.json")
        for name in LOOP_SETTINGS:
            default = getattr(DiffusionSettings, name, None)
            if own.get(name, default) != of_base.get(name, default):
                yield (
                    f"it was trained with {name} = {own.get(name, default)!r}, its base says "
                    f"{of_base.get(name, default)!r}, and generate(custom_generate=...) would run with the "
                    "base's: publish the merged model instead, or a base with these settings"
                )


def _settings_problems(artefact: Artefact) -> Iterator[str]:
    stored = _json(artefact.folder / "generation_config.json")
    if stored.get("_from_model_config"):
        yield (
            "generation_config.json says _from_model_config, so transformers would drop the diffusion "
            "settings: write it from a GenerationConfig of its own"
        )
    known = {
        name: stored[name] for name in DiffusionSettings.__dataclass_fields__ if stored.get(name) is not None
    }
    try:
        DiffusionSettings(**known)
    except (TypeError, ValueError) as error:
        yield f"generation_config.json holds no diffusion settings ({error})"


def _code(artefact: Artefact) -> Iterator[str]:
    for name, path in artefact.files.items():
        if path.suffix != ".py":
            continue
        try:
            if PurePosixPath(name).parent.as_posix() == FOLDER:
                check_imports(path)
            else:
                imports_of(path.read_text(encoding="utf-8"))
        except (SyntaxError, BundleError) as error:
            yield f"{name}: {error}"


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # its absence or state is a problem of its own
    return content if isinstance(content, dict) else {}
