"""The run on Ray: what the extractor answers, once for every document, whatever is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from pyarrow import parquet

from modeling import EntityExtractor
from modeling.backbones.saving import write_model
from modeling.cli.annotate import main
from modeling.corpus.parts import DEAD_LETTERS, finished_parts
from modeling.corpus.storage import Folder
from tests.conftest import REPOSITORY
from tests.modeling.tiny import TYPES, tiny_pointer, toy_rows

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install -r requirements-ray.txt)")
LABELS = ["--labels", ",".join(TYPES)]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """One Ray with two cores for all tests of this file."""
    from modeling.corpus import job  # sets what Ray tells

    assert job.READERS
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    write_model(tiny_pointer(folder / "encoder", tokenizer), tokenizer, folder / "model")
    return folder / "model"


def wait(until: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    for _ in range(4000):
        if until():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise TimeoutError


def workers() -> list[psutil.Process]:
    """The processes of this Ray that hold a model."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if child.is_running() and "MapWorker" in child.name()]


def test_nothing_is_lost_or_doubled_when_a_worker_and_the_driver_are_killed(address, model, tmp_path, capfd):
    documents = [{"id": f"d{i}", "text": row["text"]} for i, row in enumerate(toy_rows(2000))]
    (tmp_path / "in").mkdir()
    half = len(documents) // 2
    lines = [json.dumps(row) + "\n" for row in documents[:half]]
    lines[990:990] = ["{broken\n"]
    (tmp_path / "in" / "a.jsonl").write_text("".join(lines), encoding="utf-8")
    parquet.write_table(pa.Table.from_pylist(documents[half:]), tmp_path / "in" / "b.parquet")
    target = Folder(str(tmp_path / "out"))
    command = ["--input", str(tmp_path / "in"), "--output", target.address, "--model", str(model), *LABELS]
    command += ["--documents-per-part", "25", "--threshold", "0.2"]
    driver = subprocess.Popen(
        [sys.executable, "-m", "modeling.cli.annotate", *command, "--workers", "2", "--address", address],
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    with driver:
        wait(lambda: finished_parts(target).count > 2, driver)
        killed = workers()[0]
        killed.send_signal(signal.SIGKILL)
        before = finished_parts(target).count
        wait(lambda: finished_parts(target).count > before + 4, driver)
        driver.send_signal(signal.SIGKILL)  # the cluster lives on
    there = finished_parts(target).count
    assert 6 < there < 81
    assert main(["--check", target.address]) == 1
    assert "missing: " in capfd.readouterr().out
    assert main([*command, "--workers", "1"]) == 1  # the broken line has a dead letter
    error = capfd.readouterr().err
    assert "parts are there already" in error
    assert "1 documents could not be annotated; dead letters are in" in error
    assert main(["--check", target.address]) == 0
    printed = capfd.readouterr().out
    assert "2,001 documents in the input: 2,000 annotated, 1 dead letters" in printed
    assert "every id is there once" in printed

    rows = {row["id"]: row for name in target.names() for row in _rows(target, name)}
    assert rows.keys() == {document["id"] for document in documents}
    some = documents[::50]
    extractor = EntityExtractor.from_pretrained(model, device="cpu")
    answers = extractor.batch_predict_entities([document["text"] for document in some], TYPES, 0.2)
    for document, expected in zip(some, answers, strict=True):
        found = rows[document["id"]]["entities"]
        assert [own | {"score": 0} for own in found] == [own | {"score": 0} for own in expected]
        assert [own["score"] for own in found] == pytest.approx([own["score"] for own in expected], abs=1e-5)
    assert sum(map(len, answers)) > 50

    kept = {path: path.stat().st_mtime_ns for path in Path(target.address).rglob("*") if path.is_file()}
    assert main(command) == 1
    assert "0 documents with 0 entities" in capfd.readouterr().err
    assert main([*command, "--threshold", "0.3"]) == 2
    assert "was begun with threshold 0.2, not 0.3" in capfd.readouterr().err
    assert kept == {
        path: path.stat().st_mtime_ns for path in Path(target.address).rglob("*") if path.is_file()
    }
    assert target.names(DEAD_LETTERS) == ["part-000000-000039.jsonl"]
    assert not target.names("_annotate/attempts")


def _rows(output: Folder, name: str) -> list[dict]:
    return parquet.read_table(output.path(name), partitioning=None).to_pylist()


def test_what_no_worker_can_do_ends_the_run_with_a_reason(address, model, tmp_path, capfd):
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": 1, "text": "alice"}\n')
    command = ["--input", str(source), "--output", str(tmp_path / "out"), "--model", str(model), *LABELS]
    for own, message in (
        (["--nested", "--workers", "1"], "error: nested=True needs canvas='completion'"),
        (["--device", "cuda"], "error: --device cuda, but Ray sees no GPU"),
        (["--cores", "9"], "error: --cores 9 for a worker, but Ray has 2"),
    ):
        assert main([*command[:3], str(tmp_path / own[0].strip("-")), *command[4:], *own]) == 1
        error = capfd.readouterr().err
        assert message in error
        assert "Traceback" not in error


def test_a_missing_ray_is_named_with_the_command_that_installs_it(model, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"id": 1, "text": "alice"}\n')
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from modeling.cli.annotate import main\n"
        f"sys.exit(main(['--input', {str(source)!r}, '--output', {str(tmp_path / 'out')!r}, "
        f"'--model', {str(model)!r}, '--labels', 'person']))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert result.returncode == 1
    assert 'pip install "diffusion-ner-zero[ray]"' in result.stderr
    assert "Traceback" not in result.stderr
