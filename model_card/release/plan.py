"""What a release would change on the Hub, file by file, before anything is changed."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from model_card.release.artefact import Artefact

# The Hub's own, made with the repository.
KEPT = ".gitattributes"
_CHUNK = 1 << 20


class PlanError(ValueError):
    """The release contradicts what is on the Hub; the message says how and what to do."""


@dataclass(frozen=True)
class Change:
    """How a folder differs from a revision on the Hub: paths in the repository, sorted."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True)
class RepoPlan:
    """What one artefact needs.

    Args:
        artefact: to be released.
        tag: of this version.
        head: the commit of ``main``, None if there is no repository yet.
        private: whether the repository is, None if there is none.
        tagged: whether the version is tagged on the Hub.
        change: against the tagged revision, else against ``main``.
    """

    artefact: Artefact
    tag: str
    head: str | None
    private: bool | None
    tagged: bool
    change: Change

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.tagged

    @property
    def upload_size(self) -> int:
        """The bytes of the files that are new or changed."""
        files = self.artefact.files
        return sum(files[name].stat().st_size for name in (*self.change.added, *self.change.changed))


def plan_repo(api: HfApi, artefact: Artefact, tag: str) -> RepoPlan:
    """Compare an artefact with the Hub.

    Raises:
        PlanError: this version is published with other content.
    """
    try:
        info = api.repo_info(artefact.repo_id, repo_type=artefact.kind.repo_type)
    except RepositoryNotFoundError:
        return RepoPlan(artefact, tag, None, None, False, Change(added=tuple(artefact.files)))
    refs = api.list_repo_refs(artefact.repo_id, repo_type=artefact.kind.repo_type)
    commit = next((ref.target_commit for ref in refs.tags if ref.name == tag), None)
    change = compare(api, artefact, commit or str(info.sha))
    if commit and change:
        names = ", ".join((*change.added, *change.changed, *change.removed)[:3])
        raise PlanError(
            f"{tag} of {artefact.repo_id} is published with other content ({names} ...): "
            "a version never changes, raise it with --version"
        )
    return RepoPlan(artefact, tag, info.sha, bool(info.private), commit is not None, change)


def compare(api: HfApi, artefact: Artefact, revision: str) -> Change:
    """Return how an artefact differs from a revision of its repository, by content."""
    tree = api.list_repo_tree(
        artefact.repo_id, recursive=True, revision=revision, repo_type=artefact.kind.repo_type
    )
    remote = {entry.path: entry for entry in tree if isinstance(entry, RepoFile) and entry.path != KEPT}
    local = artefact.files
    return Change(
        added=tuple(name for name in local if name not in remote),
        changed=tuple(
            name for name, path in local.items() if name in remote and not same(path, remote[name])
        ),
        removed=tuple(sorted(set(remote) - set(local))),
    )


def same(path: Path, remote: RepoFile) -> bool:
    """Return whether a file has the size and the checksum that the Hub tells."""
    size = path.stat().st_size
    if size != remote.size:
        return False
    # Large files are known by their SHA-256, the others as git knows them.
    digest = hashlib.sha256() if remote.lfs else hashlib.sha1(f"blob {size}\0".encode())
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == (remote.lfs.sha256 if remote.lfs else remote.blob_id)
