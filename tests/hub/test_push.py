"""A release is pushed whole or not at all, once, and goes on where it was cut off."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from model_card.release.artefact import KINDS
from tests.hub.conftest import Release, Releaser
from tests.hub.faults import Fault
from tests.hub.store import Repository, Store

TAG = "v1.0.0"
WRITES = ("POST", "PUT", "DELETE", "PATCH")


@pytest.fixture
def adapter(own_hub: Releaser, folders, tmp_path) -> tuple[Releaser, list[str]]:
    """An empty Hub and the command that releases the adapter and its Collection."""
    own_hub.hub.reset()
    return own_hub, [
        "--namespace",
        "acme",
        "--only",
        "adapter",
        "collection",
        "--adapter",
        str(folders["adapter"]),
    ]


def visible(store: Store, key: str = "adapter", namespace: str = "acme") -> dict[str, str]:
    """Return the files on the main branch by their checksums."""
    repository = store.repositories.get((KINDS[key].repo_type, f"{namespace}/{KINDS[key].name}"))
    return files_of(repository, "main") if repository is not None else {}


def files_of(repository: Repository, revision: str) -> dict[str, str]:
    files = repository.commit(revision).files
    return {path: blob.sha256 for path, blob in sorted(files.items()) if path != ".gitattributes"}


def checksums(folder: Path) -> dict[str, str]:
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted(paths.items())}


def commits(store: Store) -> list[str]:
    repository = store.repository("model", f"acme/{KINDS['adapter'].name}")
    return [commit.title for commit in repository.commits.values()]


def test_everything_is_released_private_and_tagged(released: Release):
    status, output, errors = released.first
    assert status == 0, errors
    store = released.hub.store
    assert set(store.repositories) == {(k.repo_type, f"acme/{k.name}") for k in KINDS.values()}
    for repository in store.repositories.values():
        assert repository.private
        assert repository.tags == {TAG: repository.refs["main"]}
        assert [commit.title for commit in repository.commits.values()] == [
            "initial commit",
            f"Release {TAG}",
        ]
    (collection,) = store.collections.values()
    assert collection["private"]
    assert [item["id"] for item in collection["items"]] == [f"acme/{kind.name}" for kind in KINDS.values()]
    assert "adapter: left out README.md, training_args.bin" in output


def test_what_the_hub_holds_is_what_was_assembled(adapter, tmp_path):
    release, command = adapter
    assert release([*command, "--work", str(tmp_path / "work")]).status == 0
    expected = checksums(tmp_path / "work" / "adapter")
    assert visible(release.hub.store) == expected
    assert {"adapter_model.safetensors", "custom_generate/generate.py", "README.md"} <= set(expected)


def test_a_dry_run_changes_nothing_and_shows_what_it_would_do(adapter):
    release, command = adapter
    release.hub.faults.set(None)
    status, output, _ = release([*command, "--dry-run"])
    assert status == 0
    assert "model acme/diffusion-ner-zero-lora: new, " in output
    assert "  + adapter_config.json" in output
    assert "collection acme/DiffusionNER-Zero: new, 1 to add" in output
    assert not [r for r in release.hub.faults.requests if r.startswith(WRITES)]
    assert not release.hub.store.repositories


def test_a_second_run_uploads_nothing(adapter):
    release, command = adapter
    assert release(command).status == 0
    release.hub.faults.set(None)
    status, output, _ = release(command)
    assert status == 0
    assert f"private: {TAG} is published, nothing to upload" in output
    assert "collection acme/DiffusionNER-Zero: complete" in output
    assert release.hub.faults.requests
    assert not [r for r in release.hub.faults.requests if r.startswith(WRITES)]


def test_a_version_never_changes_and_the_next_one_brings_only_what_did(adapter, folders, tmp_path):
    release, command = adapter
    assert release(command).status == 0
    store = release.hub.store
    repository = store.repository("model", "acme/diffusion-ner-zero-lora")
    first = files_of(repository, TAG)
    # Another file on the Hub, and other content here.
    log = folders["adapter"] / "training_log.json"
    before = log.read_text()
    try:
        log.write_text('{"metrics": {"train_loss": 0.5}, "history": []}')
        status, _, errors = release(command)
        assert status == 1
        assert "v1.0.0 of acme/diffusion-ner-zero-lora is published with other content" in errors
        assert "raise it with --version" in errors
        store.apply(
            repository,
            "main",
            [
                {"key": "header", "value": {"summary": "by hand"}},
                {"key": "file", "value": {"path": "stray.txt", "content": b"stray"}},
            ],
            None,
        )
        release.hub.faults.set(None)
        status, output, errors = release([*command, "--version", "1.1.0"])
        assert status == 0, errors
    finally:
        log.write_text(before)
    assert "  ~ training_log.json" in output
    assert "  ~ README.md" in output
    assert "  - stray.txt" in output
    assert "adapter_model.safetensors" not in output
    assert not [r for r in release.hub.faults.requests if r.startswith("PUT")]
    assert files_of(repository, TAG) == first
    changed = {name for name, sha in files_of(repository, "v1.1.0").items() if first.get(name) != sha}
    assert changed == {"README.md", "training_log.json"}
    assert set(files_of(repository, "v1.1.0")) == set(first)


@pytest.mark.parametrize("kind", ["cut", "cut_after"])
def test_a_push_cut_at_any_request_is_finished_by_the_next_run(adapter, kind):
    release, command = adapter
    store = release.hub.store
    assert release(command).status == 0
    whole, collection = visible(store), [c["items"] for c in store.collections.values()]
    # Each request in turn is the last one that reaches the Hub, or the first that does not.
    at = 0
    while True:
        at += 1
        release.hub.reset()
        release.hub.faults.set(Fault(kind, at=at, times=None))
        status, _, errors = release(command)
        if len(release.hub.faults.requests) < at:
            break  # there was no such request: the run came to its end
        assert status == 1, (at, errors)
        assert errors.startswith("error: "), (at, errors)
        assert visible(store) in ({}, whole), at
        for repository in store.repositories.values():
            assert all(files_of(repository, tag) == whole for tag in repository.tags), at
        arrived = bool(store.objects)
        release.hub.faults.set(None)
        status, _, errors = release(command)
        assert status == 0, (at, errors)
        sent = [request for request in release.hub.faults.requests if request.startswith("PUT")]
        assert not (arrived and sent), at  # large files that have arrived are not sent again
        assert visible(store) == whole, at
        repository = store.repository("model", "acme/diffusion-ner-zero-lora")
        assert repository.tags == {TAG: repository.refs["main"]}, at
        assert commits(store) == ["initial commit", f"Release {TAG}"], at
        assert [c["items"] for c in store.collections.values()] == collection, at
    assert status == 0
    assert at > 12


def test_one_lost_connection_is_often_not_even_noticed(adapter):
    release, command = adapter
    release.hub.faults.set(Fault("cut_after", path="PUT /objects/"))
    assert release(command).status == 0
    assert len([r for r in release.hub.faults.requests if r.startswith("PUT")]) == 2
    assert commits(release.hub.store) == ["initial commit", f"Release {TAG}"]


@pytest.mark.parametrize("status", [500, 503])
def test_a_hub_that_fails_for_a_while_is_asked_again(adapter, status):
    release, command = adapter
    release.hub.faults.set(Fault("status", status=status, path="preupload", times=2))
    assert release(command).status == 0
    assert len([r for r in release.hub.faults.requests if "preupload" in r]) == 3


def test_a_slow_hub_is_waited_for(adapter):
    release, command = adapter
    release.hub.faults.set(Fault("slow", path="/commit/", seconds=0.5))
    assert release(command).status == 0


@pytest.mark.parametrize("status", [409, 412])
def test_a_change_by_someone_else_is_not_overwritten(adapter, status):
    release, command = adapter
    release.hub.faults.set(Fault("status", status=status, path="/commit/"))
    code, _, errors = release(command)
    assert code == 1
    assert "acme/diffusion-ner-zero-lora was changed by someone else while this ran" in errors
    assert visible(release.hub.store) == {}
    release.hub.faults.set(None)
    assert release(command).status == 0


def test_without_permission_it_says_so(adapter):
    release, command = adapter
    release.hub.faults.set(Fault("status", status=403, path="repos/create"))
    code, _, errors = release(command)
    assert code == 1
    assert "403" in errors
    assert not release.hub.store.repositories


def test_nothing_is_uploaded_if_one_artefact_is_wrong(adapter, folders, tmp_path):
    release, command = adapter
    config = folders["adapter"] / "generation_config.json"
    before = config.read_text()
    try:
        config.write_text(before.replace('"full"', '"isolated"'))
        arguments = [*command, "base", "--base", str(folders["base"])]
        arguments = ["--namespace", "acme", "--only", "base", "adapter", *arguments[5:-3], *arguments[-2:]]
        release.hub.faults.set(None)
        code, _, errors = release(arguments)
    finally:
        config.write_text(before)
    assert code == 1
    assert "was trained with prompt_attention = 'isolated', its base says 'full'" in errors
    assert release.hub.faults.requests == []
