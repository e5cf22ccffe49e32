"""Files that are written whole or not at all."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any


def atomic_write(path: Path, content: bytes | str) -> Path:
    """Write a file whole or not at all, its folder made, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    part.replace(path)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Write a JSON file for people, floats cut to six significant digits, and return its path."""
    return atomic_write(path, json.dumps(rounded(value), indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, or None if there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def lines_of(path: Path) -> list[str]:
    """Return the lines of a text file that hold anything; a packed one (``.gz``) is unpacked.

    Raises:
        FileNotFoundError: there is no such file.
    """
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    return [line for line in text.split("\n") if line.strip()]


def rounded(value: Any) -> Any:
    """Return the value with floats cut to six significant digits: no file needs more."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {str(key): rounded(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(own) for own in value]
    return value
