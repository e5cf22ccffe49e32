"""The loopback Hub answers the client library as the Hub does."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.hub.conftest import Releaser

SCRIPT = """
import json, os, warnings
from pathlib import Path
import httpx
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError

warnings.simplefilter("ignore")
api, found = HfApi(), {}
big = bytes(range(256)) * 400


def said(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except Exception as error:
        response = getattr(error, "response", None)
        return [type(error).__name__, None if response is None else response.status_code]
    return "nothing"


def commit(operations, **options):
    return api.create_commit("acme/m", operations, commit_message="c", **options)


found["who"] = api.whoami()["name"]
found["no repository"] = said(api.repo_info, "acme/m")
api.create_repo("acme/m", private=True)
found["exists"] = said(api.create_repo, "acme/m", private=True)
first = api.repo_info("acme/m").sha
both = [CommitOperationAdd("a/text.txt", b"hello"), CommitOperationAdd("a/b/w.safetensors", big)]
second = commit(both, parent_commit=first).oid
found["stale parent"] = said(commit, [CommitOperationAdd("x", b"x")], parent_commit=first)
found["nothing to delete"] = said(commit, [CommitOperationDelete("nowhere.txt")])
same = commit([CommitOperationAdd("a/text.txt", b"hello")]).oid
found["unchanged is no commit"] = same == second
pull = commit([CommitOperationAdd("pr.txt", b"pr")], create_pr=True)
found["pull request"] = [pull.pr_num, api.file_exists("acme/m", "pr.txt"), Path(
    hf_hub_download("acme/m", "pr.txt", revision="refs/pr/1")).read_text()]
api.create_tag("acme/m", tag="v1", revision=second)
found["tag exists"] = said(api.create_tag, "acme/m", tag="v1")
commit([CommitOperationDelete("a/", is_folder=True)])
found["tagged"] = sorted(api.list_repo_files("acme/m", revision="v1"))
found["main"] = sorted(api.list_repo_files("acme/m"))
found["no revision"] = said(api.list_repo_files, "acme/m", revision="v9")
found["no entry"] = said(hf_hub_download, "acme/m", "none.txt")
found["titles"] = [c.title for c in api.list_repo_commits("acme/m")]
tree = api.list_repo_tree("acme/m", recursive=True, revision="v1")
found["tree"] = {e.path: getattr(e, "lfs", None) and e.lfs.sha256 for e in tree}
found["flat"] = [e.path for e in api.list_repo_tree("acme/m", "a", revision="v1")]
info = api.get_paths_info("acme/m", ["a/text.txt", "a/b", "none"], revision="v1")
found["paths"] = [e.path for e in info]
found["downloaded"] = Path(hf_hub_download("acme/m", "a/b/w.safetensors", revision="v1")).read_bytes() == big
url = os.environ["HF_ENDPOINT"] + "/acme/m/resolve/v1/a/b/w.safetensors"
head = {"Authorization": "Bearer " + os.environ["HF_TOKEN"], "Range": "bytes=300-309"}
part = httpx.get(url, headers=head, follow_redirects=True, trust_env=False)
found["range"] = [part.status_code, part.content == big[300:310], part.headers["content-range"]]
metadata = httpx.head(url, headers=head, trust_env=False)
found["linked"] = [metadata.headers["x-linked-size"], metadata.headers["x-repo-commit"] == second]
found["without token"] = said(HfApi(token=False).repo_info, "acme/m")
found["bad card"] = said(commit, [CommitOperationAdd("README.md", b"---\\nlicense: 3\\n---\\n")])
collection = api.create_collection("C", namespace="acme", private=True)
found["collection exists"] = said(api.create_collection, "C", namespace="acme")
api.add_collection_item(collection.slug, "acme/m", "model", note="n")
found["item exists"] = said(api.add_collection_item, collection.slug, "acme/m", "model")
found["items"] = [[i.item_id, i.note] for i in api.get_collection(collection.slug).items]
api.delete_tag("acme/m", tag="v1")
found["tags left"] = [tag.name for tag in api.list_repo_refs("acme/m").tags]
api.delete_repo("acme/m")
found["deleted"] = said(api.repo_info, "acme/m")
print(json.dumps(found))
"""


def test_the_client_library_is_answered_as_by_the_hub(own_hub: Releaser, tmp_path):
    own_hub.hub.reset()
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=own_hub.hub.environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    large = found["tree"].pop("a/b/w.safetensors")
    assert len(large) == 64
    assert found == {
        "who": "tester",
        "no repository": ["RepositoryNotFoundError", 404],
        "exists": ["HfHubHTTPError", 409],
        "stale parent": ["HfHubHTTPError", 412],
        "nothing to delete": ["RemoteEntryNotFoundError", 404],
        "unchanged is no commit": True,
        "pull request": [1, False, "pr"],
        "tag exists": ["HfHubHTTPError", 409],
        "tagged": [".gitattributes", "a/b/w.safetensors", "a/text.txt"],
        "main": [".gitattributes"],
        "no revision": ["RevisionNotFoundError", 404],
        "no entry": ["RemoteEntryNotFoundError", 404],
        "titles": ["c", "c", "initial commit"],
        "tree": {".gitattributes": None, "a": None, "a/b": None, "a/text.txt": None},
        "flat": ["a/b", "a/text.txt"],
        "paths": ["a/text.txt", "a/b"],
        "downloaded": True,
        "range": [206, True, "bytes 300-309/102400"],
        "linked": ["102400", True],
        "without token": ["RepositoryNotFoundError", 401],
        "bad card": ["ValueError", None],
        "collection exists": ["HfHubHTTPError", 409],
        "item exists": ["HfHubHTTPError", 409],
        "items": [["acme/m", "n"]],
        "tags left": [],
        "deleted": ["RepositoryNotFoundError", 404],
    }
