"""A Hub data set is an input of the annotation, and a Hub model's commit is its revision."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.hub.server import serve, with_project

CODE = """
import json
from huggingface_hub import HfApi
api = HfApi()
for kind in ("dataset", "model"):
    api.create_repo("acme/texts", repo_type=kind)
rows = "".join(json.dumps({"id": i, "text": f"alice {i}"}) + "\\n" for i in range(5))
for name, content in (("data/a.jsonl", rows), ("README.md", "x")):
    api.upload_file(
        path_or_fileobj=content.encode(), path_in_repo=name, repo_id="acme/texts", repo_type="dataset"
    )
commit = api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="acme/texts")

from modeling.corpus.documents import Columns, find_corpus, pieces
from modeling.corpus.settings import revision_of

corpus = find_corpus(["hf://datasets/acme/texts"], Columns())
parts = [list(pieces(fragment, Columns(), 3)) for fragment in corpus.fragments]
print(json.dumps({
    "passed_over": corpus.passed_over,
    "documents": [[one.id, one.text] for own in parts for part in own for one in part.documents],
    "sizes": [part.size for own in parts for part in own],
    "revision": [revision_of("acme/texts"), revision_of("acme/texts", "main"), commit.oid],
}))
try:
    find_corpus(["hf://datasets/acme/none"], Columns())
except OSError as error:
    print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> list[str]:
    with serve() as hub:
        environment = with_project(hub.environment(tmp_path_factory.mktemp("home")))
        result = subprocess.run(
            [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, timeout=120
        )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_a_data_set_is_read_off_the_hub(printed):
    found = json.loads(printed[0])
    assert found["documents"] == [[str(i), f"alice {i}"] for i in range(5)]
    assert found["sizes"] == [3 * 29, 2 * 29]
    assert found["passed_over"] == ["README.md"]
    assert printed[1] == "FileNotFoundError"


def test_the_revision_of_a_hub_model_is_its_commit(printed):
    revision, of_branch, commit = json.loads(printed[0])["revision"]
    assert revision == of_branch == commit
    assert len(commit) == 40
