"""What a worker leaves behind, whole at any moment: how many cases it tried, and what failed."""

from __future__ import annotations

import json
import mmap
import time
from pathlib import Path
from typing import Any

MOST = 20  # kept of one worker: the same fault comes in thousands


class Findings:
    """The count is in a file mapped into memory: a worker that crashes hard loses none of it.

    Args:
        folder: of this worker's slice; it exists.
    """

    def __init__(self, folder: Path) -> None:
        count = folder / "count"
        count.write_bytes(bytes(8))
        with count.open("r+b") as file:
            self._count = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")
        self._file = folder / "failures.jsonl"
        self._seen: set[tuple[str, str]] = set()

    def case(self, failure: dict[str, Any] | None) -> None:
        """Count one case, and keep its failure if there is none like it yet."""
        self._count[0] += 1
        if failure is None:
            return
        kind = (failure["error"].split(":")[0], failure["where"])
        if kind not in self._seen and len(self._seen) < MOST:
            self._seen.add(kind)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(failure) + "\n")


def read(folder: Path) -> tuple[int, list[dict[str, Any]]]:
    """Return how many cases a worker tried, and what failed."""
    count, failures = folder / "count", folder / "failures.jsonl"
    lines = failures.read_text(encoding="utf-8").splitlines() if failures.is_file() else []
    number = int.from_bytes(count.read_bytes(), "little") if count.is_file() else 0
    return number, [json.loads(line) for line in lines]


class Clock:
    """Tells when a slice is over, from when its first case begins.

    Args:
        seconds: that a slice lasts.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end
