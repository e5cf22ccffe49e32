"""The pins name every package that the requirements name, within its range."""

from __future__ import annotations

from packaging.requirements import Requirement

from tests.versions import ROOT, named, normalized, pins


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_every_required_package_is_pinned():
    assert set(named()) <= set(constraints())


def test_every_pin_is_within_the_requirements():
    pinned = constraints()
    for path in ROOT.glob("requirements*.txt"):
        if path.name in {"requirements-gliner.txt", "requirements-vllm.txt"}:  # environments of their own
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line or line.startswith(("#", "-r")):
                continue
            requirement = Requirement(line)
            name = normalized(requirement.name)
            if name in pinned:
                assert requirement.specifier.contains(pinned[name]), line


def test_pins_are_of_the_installed_packages():
    installed = pins()
    assert installed["torch"].count("+") == 0
    assert installed["pytest"]
    assert "pip" not in installed
