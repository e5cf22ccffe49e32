"""Several training seeds side by side, and F1 against megabytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dataset_builder.benchmarks import BENCHMARKS
from model_card.__main__ import main
from model_card.evidence.provenance import weights_sha256
from model_card.evidence.results import RESULTS, ROOT, read
from model_card.experiments.seeds import OWN, merged
from model_card.experiments.size import weight_bytes

SHIPPED = "b"


def report(weights: str, values: list[float], **changes: Any) -> dict[str, Any]:
    """What model_card.evaluate writes, with these F1 on the seven sets."""
    sets = {
        name: {"f1": value, "bootstrap": {"f1": [value - 0.01, value + 0.01]}, "forwards": 1.0}
        for name, value in zip(BENCHMARKS, values, strict=True)
    }
    shared = {"what": "F1", "split": "test", "limit": None, "dtype": "float32", "options": {}}
    own = dict.fromkeys(OWN, "told") | {"weights_sha256": weights}
    return {**shared, "data_sha256": {"a": "0"}, **own, "results": {"aligned, T=1": sets}, **changes}


def test_mean_and_spread_by_hand() -> None:
    runs = [report("a", [0.4] * 7), report(SHIPPED, [0.5] * 7), report("c", [0.6] * 6 + [0.9])]
    found = merged(runs, SHIPPED)
    assert found["shipped"] == 1
    row = found["settings"]["aligned, T=1"]
    assert row["sets"]["crossner_ai"]["mean"] == pytest.approx(0.5)
    assert row["sets"]["crossner_ai"]["sd"] == pytest.approx(0.1)
    assert row["sets"]["crossner_ai"]["intervals"][1] == pytest.approx([0.49, 0.51])
    assert row["mean"]["runs"] == pytest.approx([0.4, 0.5, 4.5 / 7])


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (report("c", [0.5] * 7), "no report is of the released weights"),
        (report("a", [0.5] * 7), "no report is of the released weights"),
        (report(SHIPPED, [0.5] * 7, split="dev"), "differ in 'split'"),
        (report(SHIPPED, [0.5] * 7, results={}), "different decoding settings"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(second, said) -> None:
    with pytest.raises(ValueError, match=said):
        merged([report("a", [0.5] * 7), second], SHIPPED)


def test_one_run_and_the_same_run_twice_are_no_spread() -> None:
    with pytest.raises(ValueError, match="two runs at least"):
        merged([report(SHIPPED, [0.5] * 7)], SHIPPED)
    with pytest.raises(ValueError, match="same weights"):
        merged([report(SHIPPED, [0.5] * 7)] * 2, SHIPPED)


def test_the_command_writes_the_report(tmp_path: Path, capsys) -> None:
    shipped = weights_sha256("mini")
    assert shipped is not None
    for name, weights in (("0", "a"), ("1", shipped)):
        (tmp_path / f"{name}.json").write_text(json.dumps(report(weights, [0.5] * 7)), encoding="utf-8")
    files = [str(tmp_path / f"{n}.json") for n in range(2)]
    command = ["experiment", "seeds", "--results", str(tmp_path), "--reports"]
    assert main([*command, *files]) == 0
    assert "**50.0 ± 0.0**" in capsys.readouterr().out
    assert main([*command, files[0], str(tmp_path / "no.json")]) == 1
    assert "no.json" in capsys.readouterr().err


def test_the_measured_size_is_that_of_the_shipped_weights() -> None:
    found = read(RESULTS / "mini", "size")
    assert found is not None
    own = [row for row in found["results"]["rows"] if not row["published"]]
    for row in own:
        assert row["megabytes"] == pytest.approx(weight_bytes("mini") / 1e6, rel=1e-5)
    files = sorted((ROOT / "modeling/mini").glob("*.safetensors"))
    assert weight_bytes("mini") == sum(path.stat().st_size for path in files)
