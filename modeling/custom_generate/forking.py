"""Forked processes: locks that a child finds free, and torch on one thread in it.

A forked child has one thread. The pools of OpenMP threads, in which torch computes, and of the tokenizer's
threads are copied without their threads: the first parallel loop in the child waits for them for ever. So a
child of a process that holds a model computes on one thread. A lock that another thread held at the fork
would stay locked in the child: so a fork waits until all locks of this module are free.
"""

import os
import sys
import threading
from typing import Any
from weakref import WeakSet

_TOKENIZER_THREADS = "TOKENIZERS_PARALLELISM"  # the environment variable that the tokenizers library reads


class ForkSafeLock:
    """A mutual-exclusion lock that no fork leaves locked. A copy and an unpickled lock are new and free."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        with _fork.registry:
            _fork.locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type["ForkSafeLock"], tuple[()]]:
        return ForkSafeLock, ()


class _Fork:
    """What this module knows of the process, and the three steps of a fork."""

    def __init__(self) -> None:
        self.registry = threading.Lock()
        self.locks: WeakSet[ForkSafeLock] = WeakSet()
        self.computes = False  # whether this process may have run a model
        self.forked = False  # whether this process is the child of one that may have
        self._held: list[ForkSafeLock] = []
        self._parallel: str | None = None

    def before(self) -> None:
        self.registry.acquire()
        self._held = list(self.locks)
        for lock in self._held:
            lock.__enter__()
        if self.computes:  # set before the fork: the tokenizers library writes to stderr otherwise
            self._parallel = os.environ.get(_TOKENIZER_THREADS)
            os.environ[_TOKENIZER_THREADS] = "false"

    def in_parent(self) -> None:
        if self.computes:
            if self._parallel is None:
                del os.environ[_TOKENIZER_THREADS]
            else:
                os.environ[_TOKENIZER_THREADS] = self._parallel
        self._release()

    def in_child(self) -> None:
        self._release()
        torch: Any = sys.modules.get("torch")
        if self.computes and torch is not None:
            self.forked = True
            torch.set_num_threads(1)

    def _release(self) -> None:
        for lock in self._held:
            lock.__exit__()
        self._held = []
        self.registry.release()


_fork = _Fork()
if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(before=_fork.before, after_in_parent=_fork.in_parent, after_in_child=_fork.in_child)


def guard_forks() -> None:
    """Say that this process runs a model: children forked from now on compute on one thread."""
    _fork.computes = True


def set_threads(count: int) -> None:
    """Set torch's CPU threads in the whole process.

    Raises:
        ValueError: this process was forked from one that ran a model, so that several threads would hang.
    """
    import torch

    if _fork.forked and count > 1:
        raise ValueError(
            f"threads={count} in a forked process whose parent has loaded a model would wait for ever for "
            "threads that the fork did not copy; leave threads out, or start the process with 'spawn'"
        )
    torch.set_num_threads(count)
