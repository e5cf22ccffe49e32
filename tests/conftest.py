"""Settings and fixtures of the whole suite: no network, one thread a worker, the optional reference data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.deprecations import raise_for_our_calls

# Before any import of the libraries that read them. Subprocesses inherit them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
if "PYTEST_XDIST_WORKER" in os.environ:
    # torch takes its number of threads from here when it is imported: workers must not fight for the cores,
    # and tests without torch must not import it for that.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the reference data (benchmarks, fixtures); without it the tests that need it are skipped."""
    named = os.environ.get("DIFFUSION_NER_SHARED")
    folder = Path(named) if named else REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no reference data in {folder}: set DIFFUSION_NER_SHARED to its folder")
    return folder


_GUARD = raise_for_our_calls()


def pytest_configure() -> None:
    """Let a call of ours that a library announces to remove fail, from the first import of a test on."""
    next(_GUARD)


def pytest_unconfigure() -> None:
    """Take the guard away."""
    _GUARD.close()
