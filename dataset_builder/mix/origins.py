"""The table of origins: repository, path, licence and checksum of every file that a build reads."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import yaml

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Origin:
    """Where the file of one source comes from.

    Attributes:
        repository: GitHub repository, or the name of the published resource.
        path: what of it was converted.
        licence: as in the table of sources.
        sha256: of the converted file.
    """

    repository: str
    path: str
    licence: str
    sha256: str


def load_origins() -> dict[str, Origin]:
    """Return the origins by source name.

    Raises:
        TypeError: an entry of the table has not the four fields.
    """
    text = resources.files(__package__).joinpath("origins.yaml").read_text("utf-8")
    return {name: Origin(**entry) for name, entry in yaml.safe_load(text).items()}


def differing_files(files: Mapping[str, Path]) -> list[str]:
    """Compare files with the table.

    Args:
        files: path of the file of each source.

    Returns:
        a sentence for each file that is not the one of the table; missing files are passed over.

    Raises:
        KeyError: a source is not in the table.
    """
    origins = load_origins()
    found = []
    for name, path in files.items():
        if not path.is_file():
            continue  # who reads it says so, and what to do
        checksum = sha256(path)
        if checksum != origins[name].sha256:
            found.append(
                f"{path} is not the file of the table of origins (SHA-256 {checksum[:12]}..., expected "
                f"{origins[name].sha256[:12]}...): rows of {name} may differ from those of the released "
                f"model; get it again from {origins[name].repository} or go on if the change is meant"
            )
    return found


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
