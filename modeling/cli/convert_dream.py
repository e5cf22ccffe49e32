"""Convert Dream as published to its native form, which transformers loads without remote modelling code.

    python -m modeling.convert_dream Dream-org/Dream-v0-Base-7B runs/dream

Only the configuration changes: the weight files are fetched or copied one after the other, byte for byte, and
their SHA-256 is compared with the source's. Memory does not grow with the model. A run that was cut off is
finished by the same command.
"""

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, hf_hub_download
from safetensors import SafetensorError, safe_open
from transformers import GenerationConfig, Qwen2ForCausalLM

from ..backbones.dream import DREAM_TYPES, dream_settings, dream_to_qwen2
from ..backbones.sources import read_json, resolve
from ..backbones.tokenizer import load_tokenizer
from ..custom_generate.settings import DiffusionSettings
from ..training.checkpoints import write_generation

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
RECORD = "conversion.json"
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Shard:
    """One weight file of the source: its name, size in bytes and SHA-256."""

    name: str
    size: int
    sha256: str


def convert(
    source: str | Path,
    output: Path,
    revision: str | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Write the native form of a Dream repository and return the record kept in ``conversion.json``.

    Args:
        source: Hub id or folder of a Dream repository as published.
        output: folder to write; weight files that are there and whole are kept.
        revision: of a Hub repository.
        progress: called with a line for each weight file.

    Raises:
        OSError: the source cannot be found or reached, or a file arrives damaged.
        ValueError: the source is not Dream, or its weights are not those of the architecture.
    """
    origin = resolve(source)
    config = read_json(origin, "config.json", revision)
    if config is None or config.get("model_type") not in DREAM_TYPES:
        kind = None if config is None else config.get("model_type")
        raise ValueError(f"{origin!r} is no Dream repository as published: model_type {kind!r}, not 'Dream'")
    fields = dream_settings(config)
    if fields["mask_token_id"] is None or fields["pad_token_id"] is None:
        raise ValueError(f"config.json of {origin!r} names no mask_token_id or no pad_token_id; add them")
    with torch.device("meta"):
        model = Qwen2ForCausalLM(dream_to_qwen2(config))
    output.mkdir(parents=True, exist_ok=True)
    commit = None if Path(origin).is_dir() else str(HfApi().model_info(origin, revision=revision).sha)
    index = read_json(origin, INDEX, commit)
    names = sorted(set(index["weight_map"].values())) if index else [SINGLE]
    if any(Path(name).name != name for name in names):  # an index could name any path of this machine
        raise ValueError(f"{INDEX} of {origin!r} names files outside its folder: {', '.join(names)}")
    shards = list(
        _local_shards(Path(origin), names) if commit is None else _hub_shards(origin, commit, names)
    )
    for shard in shards:
        place = output / shard.name
        kept = place.is_file() and place.stat().st_size == shard.size and _sha256(place) == shard.sha256
        if not kept:
            _fetch(origin, commit, shard, output)
        progress(f"{shard.name}  {shard.size:,} bytes  sha256 {shard.sha256}{'  (kept)' if kept else ''}")
    _check_tensors([output / name for name in names], model.state_dict(), model.config.tie_word_embeddings)
    if index:
        (output / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    # A new one, as load_model has it: the source's sampling defaults would reach generate silently, and what
    # transformers derives from a model's config drops the settings when it is read again.
    model.generation_config = GenerationConfig(
        bos_token_id=model.config.bos_token_id, eos_token_id=model.config.eos_token_id
    )
    DiffusionSettings(**fields).apply(model)
    model.config.dtype = config.get("dtype", config.get("torch_dtype"))
    model.config.save_pretrained(output)
    model.generation_config.save_pretrained(output)
    load_tokenizer(origin, commit).save_pretrained(output)
    write_generation(output)
    record = {
        "command": "python -m modeling.convert_dream",
        "source": origin if commit else Path(origin).name,
        "commit": commit,
        "sha256": {shard.name: shard.sha256 for shard in shards},
    }
    (output / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(output / ".cache", ignore_errors=True)  # the downloads' own notes
    return record


def _hub_shards(source: str, commit: str, names: Sequence[str]) -> Iterator[Shard]:
    found = {info.path: info for info in HfApi().get_paths_info(source, list(names), revision=commit)}
    for name in names:
        lfs = getattr(found.get(name), "lfs", None)
        if lfs is None:
            raise OSError(f"{source!r} has no weight file {name!r} with a checksum at commit {commit}")
        yield Shard(name, lfs.size, lfs.sha256)


def _local_shards(folder: Path, names: Sequence[str]) -> Iterator[Shard]:
    for name in names:
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing; pickled weights are not read: give safetensors files"
            )
        yield Shard(name, path.stat().st_size, _sha256(path))


def _fetch(source: str, commit: str | None, shard: Shard, output: Path) -> None:
    """Bring one weight file to the output, whole or not at all."""
    place = output / shard.name
    if commit is not None:
        place.unlink(missing_ok=True)
        hf_hub_download(source, shard.name, revision=commit, local_dir=output)
    else:
        draft = place.with_name(f"{place.name}.part")
        shutil.copyfile(Path(source) / shard.name, draft)
        draft.replace(place)
    written = _sha256(place)
    if written != shard.sha256:
        place.unlink()
        raise OSError(
            f"{shard.name} arrived damaged: its SHA-256 is {written} instead of {shard.sha256}; run the same "
            "command again"
        )


def _check_tensors(files: Sequence[Path], expected: Mapping[str, torch.Tensor], tied: bool) -> None:
    """Check by the files' heads that they hold the architecture's tensors in its shapes, and no others."""
    held: dict[str, tuple[int, ...]] = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as tensors:
                held |= {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{path.name} is no safetensors file ({error})") from error
    for name, tensor in expected.items():
        if name not in held and not (tied and name == "lm_head.weight"):
            raise ValueError(
                f"the weights lack {name!r}, which the architecture has: the source is not whole"
            )
        if name in held and held[name] != tuple(tensor.shape):
            raise ValueError(f"{name!r} has shape {held[name]}, the config says {tuple(tensor.shape)}")
    strange = sorted(set(held) - set(expected))
    if strange:
        raise ValueError(f"the weights hold {strange[0]!r}, which the architecture does not have")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m modeling.convert_dream",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", help="Hub id or folder of a Dream repository as published")
    parser.add_argument("output", type=Path, help="folder to write")
    parser.add_argument("--revision", help="branch, tag or commit of the Hub repository")
    options = parser.parse_args(argv)
    try:
        convert(options.source, options.output, options.revision, print)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
