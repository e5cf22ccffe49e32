"""Dream is converted straight from the Hub, and what arrives damaged is noticed."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.hub.server import serve, with_project
from tests.hub.store import Blob, upload_mode

SCRIPT = """
import json, os, sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
import httpx
from modeling.cli.convert_dream import main

shard, oid = sys.argv[1:]
errors = StringIO()
with redirect_stderr(errors):
    first = main(["org/dream", "native"])
left = sorted(path.name for path in Path("native").glob("*.safetensors"))
address = f"{os.environ['HF_ENDPOINT']}/objects/{oid}"
mended = httpx.put(address, content=Path(shard).read_bytes(), trust_env=False)
second = main(["org/dream", "native"])
print(json.dumps([first, errors.getvalue(), left, mended.status_code, second]))
"""


def test_from_the_hub_with_its_checksums(folders, tmp_path):
    source = folders["base"].parent / "dream"
    shards = sorted(source.glob("*.safetensors"))
    with serve() as hub:
        repository = hub.store.create("model", "org/dream", private=False, sdk=None)
        files = {}
        for path in source.iterdir():
            files[path.name] = Blob(path.read_bytes(), upload_mode(path.name, path.stat().st_size) == "lfs")
            hub.store.objects[files[path.name].sha256] = files[path.name].data
        commit = repository.add("main", "as published", files)
        damaged = files[shards[1].name]
        hub.store.objects[damaged.sha256] = damaged.data[:-1] + b"?"
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT, str(shards[1]), damaged.sha256],
            cwd=tmp_path,
            env=with_project(hub.environment(tmp_path / "home", token=False)),
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert result.returncode == 0, result.stderr
    first, errors, left, mended, second = json.loads(result.stdout.splitlines()[-1])
    assert (first, mended, second) == (1, 200, 0)
    assert f"{shards[1].name} arrived damaged: its SHA-256 is" in errors
    assert left == [shards[0].name]  # nothing damaged stays
    assert f"{shards[0].name}  {shards[0].stat().st_size:,} bytes  sha256 " in result.stdout
    assert result.stdout.count("(kept)") == 1
    native = tmp_path / "native"
    assert [(native / path.name).read_bytes() for path in shards] == [path.read_bytes() for path in shards]
    record = json.loads((native / "conversion.json").read_text())
    assert (record["source"], record["commit"]) == ("org/dream", commit.oid)
    assert record["sha256"] == {path.name: files[path.name].sha256 for path in shards}
    assert not (native / ".cache").exists()
    assert json.loads((native / "config.json").read_text())["is_causal"] is False
