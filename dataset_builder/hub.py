"""Gets the source from the Hub, and uploads a built data set to it."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError

from dataset_builder.settings import CONFIGS
from dataset_builder.source import SourceError

SOURCE_REPOSITORY = "Universal-NER/Pile-NER-type"
SOURCE_FILE = "train.json"
SHARDS = tuple(f"{name}/*.parquet" for name in CONFIGS)

# What the Hub client raises. Its transport's own error class comes from another package in each major
# version, but is always a base of the client's.
_CLIENT_ERRORS = cast(tuple[type[Exception], ...], HfHubHTTPError.__bases__)
HUB_ERRORS: tuple[type[Exception], ...] = (*_CLIENT_ERRORS, OSError, ValueError, RuntimeError)


class UploadError(RuntimeError):
    """The upload failed; the message says why and how to repeat it."""


def download_source() -> Path:
    """Return the local path of the published source file, downloaded from the Hub if need be.

    Raises:
        SourceError: the Hub cannot be reached, or refuses.
    """
    try:
        return Path(hf_hub_download(SOURCE_REPOSITORY, SOURCE_FILE, repo_type="dataset"))
    except HUB_ERRORS as error:
        raise SourceError(
            f"tried {SOURCE_FILE} of the Hub data set {SOURCE_REPOSITORY} and could not get it "
            f"({_reason(error)}); check the connection (and HF_HUB_OFFLINE), "
            "or pass --source FILE with a downloaded copy"
        ) from error


def push_to_hub(folder: Path, repository: str, private: bool = False, shards: Sequence[str] = SHARDS) -> str:
    """Upload a data set in one commit and return the commit's address.

    Shards that an earlier version had and this one has not are deleted.

    Args:
        folder: what a builder of this package wrote.
        repository: Hub id (``"name/data-set"``); made if there is none.
        private: make a new repository private.
        shards: patterns of the files that are deleted where ``folder`` lacks them.

    Raises:
        UploadError: the Hub cannot be reached, or refuses.
    """
    api = HfApi()
    try:
        api.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            repo_type="dataset",
            folder_path=folder,
            commit_message="Upload the data set",
            delete_patterns=list(shards),
        )
    except HUB_ERRORS as error:
        raise UploadError(
            f"could not upload to the Hub data set {repository!r} ({_reason(error)}); the data set is "
            f"complete in {str(folder)!r}: log in (hf auth login) and repeat with "
            f"hf upload --repo-type dataset {repository} {folder}"
        ) from error
    return str(commit.commit_url)


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
