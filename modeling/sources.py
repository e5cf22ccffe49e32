"""Where a checkpoint lies: a folder, or a repository of the Hugging Face Hub. Files only, no code."""

import json
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

EMBEDDED = Path(__file__).parent / "mini"
EMBEDDED_NAME = "mini"


def resolve(path_or_id: str | Path | None) -> str:
    """Return the folder or Hub id to load: None or ``"mini"`` is the embedded default.

    Raises:
        FileNotFoundError: it looks like a folder and there is none.
    """
    if path_or_id is None or str(path_or_id) == EMBEDDED_NAME:
        if not EMBEDDED.is_dir():
            raise FileNotFoundError(
                "the embedded default model is missing from modeling/mini; "
                "clone the repository whole, or name a model: --model FOLDER_OR_HUB_ID"
            )
        return str(EMBEDDED)
    source = str(path_or_id)
    if source.startswith("~"):
        source = str(Path(source).expanduser())
    if Path(source).is_dir():
        return source
    looks_local = source.startswith((".", "/")) or source.count("/") != 1
    if looks_local:
        raise FileNotFoundError(
            f"there is no model folder {source!r}; "
            "give an existing folder or a Hub id of the form 'organisation/name'"
        )
    return source


def file_of(source: str, name: str, revision: str | None = None) -> Path | None:
    """Return the local path of one file of the checkpoint, or None if the checkpoint has no such file.

    Raises:
        OSError: the Hub cannot be reached and the file is not in the cache, or there is no such repository.
    """
    if Path(source).is_dir():
        path = Path(source) / name
        return path if path.is_file() else None
    try:
        return Path(hf_hub_download(source, name, revision=revision))
    except (LocalEntryNotFoundError, ConnectionError) as error:
        raise OSError(
            f"cannot reach the Hugging Face Hub for {name!r} of {source!r}, and the cache does not have it; "
            "connect to the internet, or download the repository where there is a connection "
            f"(hf download {source}) and give the folder"
        ) from error
    except EntryNotFoundError:
        return None
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise OSError(
            f"there is no model repository {source!r} that you can read on the Hugging Face Hub; "
            "check the spelling, or log in (hf auth login) if it is private"
        ) from error


def read_json(source: str, name: str, revision: str | None = None) -> dict[str, Any] | None:
    """Return one JSON file of the checkpoint, or None if it has none.

    Raises:
        ValueError: the file is not a JSON object.
    """
    path = file_of(source, name, revision)
    if path is None:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{name} of {source!r} is not valid JSON ({error}); download it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{name} of {source!r} is not a JSON object; download it again")
    return content
