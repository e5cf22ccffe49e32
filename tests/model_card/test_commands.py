"""One entry point: its commands, those under their former names, and how they end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from model_card.__main__ import COMMANDS, main
from model_card.evidence.results import ROOT
from model_card.experiments.registry import EXPERIMENTS
from model_card.moved import MOVED


@pytest.mark.parametrize("words", [*COMMANDS, *(f"experiment {name}" for name in EXPERIMENTS)])
def test_every_command_explains_itself(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    if words == "experiment":
        assert main([words]) == 2
        assert "name an experiment; known are main, pareto" in capsys.readouterr().err
        return
    with pytest.raises(SystemExit) as ended:
        main([*words.split(), "--help"])
    assert ended.value.code == 0
    assert f"usage: python -m model_card {words}" in capsys.readouterr().out


def test_former_names_lead_to_commands() -> None:
    for words in MOVED.values():
        name, _, rest = words.partition(" ")
        assert words in COMMANDS or (name == "experiment" and rest in EXPERIMENTS), words


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("model_card.speed", "speed"),
        ("model_card.experiments.size", "experiment size"),
    ],
)
def test_a_former_module_still_runs(module: str, words: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    assert f"usage: python -m model_card {words}" in result.stdout


def test_wrong_use_ends_with_two_and_a_failure_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2
    assert "error: there is no command 'nonsense'" in capsys.readouterr().err
    assert main(["experiment", "nonsense"]) == 2
    assert main(["evaluate", "--adaptive", "luck", "1"]) == 2
    assert main(["evaluate", "--latency", "60"]) == 2
    assert "python -m model_card speed latency --sentences 60" in capsys.readouterr().err
    assert main(["evaluate", "--model", "./nowhere"]) == 1
    error = capsys.readouterr().err
    assert "error: there is no model folder './nowhere'" in error
    assert "Traceback" not in error
