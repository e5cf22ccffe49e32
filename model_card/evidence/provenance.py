"""Where a figure comes from: command, commit, versions, hardware, data."""

import hashlib
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from modeling.backbones.sources import file_of, resolve

PACKAGES = ("torch", "transformers", "peft", "accelerate", "datasets", "trl", "safetensors")
ROOT = Path(__file__).resolve().parents[2]


def provenance(device: torch.device, data: dict[str, str]) -> dict[str, Any]:
    """Return what a results file names beside its figures.

    Args:
        device: that the figures were measured on.
        data: sha256 of the data by name.
    """
    return {
        "command": command_line(),
        "commit": commit(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "hardware": hardware(device),
        "python": platform.python_version(),
        "versions": versions(),
        "data_sha256": data,
    }


def command_line() -> str:
    """Return the command that runs; of an absolute path only the last part is kept."""
    module = sys.modules["__main__"].__spec__
    program = (
        f"python -m {module.name.removesuffix('.__main__')}"
        if module is not None
        else f"python {Path(sys.argv[0]).name}"
    )
    arguments = [Path(a).name if Path(a).is_absolute() else a for a in sys.argv[1:]]
    return " ".join([program, *map(shlex.quote, arguments)])


def weights_sha256(model: str) -> str | None:
    """Return one checksum over the weight files of a model folder, or None for a Hub id."""
    source = Path(resolve(model))
    if not source.is_dir():
        return None
    digest = hashlib.sha256()
    for path in sorted(source.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def weights_key(model: str, revision: str | None = None) -> str:
    """Return what tells a model's weights from others: their checksum, or the commit of a Hub repository.

    Raises:
        OSError: the repository cannot be reached and is not in the cache, or it holds no model.
    """
    checksum = weights_sha256(model)
    if checksum is not None:
        return checksum
    for name in ("config.json", "adapter_config.json"):
        path = file_of(model, name, revision)
        if path is not None:
            return path.parent.name  # the cache keeps a file under snapshots/COMMIT
    raise OSError(f"{model} holds neither config.json nor adapter_config.json, so it is no model")


def commit() -> str | None:
    """Return the commit of the working tree, ``-dirty`` if it has changes.

    A tree that was copied without its history may name its commit in ``DIFFUSION_NER_COMMIT``; else None.
    """
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("DIFFUSION_NER_COMMIT")
    return result.stdout.strip()


def hardware(device: torch.device) -> str:
    """Return the device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def versions() -> dict[str, str]:
    """Return the versions of the installed packages that matter."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
