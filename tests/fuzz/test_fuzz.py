"""Fuzzing in small: some cases of every target, every case that once failed, and the runner itself."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import formats
from tests.fuzz.campaign import Campaign
from tests.fuzz.draws import ByteDraws, HypothesisDraws, KeptDraws
from tests.fuzz.target import Target
from tests.fuzz.targets import NAMES, attempt, target_of

SEEDS = json.loads((Path(__file__).parent / "seeds.json").read_text(encoding="utf-8"))
CASES = {"extraction": 6, "grounded": 40, "alignment": 60, "aligned": 60, "free": 60}  # others 200
QUIET = pytest.mark.filterwarnings("ignore:.*fill the longest canvas")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@QUIET
@pytest.mark.parametrize("name", NAMES)
def test_the_property_holds_for_random_bytes(name: str) -> None:
    stream, target = random.Random(name), target_of(name)
    for _ in range(CASES.get(name, 200)):
        assert attempt(target, ByteDraws(stream.randbytes(stream.choice((16, 64, 256))))) is None


@pytest.mark.parametrize("name", list(formats.TARGETS))
def test_the_property_holds_for_what_hypothesis_finds(name: str) -> None:
    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        target_of(name).check(HypothesisDraws(data))

    check()


@QUIET
@pytest.mark.parametrize("seed", SEEDS, ids=[f"{seed['target']}-{n}" for n, seed in enumerate(SEEDS)])
def test_what_failed_once_holds_now(seed: dict) -> None:
    target_of(seed["target"]).check(KeptDraws(seed["numbers"]))


def test_a_case_can_be_kept_and_tried_again() -> None:
    """What fails is recorded with the numbers that make it fail again."""

    def no_nines(draws: ByteDraws) -> None:
        numbers = draws.several(lambda: draws.integer(0, 9), 5)
        assert 9 not in numbers, "a nine"

    target = Target("no number is nine", no_nines)  # type: ignore[arg-type]
    assert attempt(target, ByteDraws(bytes([2, 1, 3]))) is None
    failure = attempt(target, ByteDraws(bytes([2, 1, 9])))
    assert failure is not None
    assert failure["numbers"] == [2, 1, 9]
    assert failure["error"].startswith("AssertionError: a nine")
    assert failure["where"].startswith("tests/fuzz/test_fuzz.py:")
    assert attempt(target, KeptDraws(failure["numbers"])) == failure


def test_a_campaign_counts_resumes_and_goes_on(tmp_path: Path) -> None:
    first = Campaign(tmp_path, 3, ["types"], ["random"])
    first.run(3, 1)
    cases = first.summary("types")["engines"]["random"]["cases"]
    assert cases > 100
    assert first.summary("types")["crashes"] == []
    again = Campaign(tmp_path, 3, ["types"], ["random"])
    assert again.seconds == pytest.approx(first.seconds)
    again.run(3, 1)  # the time is up: nothing is left to do
    assert again.summary("types")["engines"]["random"]["cases"] == cases
    with pytest.raises(ValueError, match="holds a run of seed 3; name another --work, or that seed"):
        Campaign(tmp_path, 4, ["types"], ["random"])


def test_a_worker_that_dies_is_a_failure(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, 0, ["nonsense"], ["random"])
    campaign.run(1.5, 1)
    (crash,) = campaign.summary("nonsense")["crashes"]
    assert "the process ended with 1" in crash["error"]
