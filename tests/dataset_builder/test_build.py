"""The build from the command line: what it writes, what loads it, and what happens when it is cut off."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from datasets import load_dataset
from huggingface_hub import DatasetCard

from dataset_builder.build import main
from dataset_builder.builder import SFT_FEATURES, SPANS_FEATURES, PileNer
from dataset_builder.settings import CONFIGS, NEGATIVES
from modeling.canvas.template import parse_completion
from tests.dataset_builder.records import record, small_source, write_source

_REPOSITORY = Path(__file__).resolve().parents[2]


def run(source, output, tokenizer, *options):
    return main(["--source", str(source), "--output", str(output), "--tokenizer", str(tokenizer), *options])


def checksums(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory, tokenizer_folder):
    folder = tmp_path_factory.mktemp("built")
    source = small_source(folder / "source.json")
    assert run(source, folder / "data", tokenizer_folder, "--num-proc", "1") == 0
    return folder / "data"


def test_another_run_and_two_processes_give_the_same_bytes(built, tmp_path, tokenizer_folder):
    source = small_source(tmp_path / "source.json")
    assert run(source, tmp_path / "again", tokenizer_folder, "--num-proc", "2") == 0
    assert checksums(tmp_path / "again") == checksums(built)
    assert run(source, tmp_path / "other", tokenizer_folder, "--num-proc", "1", "--seed", "7") == 0
    assert checksums(tmp_path / "other") != checksums(built)


def test_a_fresh_process_without_the_project_loads_every_configuration(built, tmp_path):
    code = """
import json, sys
from datasets import get_dataset_config_names, get_dataset_default_config_name, load_dataset
folder = sys.argv[1]
found = {"default": get_dataset_default_config_name(folder), "rows": {}, "streamed": {}}
for name in get_dataset_config_names(folder):
    loaded = load_dataset(folder, name)
    found["rows"][name] = {split: len(rows) for split, rows in loaded.items()}
    streamed = load_dataset(folder, name, streaming=True)
    found["streamed"][name] = {split: sum(1 for _ in rows) for split, rows in streamed.items()}
assert not [name for name in sys.modules if name.partition(".")[0] in ("dataset_builder", "modeling")]
print(json.dumps(found))
"""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(built)],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    assert found["default"] == "sft"
    assert set(found["rows"]) == set(CONFIGS)
    assert found["rows"] == found["streamed"]
    report = json.loads((built / "report.json").read_text())
    written = {f"{name}_{split}": n for name, splits in found["rows"].items() for split, n in splits.items()}
    assert written == report["rows"]
    assert found["rows"]["spans"] == {"train": 36, "validation": 4}


@pytest.mark.parametrize("config", CONFIGS)
def test_rows_have_the_published_features_and_hold_what_they_say(built, config, tmp_path):
    splits = load_dataset(str(built), config, cache_dir=str(tmp_path))
    passages = {}
    for split, rows in splits.items():
        assert rows.features == (SPANS_FEATURES if config == "spans" else SFT_FEATURES)
        for row in rows:
            assert all(row["text"][e["start"] : e["end"]] == e["text"] for e in row["entities"])
            passages.setdefault(row.get("passage_id", row["id"]), set()).add(split)
            if config != "spans":
                answers = [(e["type"], e["text"]) for e in row["entities"]]
                assert parse_completion(row["completion"], row["types"]).entities == answers
                least, most = NEGATIVES[config]
                assert least <= len(row["negative_types"]) <= most
    assert set(splits) == {"train", "validation"}
    assert all(len(found) == 1 for found in passages.values())


def test_the_card_tells_what_is_there(built):
    card = DatasetCard.load(built / "README.md")
    assert card.data.license == "cc-by-nc-4.0"
    assert [config["config_name"] for config in card.data.to_dict()["configs"]] == sorted(CONFIGS)
    report = json.loads((built / "report.json").read_text())
    sizes = {i["config_name"]: i for i in card.data.to_dict()["dataset_info"]}
    for config in CONFIGS:
        for split in sizes[config]["splits"]:
            assert split["num_examples"] == report["rows"][f"{config}_{split['name']}"]
        shards = sum(path.stat().st_size for path in (built / config).iterdir())
        assert sizes[config]["download_size"] == shards
    assert f"{report['mentions']['occurrences']:,} entity mentions" in card.text
    assert report["source"]["sha256"] in card.text
    assert "{{" not in card.text
    assert "{%" not in card.text


def test_the_datasets_builder_alone_gives_the_published_rows(built, tmp_path, tokenizer_folder):
    source = small_source(tmp_path / "source.json")
    builder = PileNer(
        config_name="sft",
        source=str(source),
        tokenizer=str(tokenizer_folder),
        cache_dir=str(tmp_path / "cache"),
    )
    builder.download_and_prepare()
    published = load_dataset(str(built), "sft", cache_dir=str(tmp_path / "published"))
    for split, rows in builder.as_dataset().items():
        assert rows.to_list() == published[split].to_list()


def test_duplicates_are_kept_apart_or_merged_and_reported(tmp_path, tokenizer_folder):
    same = record("one", "Ada met Bob in Oslo.", {"person": ["Ada", "Bob"]})
    other = record("one", "Eve went to Lima.", {"person": ["Eve"]})
    again = record("two", "Ada met Bob in Oslo.", {"city": ["Oslo"], "person": ["Zoe"]})
    source = write_source(tmp_path / "s.json", [same, same, other, again, {"id": 1}])
    assert (
        run(source, tmp_path / "out", tokenizer_folder, "--num-proc", "1", "--validation-share", "0.5") == 0
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    nonzero = {kind: count for kind, count in report["issues"].items() if count}
    assert nonzero == {
        "malformed_record": 1,
        "duplicate_record": 1,
        "duplicate_id": 1,
        "duplicate_passage": 1,
        "mention_not_found": 1,
    }
    logged = [json.loads(line) for line in (tmp_path / "out" / "issues.jsonl").read_text().splitlines()]
    assert len(logged) == sum(nonzero.values())
    splits = load_dataset(str(tmp_path / "out"), "spans", cache_dir=str(tmp_path / "cache"))
    ids = {row["id"]: split for split, rows in splits.items() for row in rows}
    assert len(ids) == 3
    assert ids["one"] == ids["two"]
    assert report["mentions"]["listed"] == 5
    assert report["mentions"]["located"] == 4


def test_types_without_a_readable_answer_are_neither_present_nor_absent(tmp_path, tokenizer_folder):
    known = record("known", "Ada met Bob in Oslo.", {"person": ["Ada"], "city": ["Oslo"], "friend": ["Bob"]})
    doubtful = record("doubtful", "Eve left.", {"city": '["Li', "person": ["Zoe"], "film": []})
    source = write_source(tmp_path / "s.json", [known, doubtful])
    assert run(source, tmp_path / "out", tokenizer_folder, "--num-proc", "1", "--validation-share", "0") == 0
    rows = load_dataset(
        str(tmp_path / "out"), "sft_negatives_5", split="train", cache_dir=str(tmp_path / "c")
    )
    negatives = {row["passage_id"]: set(row["negative_types"]) for row in rows}
    assert negatives == {"known": set(), "doubtful": {"film", "friend"}}


def test_an_empty_validation_split_is_not_written(tmp_path, tokenizer_folder):
    source = write_source(tmp_path / "s.json", [record("a", "Ada.", {"person": ["Ada"]})])
    assert run(source, tmp_path / "out", tokenizer_folder, "--num-proc", "1") == 0
    loaded = load_dataset(str(tmp_path / "out"), "sft", cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 1}


def test_a_source_without_usable_records_writes_nothing(tmp_path, tokenizer_folder, capsys):
    source = write_source(tmp_path / "s.json", [{"text": "another schema"}])
    assert run(source, tmp_path / "out", tokenizer_folder, "--num-proc", "1") == 1
    assert "1 records and not one usable passage" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.json"]


def test_other_files_are_never_replaced_and_builds_only_when_asked(tmp_path, tokenizer_folder, capsys):
    source = small_source(tmp_path / "s.json", 4)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("all my work")
    assert run(source, foreign, tokenizer_folder, "--overwrite") == 1
    assert "holds files that no build wrote" in capsys.readouterr().err
    assert (foreign / "thesis.tex").read_text() == "all my work"
    out = tmp_path / "out"
    assert run(source, out, tokenizer_folder, "--num-proc", "1") == 0
    before = checksums(out)
    assert run(source, out, tokenizer_folder, "--num-proc", "1", "--seed", "1") == 1
    assert "pass --overwrite" in capsys.readouterr().err
    assert checksums(out) == before
    assert run(source, out, tokenizer_folder, "--num-proc", "1", "--seed", "1", "--overwrite") == 0
    assert checksums(out) != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign", "out", "s.json"]


def test_a_killed_run_leaves_nothing_that_loads_and_the_next_one_cleans_up(tmp_path, tokenizer_folder):
    source = small_source(tmp_path / "s.json", 3000)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "dataset_builder.build", "--source", str(source), "--output", str(out)]
    command += ["--tokenizer", str(tokenizer_folder), "--num-proc", "1"]
    with subprocess.Popen(command, cwd=_REPOSITORY, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not any(any((part / "work").glob("*")) for part in tmp_path.glob(".out.*")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    assert list(tmp_path.glob(".out.*.partial"))
    with pytest.raises(FileNotFoundError):
        load_dataset(str(out), "sft")
    small = small_source(tmp_path / "small.json", 10)
    assert run(small, out, tokenizer_folder, "--num-proc", "1") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "s.json", "small.json"]


def test_an_earlier_build_that_a_killed_run_moved_aside_comes_back(built, tmp_path, tokenizer_folder, capsys):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    shutil.copytree(built, tmp_path / f".out.{ended.pid}.old")
    source = small_source(tmp_path / "s.json", 4)
    assert run(source, tmp_path / "out", tokenizer_folder, "--num-proc", "1") == 1
    assert "pass --overwrite" in capsys.readouterr().err
    assert checksums(tmp_path / "out") == checksums(built)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "s.json"]


def test_without_source_or_network_the_message_names_both(tmp_path, tokenizer_folder, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    arguments = ["--output", str(tmp_path / "out"), "--tokenizer", str(tokenizer_folder)]
    assert main(arguments) == 1
    message = capsys.readouterr().err
    assert "train.json of the Hub data set Universal-NER/Pile-NER-type" in message
    assert "--source FILE" in message


def test_an_upload_that_fails_says_how_to_repeat_it(tmp_path, tokenizer_folder, capsys):
    source = small_source(tmp_path / "s.json", 4)
    options = ("--num-proc", "1", "--push-to-hub", "somebody/something")
    assert run(source, tmp_path / "out", tokenizer_folder, *options) == 1
    message = capsys.readouterr().err
    assert "could not upload to the Hub data set 'somebody/something'" in message
    assert "hf upload --repo-type dataset somebody/something" in message
    assert (tmp_path / "out" / "README.md").is_file()
