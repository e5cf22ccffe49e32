"""What the loopback Hub keeps: repositories with commits, branches and tags, large files, collections."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

# As in the .gitattributes that the Hub puts into a new repository.
LFS_PATTERNS = ("*.safetensors", "*.parquet", "*.bin", "*.gz", "*.onnx", "*.pt", "*.zip")
LFS_FROM = 10 * 1024**2
DATE = "2026-01-01T00:00:00.000Z"


class HubError(Exception):
    """An answer other than success: status, the Hub's error code and a message."""

    def __init__(self, status: int, code: str | None = None, message: str = "", **content: Any) -> None:
        super().__init__(message or code or str(status))
        self.status, self.code, self.message, self.content = status, code, message, content


@dataclass(frozen=True)
class Blob:
    """One version of a file."""

    data: bytes
    lfs: bool

    @property
    def sha256(self) -> str:
        """The id of a large file's content."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def pointer(self) -> bytes:
        """What git holds of a large file."""
        head = "version https://git-lfs.github.com/spec/v1"
        return f"{head}\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @property
    def oid(self) -> str:
        """The id that git gives the blob."""
        held = self.pointer if self.lfs else self.data
        return hashlib.sha1(b"blob %d\0" % len(held) + held).hexdigest()

    def info(self, path: str) -> dict[str, Any]:
        """Return the entry of a tree listing."""
        entry = {"type": "file", "path": path, "size": len(self.data), "oid": self.oid}
        if self.lfs:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.data), "pointerSize": len(self.pointer)}
        return entry


@dataclass(frozen=True)
class Commit:
    """A state of all files of a repository."""

    oid: str
    title: str
    parent: str | None
    files: dict[str, Blob]


@dataclass
class Repository:
    """One repository; ``refs`` are its branches and pull requests by name, ``tags`` its tags."""

    repo_type: str
    id: str
    private: bool
    sdk: str | None
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, revision: str) -> Commit:
        """Return the commit that a branch, tag or id names."""
        oid = self.refs.get(revision) or self.tags.get(revision) or revision
        if oid not in self.commits:
            raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return self.commits[oid]

    def add(self, ref: str, title: str, files: dict[str, Blob]) -> Commit:
        """Put a commit on a branch, whole."""
        parent = self.refs.get(ref)
        tree = "\n".join(f"{path} {blob.oid}" for path, blob in sorted(files.items()))
        text = f"{self.id} {parent} {title} {len(self.commits)}\n{tree}"
        oid = hashlib.sha1(text.encode()).hexdigest()
        self.commits[oid] = Commit(oid, title, parent, files)
        self.refs[ref] = oid
        return self.commits[oid]


class Store:
    """All of the Hub. Its methods are called by one request at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.collections: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)

    def take(self, other: Store) -> None:
        """Take over all that another store has, which is then empty."""
        for name in ("repositories", "objects", "collections"):
            held = getattr(other, name)
            setattr(self, name, dict(held))
            held.clear()

    def repository(self, repo_type: str, repo_id: str, authorised: bool = True) -> Repository:
        """Return a repository that the caller may see."""
        found = self.repositories.get((repo_type, repo_id))
        if found is None or (found.private and not authorised):
            raise HubError(404 if authorised else 401, "RepoNotFound", "Repository not found")
        return found

    def create(self, repo_type: str, repo_id: str, private: bool, sdk: str | None) -> Repository:
        """Make a repository with the first commit that the Hub makes."""
        if (repo_type, repo_id) in self.repositories:
            raise HubError(409, None, "You already created this repo", url=f"/{repo_id}")
        repository = Repository(repo_type, repo_id, private, sdk)
        lines = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LFS_PATTERNS)
        repository.add("main", "initial commit", {".gitattributes": Blob(lines.encode(), False)})
        self.repositories[repo_type, repo_id] = repository
        return repository

    def apply(
        self, repository: Repository, ref: str, operations: Iterable[dict[str, Any]], new_ref: str | None
    ) -> Commit:
        """Apply the operations of a commit request, all or none."""
        head = repository.commit(ref)
        files, title = dict(head.files), ""
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "header":
                title = value["summary"]
                expected = value.get("parentCommit")
                if expected is not None and expected != head.oid:
                    raise HubError(412, None, "A commit has happened since. Please refresh and try again.")
            elif operation["key"] == "file":
                files[value["path"]] = Blob(value["content"], False)
            elif operation["key"] == "lfsFile":
                if value["oid"] not in self.objects:
                    raise HubError(400, None, f"LFS pointer of {value['path']} pointed to a missing object")
                files[value["path"]] = Blob(self.objects[value["oid"]], True)
            elif operation["key"] == "deletedFile":
                if value["path"] not in files:
                    raise HubError(404, "EntryNotFound", "A file with this name doesn't exist")
                del files[value["path"]]
            elif operation["key"] == "deletedFolder":
                files = {p: b for p, b in files.items() if not p.startswith(value["path"].rstrip("/") + "/")}
            else:
                raise HubError(400, None, f"unknown operation {operation['key']}")
        if new_ref is not None:
            repository.refs[new_ref] = head.oid
        return repository.add(new_ref or ref, title, files)

    def add_collection(self, title: str, namespace: str, description: str, private: bool) -> dict[str, Any]:
        """Make a collection; 409 with its slug if there is one of that title."""
        for known in self.collections.values():
            if (known["title"], known["owner"]["name"]) == (title, namespace):
                raise HubError(409, None, "This collection already exists", slug=known["slug"])
        name = "".join(c if c.isalnum() else "-" for c in title.lower())
        slug = f"{namespace}/{name}-{next(self._numbers):024x}"
        self.collections[slug] = {
            "slug": slug,
            "title": title,
            "owner": {"name": namespace},
            "items": [],
            "lastUpdated": DATE,
            "position": 0,
            "private": private,
            "theme": "green",
            "upvotes": 0,
            "description": description,
        }
        return self.collections[slug]

    def add_item(self, slug: str, item: dict[str, Any], note: str | None) -> dict[str, Any]:
        """Put a repository into a collection; 409 if it is there."""
        collection = self.collection(slug)
        self.repository(item["type"], item["id"])
        if any((known["type"], known["id"]) == (item["type"], item["id"]) for known in collection["items"]):
            raise HubError(409, None, "Item already in the collection")
        number = len(collection["items"])
        entry = {"_id": f"{number:024x}", "id": item["id"], "type": item["type"], "position": number}
        collection["items"].append(entry | ({"note": {"text": note}} if note else {}))
        return collection

    def collection(self, slug: str) -> dict[str, Any]:
        """Return a collection."""
        if slug not in self.collections:
            raise HubError(404, None, "Collection not found")
        return self.collections[slug]


def upload_mode(path: str, size: int) -> str:
    """Return how the Hub wants a file: ``lfs`` or ``regular``."""
    name = path.rsplit("/", 1)[-1]
    large = size >= LFS_FROM or any(fnmatch(name, pattern) for pattern in LFS_PATTERNS)
    return "lfs" if large else "regular"
