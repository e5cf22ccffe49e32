"""Runs the loopback Hub in a thread."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from tests.hub.app import TOKEN, make_app
from tests.hub.faults import Faults
from tests.hub.store import Store

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class LoopbackHub:
    """A running Hub: its address, what it holds, what goes wrong."""

    store: Store = field(default_factory=Store)
    endpoint: str = ""

    def __post_init__(self) -> None:
        self.faults = Faults(make_app(self.store))

    def reset(self) -> None:
        """Empty it."""
        self.faults.set(None)
        self.store.repositories.clear()
        self.store.objects.clear()
        self.store.collections.clear()

    def environment(self, home: Path, token: bool = True) -> dict[str, str]:
        """Return the environment of a fresh process whose Hub this is, with its caches in ``home``.

        The project is not on its path, and nothing that this machine has cached or logged in to is seen.
        """
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "PYTHON", "PYTEST"))
        }
        kept |= {
            "HF_ENDPOINT": self.endpoint,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HOME": str(home),
            "HOME": str(home),
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "NO_COLOR": "1",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        return kept | ({"HF_TOKEN": TOKEN} if token else {})


@contextmanager
def serve() -> Iterator[LoopbackHub]:
    """Run a Hub on a free port of this machine."""
    hub = LoopbackHub()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        hub.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            hub.faults, log_level="critical", lifespan="off", http="h11", timeout_keep_alive=60
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield hub
        server.should_exit = True
        thread.join()


def with_project(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the project on the path, for the release command itself."""
    return {**environment, "PYTHONPATH": str(ROOT)}
