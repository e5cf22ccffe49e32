"""Folders and files wherever they lie: on a disk, in S3 or GCS, on the Hub."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import fsspec
import pyarrow as pa
from pyarrow import fs

ASIDE = "_annotate/writing"  # files of a local output before they get their names


def filesystem_of(address: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a path or URL, and the path in it.

    Args:
        address: a local path, or a URL that pyarrow (``s3://``, ``gs://``, ``hdfs://``, ``abfs://``) or
            fsspec (``hf://datasets/ORGANISATION/NAME``) knows.

    Raises:
        ValueError: nobody knows the URL's scheme, or a package for it is missing.
    """
    if "://" not in address:
        return fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(address))
    try:
        return fs.FileSystem.from_uri(address)
    except pa.ArrowInvalid as error:
        try:
            other, path = fsspec.core.url_to_fs(address)
        except (ValueError, ImportError) as unknown:
            raise ValueError(
                f"cannot read {address!r}: {unknown}; use a local path, s3://, gs:// or hf://datasets/..."
            ) from error
        return fs.PyFileSystem(fs.FSSpecHandler(other)), path


@dataclass(frozen=True)
class Folder:
    """A folder that is written to; names are relative to it.

    Args:
        address: a local path (seen by every worker) or a URL of an object store.
    """

    address: str

    @cached_property
    def _place(self) -> tuple[fs.FileSystem, str]:
        system, path = filesystem_of(self.address)
        if isinstance(system, fs.PyFileSystem):
            raise ValueError(
                f"cannot write to {self.address!r} part by part; name a folder, s3:// or gs://, and upload "
                "it when it is complete (hf upload)"
            )
        return system, path.rstrip("/")

    def __getstate__(self) -> dict[str, Any]:
        return {"address": self.address}  # a worker opens its own connection

    @property
    def local(self) -> bool:
        """Whether it lies on a disk."""
        return isinstance(self._place[0], fs.LocalFileSystem)

    def path(self, name: str) -> str:
        """Return the path of a file in its file system."""
        return f"{self._place[1]}/{name}"

    @property
    def filesystem(self) -> fs.FileSystem:
        """The file system it lies in."""
        return self._place[0]

    def names(self, below: str = "") -> list[str]:
        """Return the names of the files that lie right in the folder, or in one below it, sorted."""
        at = self.path(below).rstrip("/")
        found = self.filesystem.get_file_info(fs.FileSelector(at, allow_not_found=True))
        return sorted(info.base_name for info in found if info.type == fs.FileType.File)

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return self.filesystem.get_file_info(self.path(name)).type == fs.FileType.File

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or None if there is none."""
        try:
            with self.filesystem.open_input_stream(self.path(name), compression=None) as stream:
                return stream.read()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        """Write a file so that nobody ever sees a part of it; one of that name is replaced.

        Raises:
            OSError: there is no room, or no permission.
        """
        path = self.path(name)
        if not self.local:  # an object appears when its upload is complete
            with self.filesystem.open_output_stream(path, compression=None) as stream:
                stream.write(content)
            return
        aside = self.path(f"{ASIDE}/{os.path.basename(name)}.{uuid.uuid4().hex}")
        for folder in {os.path.dirname(path), os.path.dirname(aside)}:
            os.makedirs(folder, exist_ok=True)
        try:
            with open(aside, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:
            if os.path.exists(aside):
                os.unlink(aside)
            raise

    def delete(self, name: str) -> None:
        """Delete a file if there is one."""
        if self.exists(name):
            self.filesystem.delete_file(self.path(name))

    def delete_folder(self, name: str) -> None:
        """Delete a folder below this one if there is one."""
        if self.filesystem.get_file_info(self.path(name)).type == fs.FileType.Directory:
            self.filesystem.delete_dir(self.path(name))


@dataclass(frozen=True)
class InputFile:
    """A file of the input.

    Args:
        name: as documents are told apart by it: relative to the folder that was given.
        address: of its folder's file system, a path or URL.
        path: in that file system.
        size: in bytes.
    """

    name: str
    address: str
    path: str
    size: int


def input_files(addresses: list[str]) -> Iterator[InputFile]:
    """Yield the files that paths and URLs name, a folder's sorted and without hidden ones (``.*``, ``_*``).

    Raises:
        FileNotFoundError: there is nothing at one of them.
    """
    for address in addresses:
        system, path = filesystem_of(address)
        info = system.get_file_info(path)
        if info.type == fs.FileType.NotFound:
            raise FileNotFoundError(f"there is no input {address!r}")
        if info.type != fs.FileType.Directory:
            yield InputFile(info.base_name, address, info.path, info.size)
            continue
        root = info.path.rstrip("/") + "/"
        inside = system.get_file_info(fs.FileSelector(info.path, recursive=True))
        for own in sorted(inside, key=lambda one: one.path):
            name = own.path.removeprefix(root)
            hidden = any(part.startswith((".", "_")) for part in name.split("/"))
            if own.type == fs.FileType.File and not hidden:
                yield InputFile(name, address, own.path, own.size)
