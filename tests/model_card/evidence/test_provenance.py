"""What tells one model's results from another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_card.evidence.provenance import weights_key, weights_sha256


def test_a_folder_is_known_by_its_weights() -> None:
    assert weights_key("mini") == weights_sha256("mini")


def test_a_hub_model_is_known_by_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same id at another commit is another model: its answers are not those that are kept."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--org--name"
    (repository / "refs").mkdir(parents=True)
    first, second = "a" * 40, "b" * 40
    for commit in (first, second):
        folder = repository / "snapshots" / commit
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}", encoding="utf-8")
        (repository / "refs" / "main").write_text(commit, encoding="utf-8")
        assert weights_key("org/name") == commit
    assert weights_key("org/name", first) == first
    assert weights_sha256("org/name") is None
