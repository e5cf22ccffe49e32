"""The Space as it lies on the Hub, served once for all its tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.spaces import ROOT, served


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `python app.py` in a folder that holds the app's files and `modeling`, nothing else."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(ROOT / "space_app", folder / "space", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "space" / "modeling").symlink_to(ROOT / "modeling")
    with served(folder / "space", folder) as url:
        yield url
