"""One loopback Hub, one set of models and one release of everything for all tests of this folder."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.dataset_builder.conftest import tokenizer_folder  # noqa: F401  # a fixture
from tests.hub.server import LoopbackHub, serve, with_project


class Outcome(NamedTuple):
    """What a command said."""

    status: int
    output: str
    errors: str


@dataclass
class Releaser:
    """A process that runs release commands against a Hub."""

    process: subprocess.Popen[str]
    hub: LoopbackHub

    def __call__(self, arguments: Sequence[str]) -> Outcome:
        """Run ``python -m model_card.release`` with these arguments."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(list(arguments)) + "\n")
        self.process.stdin.flush()
        return Outcome(*json.loads(self.process.stdout.readline()))


@dataclass(frozen=True)
class Release:
    """A Hub to which everything was pushed, and what the command said."""

    hub: LoopbackHub
    first: Outcome


@pytest.fixture(scope="session")
def folders(tmp_path_factory, tokenizer_folder):  # noqa: F811
    """The data set and the models that are not part of the repository, as ``--KEY`` arguments."""
    from dataset_builder.build import main as build
    from tests.dataset_builder.records import small_source
    from tests.hub.models import make_models

    work = tmp_path_factory.mktemp("release-sources")
    source = small_source(work / "source.json")
    options = ["--source", str(source), "--tokenizer", str(tokenizer_folder), "--num-proc", "1"]
    assert build([*options, "--output", str(work / "pile_ner")]) == 0
    models = make_models(work)
    return {
        "dataset": work / "pile_ner",
        "base": models.base,
        "adapter": models.adapter,
        "full": models.full,
    }


def releaser(hub: LoopbackHub, home: Path) -> Iterator[Releaser]:
    """Run a worker for as long as it is needed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hub.worker"],
        env=with_project(hub.environment(home)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield Releaser(process, hub)
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=30)


@pytest.fixture(scope="session")
def own_hub(tmp_path_factory) -> Iterator[Releaser]:
    """A Hub that a test may empty and break, and what releases to it."""
    with serve() as hub:
        yield from releaser(hub, tmp_path_factory.mktemp("breaking"))


@pytest.fixture(scope="session")
def released(folders, own_hub) -> Iterator[Release]:
    """Everything pushed to a Hub, which is then kept as it is at an address of its own."""
    arguments = ["--namespace", "acme"]
    for key, folder in folders.items():
        arguments += [f"--{key}", str(folder)]
    own_hub.hub.reset()
    first = own_hub(arguments)
    with serve() as hub:
        hub.store.take(own_hub.hub.store)
        yield Release(hub, first)
