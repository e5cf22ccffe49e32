"""Each fault is provoked, and seen as the committed table says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from modeling import EntityExtractor
from tests.faults.case import Fault, Place
from tests.faults.table import GROUPS, committed

CASES = [(group, fault) for group, faults in GROUPS.items() for fault in faults]


@pytest.fixture(scope="module")
def embedded() -> EntityExtractor:
    torch.set_num_threads(1)
    return EntityExtractor.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults") / "shared"


@pytest.mark.filterwarnings("ignore:.*fill the longest canvas")
@pytest.mark.parametrize(("group", "fault"), CASES, ids=[fault.id for _, fault in CASES])
def test_a_fault_is_seen_as_the_table_says(
    group: str, fault: Fault, embedded: EntityExtractor, shared_folder: Path, tmp_path: Path
) -> None:
    assert fault.row(Place(tmp_path.resolve(), shared_folder, embedded)) == committed().get(
        (group, fault.name)
    ), "the table is stale: run python -m tests.faults"


def test_the_table_has_no_other_rows() -> None:
    assert set(committed()) == {(group, fault.name) for group, fault in CASES}
