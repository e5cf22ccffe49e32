"""A fuzz run: slices of all targets by all engines, until the time is up; it can be stopped and resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.fuzz.findings import read

SLICE = (4.0, 60.0)  # seconds, least and most
# How much sooner than the others an engine has had its share: hypothesis tries few cases a second.
TURNS = {"hypothesis": 4}
START = 15.0  # seconds that a worker may take beyond its slice, to import and to end
ROOT = Path(__file__).resolve().parents[2]


class Campaign:
    """What was done under a folder, and what is done next: always the pair that had the least of its share.

    Args:
        folder: ``state.json``, the corpora of atheris and the last slice of each pair lie there.
        seed: of the first slice.
        targets: their names.
        engines: their names.
    """

    def __init__(self, folder: Path, seed: int, targets: Sequence[str], engines: Sequence[str]) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "state.json"
        self._lock = threading.Lock()
        self._running: set[str] = set()
        pairs = {f"{t}/{e}": {"cases": 0, "seconds": 0.0, "slices": 0} for t in targets for e in engines}
        kept = json.loads(self._path.read_text(encoding="utf-8")) if self._path.is_file() else {}
        if kept and kept["seed"] != seed:
            raise ValueError(
                f"{folder} holds a run of seed {kept['seed']}; name another --work, or that seed"
            )
        self.state: dict[str, Any] = {"seed": seed, "seconds": 0.0, "crashes": [], **kept}
        self.state["pairs"] = {**pairs, **kept.get("pairs", {})}
        self._wanted = list(pairs)

    @property
    def seconds(self) -> float:
        """Seconds of the clock that all runs of this campaign took."""
        return self.state["seconds"]

    def run(self, seconds: float, processes: int) -> None:
        """Go on until the campaign has taken so many seconds of the clock."""
        begun, before = time.monotonic(), self.seconds
        share = seconds * processes / (2 * len(self._wanted))
        length = min(max(share, SLICE[0]), SLICE[1])

        def work() -> None:
            while (left := seconds - before - (time.monotonic() - begun)) > 1:
                self._slice(min(length, left))
                with self._lock:
                    self.state["seconds"] = before + time.monotonic() - begun
                    self._save()

        threads = [threading.Thread(target=work) for _ in range(processes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def summary(self, target: str) -> dict[str, Any]:
        """Return cases and seconds of a target by engine, and its failures, one of each kind."""
        pairs = self.state["pairs"]
        own = {key.split("/")[1]: pair for key, pair in pairs.items() if key.split("/")[0] == target}
        seen: dict[tuple[str, str], dict[str, Any]] = {}
        for crash in self.state["crashes"]:
            if crash["target"] == target:
                kind = (crash["error"].split(":")[0], crash.get("where", ""))
                shortest = seen.setdefault(kind, crash)
                if len(crash.get("numbers", ())) < len(shortest.get("numbers", ())):
                    seen[kind] = crash
        return {"engines": own, "crashes": list(seen.values())}

    def _slice(self, seconds: float) -> None:
        with self._lock:
            pairs = self.state["pairs"]
            free = [key for key in self._wanted if key not in self._running]
            if not free:
                time.sleep(0.1)
                return
            key = min(free, key=lambda k: pairs[k]["seconds"] * TURNS.get(k.split("/")[1], 1))
            self._running.add(key)
            number = pairs[key]["slices"]
        target, engine = key.split("/")
        place = self.folder / "slices" / f"{target}-{engine}-{number}"
        place.mkdir(parents=True, exist_ok=True)
        seed = self.state["seed"] + number * 1009
        corpus = self.folder / "corpus" / target
        command = [target, engine, str(seconds), str(seed), str(place), str(corpus)]
        begun = time.monotonic()
        with (place / "log").open("wb") as log:
            try:
                status: int | str = subprocess.run(
                    [sys.executable, "-m", "tests.fuzz.worker", *command],
                    cwd=ROOT,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=seconds + 60 + START,
                ).returncode
            except subprocess.TimeoutExpired:
                status = "a time out"
        cases, failures = read(place)
        if status != 0:
            tail = (place / "log").read_text(encoding="utf-8", errors="replace")[-600:]
            failures.append({"error": f"the process ended with {status}: {tail}", "numbers": []})
        with self._lock:
            self._running.remove(key)
            pair = self.state["pairs"][key]
            pair["cases"] += cases
            pair["seconds"] = round(pair["seconds"] + time.monotonic() - begun, 1)
            pair["slices"] += 1
            where = {"target": target, "engine": engine, "seed": seed}
            self.state["crashes"] += [{**where, **failure} for failure in failures]
            self._save()

    def _save(self) -> None:
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self.state), encoding="utf-8")
        part.replace(self._path)
