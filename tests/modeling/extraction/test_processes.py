"""An extractor works in forked, spawned and pooled processes; a way that hangs fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.conftest import REPOSITORY
from tests.modeling.extraction.processes import LIMIT, WAYS


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict]:
    """What came of each way, tried one after the other in one process with torch's own number of threads."""
    names = [name for name in WAYS if name != "joblib" or find_spec("joblib")]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment.pop("TOKENIZERS_PARALLELISM", None)  # as users run it
    done = subprocess.run(
        [sys.executable, "-m", "tests.modeling.extraction.processes", *names],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT * (len(names) + 1),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # A warning of the tokenizers library about forks would be the users' to read.
    assert "fork" not in done.stderr
    return {outcome["way"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_it_answers_in_other_processes(outcomes: dict[str, dict], way: str) -> None:
    if way not in outcomes:
        pytest.skip("joblib is not installed")
    assert outcomes[way]["problem"] == ""
    assert outcomes[way]["entities"] > 5


@pytest.mark.slow
def test_more_threads_in_a_fork_are_refused() -> None:
    code = """
import os, torch
from modeling.custom_generate.forking import guard_forks, set_threads
guard_forks()
child = os.fork()
if child:
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert torch.get_num_threads() == 1
set_threads(1)
try:
    set_threads(2)
except ValueError as error:
    os._exit(0 if "spawn" in str(error) else 1)
os._exit(2)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, timeout=LIMIT, check=False)
    assert done.returncode == 0
