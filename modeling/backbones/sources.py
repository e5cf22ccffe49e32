"""Where a checkpoint lies: a folder, or a repository of the Hugging Face Hub. Files only, no code."""

import json
from pathlib import Path
from typing import Any

from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

EMBEDDED = Path(__file__).resolve().parents[1] / "mini"
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
        # The cache also keeps what a repository was found not to have, so that a model loads again offline.
        if try_to_load_from_cache(source, name, revision=revision) is _CACHED_NO_EXIST:
            return None
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


def base_of(source: str, adapter: dict[str, Any]) -> str:
    """Return the folder or Hub id of an adapter's base.

    Args:
        source: the adapter's folder or Hub id.
        adapter: the content of its ``adapter_config.json``.

    Raises:
        ValueError: it names no base, or one that is an adapter itself.
        OSError: the base cannot be found or reached.
    """
    base = adapter.get("base_model_name_or_path")
    if not base or not isinstance(base, str):
        raise ValueError(
            f"adapter_config.json of {source!r} names no base_model_name_or_path; add the base's Hub id"
        )
    if read_json(resolve(base), "adapter_config.json", adapter.get("revision")) is not None:
        raise ValueError(
            f"the base of the adapter {source!r} is {base!r}, which is an adapter itself; "
            "merge that one (python -m modeling.merge) and name the merged model as base_model_name_or_path"
        )
    return base


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
    except (ValueError, RecursionError) as error:  # a number of too many digits, too many brackets
        raise ValueError(f"{name} of {source!r} is not valid JSON ({error}); download it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{name} of {source!r} is not a JSON object; download it again")
    return content
