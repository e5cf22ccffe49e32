"""The reference passages, whole and corrupted: all counted, every offset right, every row read back."""

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from datasets import load_dataset

from dataset_builder.build import main
from dataset_builder.settings import NEGATIVES
from dataset_builder.source import SourceFile
from dataset_builder.tokens import TokenCounter
from modeling.canvas.template import parse_completion, render_completion
from tests.dataset_builder.records import record


def build(source, output, tokenizer, *options):
    arguments = ["--source", str(source), "--output", str(output), "--tokenizer", str(tokenizer), *options]
    assert main(arguments) == 0
    return json.loads((output / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def built(tmp_path_factory, pile_subset, dream_folder):
    output = tmp_path_factory.mktemp("subset") / "data"
    return output, build(pile_subset, output, dream_folder)


def test_every_passage_and_mention_is_accounted_for(built, pile_subset: Path):
    _, report = built
    listed = found_records = 0
    for value in SourceFile(pile_subset).records():
        found_records += 1
        listed += sum(len(json.loads(turn["value"])) for turn in value["conversations"][3::2])
    assert found_records == 2218
    assert report["passages"]["records"] == report["passages"]["passages"] == 2218
    assert report["passages"]["train"] + report["passages"]["validation"] == 2218
    assert report["passages"]["validation"] == 222
    assert report["mentions"]["listed"] == listed
    assert report["mentions"]["located"] >= 0.995 * listed
    assert report["mentions"]["located"] + report["issues"]["mention_not_found"] == listed
    assert (
        report["windows"]["occurrences"] + report["issues"]["mention_too_long"]
        == report["mentions"]["occurrences"]
    )


def test_spans_are_exact_and_negatives_are_the_sources_own(built, pile_subset: Path, tmp_path: Path):
    output, report = built
    asked = {}
    for value in SourceFile(pile_subset).records():
        turns = value["conversations"]
        questions = [
            t["value"].removeprefix("What describes ").removesuffix(" in the text?") for t in turns[2::2]
        ]
        answers = [json.loads(turn["value"]) for turn in turns[3::2]]
        asked[value["id"]] = dict(zip(questions, answers, strict=True))
    occurrences = 0
    for rows in load_dataset(str(output), "spans", cache_dir=str(tmp_path)).values():
        for row in rows:
            answers = asked.pop(row["id"])
            assert row["negative_types"] == [name for name, found in answers.items() if not found]
            assert {e["type"] for e in row["entities"]} == {name for name, found in answers.items() if found}
            for entity in row["entities"]:
                assert row["text"][entity["start"] : entity["end"]] == entity["text"]
                assert entity["text"] in answers[entity["type"]]
            occurrences += len(row["entities"])
    assert not asked
    assert occurrences == report["mentions"]["occurrences"]


@pytest.mark.parametrize("config", NEGATIVES)
def test_every_row_is_read_back_and_fits_dream(built, dream_folder: Path, config: str, tmp_path: Path):
    output, _ = built
    counter = TokenCounter.load(str(dream_folder))
    counter.by_word = False
    least, most = NEGATIVES[config]
    for rows in load_dataset(str(output), config, cache_dir=str(tmp_path)).values():
        prompts = counter.counts(rows["prompt"][:])
        completions = counter.counts(rows["completion"][:])
        for row, prompt, completion in zip(rows, prompts, completions, strict=True):
            answers = [(e["type"], e["text"]) for e in row["entities"]]
            assert parse_completion(row["completion"], row["types"]).entities == answers
            assert render_completion(answers, row["types"]) == row["completion"]
            assert least <= len(row["negative_types"]) <= most
            assert completion < 128
            assert prompt + completion < 512


def corrupted(values):
    """Return damaged records and, by id, the kinds of issue that each must cause."""
    expected: dict[str, Counter[str]] = defaultdict(Counter)
    out = []
    for number, value in enumerate(values):
        value = json.loads(json.dumps(value))
        turns = value["conversations"]
        name = value["id"]
        damage = number % 12
        if damage == 0:
            answer = next(turn for turn in turns[3::2] if turn["value"] != "[]")
            answer["value"] = answer["value"][:-3]
            expected[name]["unparsable_answer"] += 1
        elif damage == 1:
            del turns[3]
            expected[name]["missing_answer"] += 1
        elif damage == 2:
            del turns[2]
            expected[name]["answer_without_question"] += 1
        elif damage == 3:
            turns[3]["value"] = 17
            expected[name].update(malformed_turn=1, missing_answer=1)
        elif damage == 4:
            turns[3]["value"] = json.dumps([*json.loads(turns[3]["value"]), 5, None, {"a": 1}])
            expected[name]["non_string_mention"] += 3
        elif damage == 5:
            turns[0]["value"] = "Text:  \n "
            expected[name]["empty_passage"] += 1
        elif damage == 6:
            turns[3]["value"] = json.dumps([*json.loads(turns[3]["value"]), "surely not in this text 1234"])
            expected[name]["mention_not_found"] += 1
        elif damage == 7:
            value["id"] = values[number - 1]["id"]
            expected[value["id"]]["duplicate_id"] += 1
        elif damage == 8:
            value["conversations"] = "gone"
            expected[name]["malformed_record"] += 1
        elif damage == 9:
            turns[3]["value"] = json.dumps([*json.loads(turns[3]["value"]) * 2, " "])
            repeated = len(json.loads(turns[3]["value"])) // 2
            expected[name].update(duplicate_mention=repeated, empty_mention=1)
        elif damage == 10:
            turns[2]["value"] = "Is there anything else?"
            expected[name]["unknown_question"] += 1
        out.append(value)
    return out, expected


def hard_passages():
    """Passages that are sound but hard, with how many occurrences each must give."""
    emoji = "Team 👩‍🚀 met 😀 at Café Noir. Cafe\u0301 Noir is shut."
    arabic = "سافر أحمد إلى بغداد (Baghdad) في 2019."
    turkish = "İİİ İSTANBUL'da; İzmir, ISPARTA ve istanbul."
    code = 'if a | b: print("x")\n| id | name: key |\n| 1 | person: Bob |\n\tend'
    codes = ["| person: Bob |", 'a | b: print("x")', "name: key |\n| 1"]
    long = " ".join(f"Line {n} names Ada{n} of Oslo." for n in range(4000))
    assert len(long.encode()) > 100_000
    speech = ("no " * 3000).strip()
    return [
        (record("hard-emoji", emoji, {"crew": ["👩‍🚀"], "place": ["Café Noir"]}), 2),
        (record("hard-arabic", arabic, {"person": ["أحمد"], "city": ["بغداد", "Baghdad"]}), 3),
        (record("hard-turkish", turkish, {"city": ["İSTANBUL", "İzmir", "isparta"]}), 3),
        (record("hard-code", code, {"person": ["Bob"], "code": codes, "name": ["person: Bob"]}), 5),
        (record("hard-long", long, {"person": [f"Ada{n}" for n in range(4000)], "city": ["Oslo"]}), 8000),
        (record("hard-word", "x" * 100_000, {"film": []}), 0),
        (record("hard-mention", f"He said {speech}", {"speech": [speech], "person": ["He"]}), 2),
    ]


def test_a_corrupted_copy_is_built_and_every_bad_record_reported(pile_subset, dream_folder, tmp_path):
    values, expected = corrupted(list(SourceFile(pile_subset).records())[:600])
    hard = hard_passages()
    expected["hard-mention"]["mention_too_long"] += 1
    pieces = [json.dumps(value, ensure_ascii=False) for value in [*values, *(value for value, _ in hard)]]
    pieces.insert(100, '{"id": "broken-middle", "conversations": [{"from": "human", "value": "Text: stops he')
    pieces.insert(200, '{"id": "broken-bytes", "conversations": [{"from": "human", "val\\x')
    pieces.append('{"id": "broken-end", "conversations": [{"from": "human"')
    source = tmp_path / "corrupted.json"
    source.write_bytes(("[" + ", ".join(pieces)).encode())

    report = build(source, tmp_path / "out", dream_folder)

    logged: dict[str, Counter[str]] = defaultdict(Counter)
    broken = []
    for line in (tmp_path / "out" / "issues.jsonl").read_text(encoding="utf-8").splitlines():
        issue = json.loads(line)
        if issue["record"].startswith("character "):
            broken.append(issue["detail"])
        else:
            logged[issue["record"]][issue["kind"]] += 1
    assert {name: kinds for name, kinds in logged.items() if name in expected} == expected
    assert set(logged) == set(expected)
    assert [next(name for name in ("middle", "bytes", "end") if f"broken-{name}" in d) for d in broken] == [
        "middle",
        "bytes",
        "end",
    ]
    total = Counter(kind for kinds in expected.values() for kind in kinds.elements())
    total["malformed_record"] += 3
    assert {kind: count for kind, count in report["issues"].items() if count} == total

    dropped = total["malformed_record"] + total["empty_passage"]
    assert report["passages"]["records"] == len(pieces)
    assert report["passages"]["passages"] == len(pieces) - dropped
    spans = load_dataset(str(tmp_path / "out"), "spans", cache_dir=str(tmp_path / "cache"))
    rows = {row["id"]: row for split in spans.values() for row in split}
    assert len(rows) == len(pieces) - dropped
    for row in rows.values():
        assert all(row["text"][e["start"] : e["end"]] == e["text"] for e in row["entities"])
    for value, occurrences in hard:
        assert len(rows[value["id"]]["entities"]) == occurrences, value["id"]
        assert rows[value["id"]]["text"] == value["conversations"][0]["value"].removeprefix("Text: ")

    counter = TokenCounter.load(str(dream_folder))
    for config in NEGATIVES:
        loaded = load_dataset(str(tmp_path / "out"), config, cache_dir=str(tmp_path / "cache"))
        for split in loaded.values():
            lengths = zip(
                counter.counts(split["prompt"][:]), counter.counts(split["completion"][:]), strict=True
            )
            for row, (prompt, completion) in zip(split, lengths, strict=True):
                answers = [(e["type"], e["text"]) for e in row["entities"]]
                assert parse_completion(row["completion"], row["types"]).entities == answers
                assert all(row["text"][e["start"] : e["end"]] == e["text"] for e in row["entities"])
                assert completion < 128
                assert prompt + completion < 512
