"""Parts, dead letters and checks, on one worker without Ray."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet

from modeling import EntityExtractor
from modeling.cli.annotate import main
from modeling.corpus.annotator import Annotator, Workload
from modeling.corpus.check import check
from modeling.corpus.documents import Columns, Document, Piece, find_corpus, pieces
from modeling.corpus.parts import (
    drop_dead_letters,
    finished_parts,
    part_name,
    read_dead_letters,
    write_part,
)
from modeling.corpus.settings import Settings, claim, revision_of
from modeling.corpus.storage import Folder
from tests.modeling.tiny import TYPES, tiny_pointer, toy_rows

SIZE = 5


@pytest.fixture(scope="module")
def model(tmp_path_factory, tokenizer) -> Path:
    from modeling.backbones.saving import write_model

    folder = tmp_path_factory.mktemp("annotator")
    write_model(tiny_pointer(folder / "encoder", tokenizer), tokenizer, folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def made(model) -> Settings:
    """The settings of a run."""
    options = {"steps": None, "decoding": None, "adaptive": None, "nested": False}
    return Settings(
        tuple(TYPES),
        str(model),
        revision_of(str(model)),
        0.0,
        None,
        options,
        None,
        None,
        Columns(),
        None,
        SIZE,
    )


def write_input(path: Path, count: int = 12) -> list[dict]:
    rows = [{"id": f"d{i}", "text": row["text"]} for i, row in enumerate(toy_rows(count))]
    rows[3]["text"] = ""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return rows


def run(made: Settings, source: Path, output: Folder, annotator: Annotator | None = None) -> Annotator:
    """Annotate all parts, as the workers would."""
    corpus = find_corpus([str(source)], made.columns)
    claim(output, made, corpus, [str(source)])
    worker = annotator or Annotator(made, Workload("cpu"), output)
    for fragment in corpus.fragments:
        for piece in pieces(fragment, made.columns, SIZE):
            worker.annotate(piece)
    return worker


def rows_of(output: Folder) -> list[dict]:
    return [
        row
        for name in output.names()
        for row in parquet.read_table(output.path(name), partitioning=None).to_pylist()
    ]


@pytest.fixture
def done(made, tmp_path) -> tuple[Folder, list[dict]]:
    """A complete output and its input."""
    output = Folder(str(tmp_path / "out"))
    documents = write_input(tmp_path / "in.jsonl")
    run(made, tmp_path / "in.jsonl", output)
    return output, documents


def test_the_parts_hold_what_the_extractor_answers(done, made):
    output, documents = done
    rows = rows_of(output)
    extractor = EntityExtractor.from_pretrained(made.model, device="cpu")
    assert [row["id"] for row in rows] == [document["id"] for document in documents]
    for at in range(0, len(documents), SIZE):  # scores may differ in the last digit between batches
        texts = [document["text"] for document in documents[at : at + SIZE]]
        expected = extractor.batch_predict_entities(texts, TYPES, batch_tokens=2048)
        assert [row["entities"] for row in rows[at : at + SIZE]] == expected
    assert sum(len(row["entities"]) for row in rows) > 10
    for row, document in zip(rows, documents, strict=True):
        assert row["text_hash"] == hashlib.sha256(document["text"].encode()).hexdigest()
        assert row["model_revision"] == made.revision
    names = ["000000", "000001", "000002-end"]
    assert output.names() == [f"part-000000-{name}.parquet" for name in names]
    assert finished_parts(output).complete == {0}
    verdict = check(output)
    assert verdict.sound
    assert next(iter(verdict.lines())) == "12 documents in the input: 12 annotated, 0 dead letters"


def damage(output: Folder, kind: str, source: Path) -> None:
    """Do to an output what a check must find."""
    first, last = part_name(0, 0, False), part_name(0, 2, True)
    table = parquet.read_table(output.path(first), partitioning=None)
    if kind == "missing":
        output.delete(last)
    elif kind == "written twice":
        parquet.write_table(table.take([0, 1, 2, 3, 4, 4]), output.path(first))
    elif kind == "not in the input":
        parquet.write_table(table.set_column(0, "id", [["d0", "d1", "d2", "d3", "x"]]), output.path(first))
    elif kind == "of another text":
        parquet.write_table(table.set_column(1, "text_hash", [["0"] * 5]), output.path(first))
    elif kind == "foreign file":
        parquet.write_table(table, output.path(part_name(0, 3, False)))
    else:
        with source.open("a") as file:
            file.write('{"id": "new", "text": ""}\n')


@pytest.mark.parametrize(
    "kind",
    ["missing", "written twice", "not in the input", "of another text", "foreign file", "changed input file"],
)
def test_a_check_finds_every_damage(done, tmp_path, capsys, kind):
    output, _ = done
    damage(output, kind, tmp_path / "in.jsonl")
    verdict = check(output)
    assert not verdict.sound
    assert verdict.faults[kind] >= 1
    assert main(["--check", output.address]) == 1
    printed = capsys.readouterr().out
    assert f"{kind}: " in printed
    assert "every id is there once" not in printed


def test_a_part_that_is_cut_off_is_found(done):
    output, _ = done
    path = Path(output.path(part_name(0, 1, False)))
    path.write_bytes(path.read_bytes()[:-20])
    assert check(output).faults["missing"] == SIZE


def test_ids_used_twice_are_annotated_both_and_named(made, tmp_path):
    source, output = tmp_path / "in.jsonl", Folder(str(tmp_path / "out"))
    source.write_text("".join(json.dumps({"id": i % 9, "text": f"alice {i}"}) + "\n" for i in range(11)))
    run(made, source, output)
    assert len(rows_of(output)) == 11
    verdict = check(output)
    assert dict(verdict.faults) == {"id used twice in the input": 4}
    assert sorted(verdict.examples["id used twice in the input"]) == ["'0' 2 times", "'1' 2 times"]


def test_documents_that_cannot_be_annotated_are_dead_letters(made, tmp_path, capsys):
    source, output = tmp_path / "in.jsonl", Folder(str(tmp_path / "out"))
    write_input(source, 6)
    with source.open("a") as file:
        file.write('{"id": "n", "text": null}\n{broken\n')
    run(made, source, output)
    place = source.read_bytes().index(b"{broken")
    letters = read_dead_letters(output, 0, 1)
    assert [letter["id"] for letter in letters] == ["n", f"in.jsonl@{place}"]
    assert letters[0]["error"] == "'text' must be a string, got None"
    assert letters[1]["error"].startswith("not JSON")
    assert len(rows_of(output)) == 6
    verdict = check(output)
    assert verdict.sound
    assert (verdict.annotated, verdict.dead_letters) == (6, 2)
    assert drop_dead_letters(output) == 1
    assert finished_parts(output).numbers == {0: {0}}
    run(made, source, output)
    assert len(read_dead_letters(output, 0, 1)) == 2


def test_one_text_that_fails_costs_no_other(made, tmp_path, monkeypatch):
    output = Folder(str(tmp_path))
    worker = Annotator(made, Workload("cpu", retries=1), output)
    read = worker.extractor.decoder.predict
    asked = []

    def refuse(prompts, *others):
        asked.append(len(prompts))
        if any("eagle" in prompt.text for prompt in prompts):
            raise RuntimeError("no room for an eagle")
        return read(prompts, *others)

    monkeypatch.setattr(worker.extractor.decoder, "predict", refuse)
    texts = ["alice met bob", "an eagle", "", "emma left oslo", "frank saw a cat"]
    piece = Piece(0, 0, [Document(str(i), text, f"x:{i}") for i, text in enumerate(texts)], last=True)
    outcome = worker.annotate(piece)
    assert (outcome.documents, outcome.failed) == (5, 1)
    assert [row["id"] for row in rows_of(output)] == ["0", "2", "3", "4"]
    (letter,) = read_dead_letters(output, 0, 0)
    assert letter == {
        "id": "1",
        "text": "an eagle",
        "place": "x:1",
        "error": "RuntimeError: no room for an eagle",
    }
    assert asked[0] == 4  # together at first, then in halves; the one alone is tried twice


def test_a_document_that_kills_its_worker_costs_only_itself(made, tmp_path):
    """Each try is a process of its own, as Ray would start it again."""
    output = Folder(str(tmp_path))
    worker = Annotator(made, Workload("cpu", retries=1), output)
    read = worker.extractor.decoder.predict

    def die(prompts, *others):
        if any("tiger" in prompt.text for prompt in prompts):
            os._exit(9)  # as the kernel does when memory is out
        return read(prompts, *others)

    worker.extractor.decoder.predict = die
    texts = ["alice met bob", "a tiger", "emma left oslo"]
    piece = Piece(0, 0, [Document(str(i), text, f"x:{i}") for i, text in enumerate(texts)], last=True)
    context = multiprocessing.get_context("fork")
    statuses = []
    while not statuses or (statuses[-1] == 9 and len(statuses) < 9):
        process = context.Process(target=worker.annotate, args=(piece,))
        process.start()
        process.join(60)
        statuses.append(process.exitcode)
    assert statuses == [9, 9, 9, 9, 0]  # the part twice, the document twice, done
    assert [row["id"] for row in rows_of(output)] == ["0", "2"]
    (letter,) = read_dead_letters(output, 0, 0)
    assert letter["error"] == "the worker died 2 times while it read this document"
    assert not output.names("_annotate/attempts")


def test_a_worker_whose_model_fails_on_every_text_ends_itself(made, tmp_path, capfd):
    worker = Annotator(made, Workload("cpu", retries=0), Folder(str(tmp_path)))

    def fail(prompts, *others):
        raise RuntimeError("device-side assert triggered")

    worker.extractor.decoder.predict = fail
    piece = Piece(0, 0, [Document("a", "alice", "x:0")], last=True)
    process = multiprocessing.get_context("fork").Process(target=worker.annotate, args=(piece,))
    process.start()
    process.join(60)
    assert process.exitcode == 70
    assert finished_parts(Folder(str(tmp_path))).count == 0
    assert "device-side assert" in capfd.readouterr().err


def test_an_output_belongs_to_one_run(done, made, tmp_path, model):
    output, _ = done
    source = tmp_path / "in.jsonl"
    corpus = find_corpus([str(source)], made.columns)
    assert claim(output, made, corpus, [str(source)])
    assert claim(output, replace(made, model=f"{model}/"), corpus, [str(source)])  # the same weights
    for change, message in (
        ({"labels": ("person",)}, r'labels \["person", "city", "animal"\], not \["person"\]'),
        ({"threshold": 0.5}, r"threshold 0.0, not 0.5"),
        ({"revision": "sha256:0"}, r'revision "sha256:[0-9a-f]+", not "sha256:0"'),
        ({"documents_per_part": 7}, r"documents_per_part 5, not 7"),
    ):
        with pytest.raises(ValueError, match=message):
            claim(output, replace(made, **change), corpus, [str(source)])
    other = replace(corpus, files=[replace(corpus.files[0], name="other.jsonl")])
    with pytest.raises(ValueError, match=r"input file 'in.jsonl' that is gone"):
        claim(output, made, other, [str(source)])


def test_a_folder_of_something_else_is_not_written_to(made, tmp_path):
    write_input(tmp_path / "in.jsonl")
    corpus = find_corpus([str(tmp_path / "in.jsonl")], made.columns)
    with pytest.raises(ValueError, match=r"holds files that no annotation wrote \(in.jsonl\)"):
        claim(Folder(str(tmp_path)), made, corpus, [])
    with pytest.raises(ValueError, match="holds no annotation"):
        check(Folder(str(tmp_path)))
    with pytest.raises(ValueError, match=r"cannot write to .* part by part"):
        Folder("memory://x/y").names()


def test_a_full_disk_leaves_no_part_of_a_file(made, tmp_path):
    resource = pytest.importorskip("resource", reason="this system has no file size limits")
    output = Folder(str(tmp_path / "out"))
    output.write("a", b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))  # no file may grow beyond
    try:
        with pytest.raises(OSError, match="File too large"):
            output.write("a", b"new" * 1000)
        with pytest.raises(OSError, match="File too large"):
            write_part(output, Piece(0, 0, [], last=True), [], "r")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert output.names() == ["a"]
    assert output.read("a") == b"old"
    assert output.names("_annotate/writing") == []


def test_weights_that_changed_on_a_machine_are_refused(made, model, tmp_path):
    with pytest.raises(
        ValueError, match=r"is sha256:\w+ on this machine, but sha256:0 on the one that started"
    ):
        Annotator(replace(made, revision="sha256:0"), Workload("cpu"), Folder(str(tmp_path)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --input DATA and --output OUT, or --check OUT"),
        (["--input", "x"], "give --input DATA and --output OUT"),
        (["--input", "x", "--output", "y"], "no entity types given"),
        (["--input", "x", "--output", "y", "--label", "a:b"], "holds the character ':'"),
        (["--check", "x", "--labels", "a"], "--check OUT goes alone"),
        (
            ["--input", "x", "--output", "y", "--labels", "a", "--workers", "0"],
            "--workers: '0' is not a whole",
        ),
        (["--input", "x", "--output", "y", "--labels", "a", "--retries", "11"], "--retries"),
    ],
)
def test_wrong_usage_is_explained_and_ends_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_problems_are_named_without_a_traceback(tmp_path, capsys):
    write_input(tmp_path / "in.jsonl")
    for own, message in (
        (["--input", str(tmp_path / "no"), "--output", "y"], "there is no input"),
        (["--input", str(tmp_path), "--output", "y", "--model", "./no"], "there is no model folder './no'"),
        (["--input", str(tmp_path), "--output", "y", "--id-column", "key"], "has no 'key' among its columns"),
    ):
        assert main([*own, "--labels", "person"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert message in error
    assert main(["--check", str(tmp_path)]) == 2
    assert "holds no annotation" in capsys.readouterr().err
