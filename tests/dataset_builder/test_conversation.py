"""Records to conversations: what is read, and that nothing is dropped without an issue."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builder.conversation import RecordReader, is_noisy, normalize_type
from dataset_builder.report import ISSUE_KINDS
from dataset_builder.source import BrokenRecord
from modeling.canvas.template import check_types
from tests.dataset_builder.records import record


def read(value):
    issues = []
    return RecordReader(issues.append).read(value), issues


def kinds(issues):
    return [issue.kind for issue in issues]


def test_a_sound_record():
    conversation, issues = read(
        record("p-1", "Ada met Bob.", {"Person": ["Ada", "Bob"], "weapon": [], "medical_condition": []})
    )
    assert issues == []
    assert (conversation.id, conversation.text) == ("p-1", "Ada met Bob.")
    assert conversation.mentions == {"person": ["Ada", "Bob"]}
    assert conversation.negatives == ["weapon", "medical condition"]
    assert conversation.unanswered == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ('["Ada", "Bo', "unparsable_answer"),
        ("Ada and Bob", "unparsable_answer"),
        ('{"person": "Ada"}', "unparsable_answer"),
        ('"Ada"', "unparsable_answer"),
        ("[" * 100_000, "unparsable_answer"),
        ("[1]", "non_string_mention"),
        ("[null, [], {}]", "non_string_mention"),
        ('["  ", ""]', "empty_mention"),
    ],
)
def test_an_answer_without_a_usable_mention_says_nothing_about_its_type(answer, kind):
    conversation, issues = read(record("a", "Ada met Bob.", {"person": answer, "date": []}))
    assert set(kinds(issues)) == {kind}
    assert conversation.unanswered == ["person"]
    assert conversation.mentions == {}
    assert conversation.negatives == ["date"]


def test_mentions_are_trimmed_merged_and_each_loss_is_reported():
    conversation, issues = read(
        record("a", "Ada met Bob.", {"person": ["Ada", " Ada ", "Bob", "Bob", 7], "PERSON": ["Ada", "Eve"]})
    )
    assert conversation.mentions == {"person": ["Ada", "Bob", "Eve"]}
    assert kinds(issues) == [
        "duplicate_mention",
        "duplicate_mention",
        "non_string_mention",
        "repeated_type",
        "duplicate_mention",
    ]


@pytest.mark.parametrize("order", [(["Ada"], []), ([], ["Ada"])])
def test_a_type_asked_twice_is_present_if_either_answer_has_it(order):
    first, second = order
    conversation, _ = read(record("a", "Ada.", {"person": first, "Person": second}))
    assert conversation.mentions == {"person": ["Ada"]}
    assert conversation.negatives == []


def test_missing_turns_leave_the_other_answers_in_place():
    value = record("a", "Ada met Bob in Oslo.", {"person": ["Ada"], "city": ["Oslo"], "date": [], "film": []})
    turns = value["conversations"]
    del turns[3]  # the answer about persons
    del turns[5]  # the question about dates
    turns.pop()  # the last answer
    conversation, issues = read(value)
    assert kinds(issues) == ["missing_answer", "answer_without_question", "missing_answer"]
    assert conversation.mentions == {"city": ["Oslo"]}
    assert conversation.unanswered == ["person", "film"]
    assert conversation.negatives == []


@pytest.mark.parametrize(
    "turn", [None, 3, "text", [], {"from": "human"}, {"from": "gpt", "value": 5}, {"value": "x"}]
)
def test_a_malformed_turn_is_reported_and_skipped(turn):
    value = record("a", "Ada.", {"person": ["Ada"]})
    value["conversations"].insert(2, turn)
    conversation, issues = read(value)
    assert kinds(issues) == ["malformed_turn"]
    assert conversation.mentions == {"person": ["Ada"]}


def test_a_question_for_no_type_and_an_empty_type():
    value = record("a", "Ada.", {"person": ["Ada"], " _ ": ["Ada"], "x" * 300: []})
    value["conversations"] += [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "[]"}]
    conversation, issues = read(value)
    assert kinds(issues) == ["unusable_type", "unusable_type", "unknown_question"]
    assert conversation.mentions == {"person": ["Ada"]}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (BrokenRecord(7, "Expecting value", "{x"), "malformed_record"),
        (None, "malformed_record"),
        ([], "malformed_record"),
        ({"id": "a"}, "malformed_record"),
        ({"id": "a", "conversations": "none"}, "malformed_record"),
        ({"id": "a", "conversations": []}, "no_passage"),
        ({"id": "a", "conversations": [{"from": "gpt", "value": "Text: x"}]}, "no_passage"),
        (record("a", " \n\t"), "empty_passage"),
        (record("a", "Ada."), "nothing_answered"),
        (record("a", "Ada.", {"person": "["}), "nothing_answered"),
    ],
)
def test_unusable_records_are_dropped_with_their_reason(value, kind):
    conversation, issues = read(value)
    assert conversation is None
    assert kinds(issues)[-1] == kind


@pytest.mark.parametrize(
    ("given_id", "kept", "reported"),
    [(17, "17", []), (None, None, ["missing_id"]), ("", None, ["missing_id"]), ([1], None, ["missing_id"])],
)
def test_ids(given_id, kept, reported):
    conversation, issues = read(record(given_id, "Ada.", {"person": ["Ada"]}))
    assert kinds(issues) == reported
    assert conversation.id == kept if kept else conversation.id.startswith("record-")


def test_lone_surrogates_are_replaced_and_reported():
    value = json.loads('{"text": "Ad\\ud800a met \\ud83d\\ude00."}')
    conversation, issues = read(record("a", value["text"], {"person": ["Ad\ud800a"]}))
    assert conversation.text == "Ad\ufffda met \U0001f600."
    assert conversation.mentions == {"person": ["Ad\ufffda"]}
    assert kinds(issues) == ["invalid_unicode"] * 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Person", "person"),
        ("MEDICAL_CONDITION", "medical condition"),
        ("  data\ttype\n", "data type"),
        ("a:b|c,d", "a b c d"),
        ("Stra\u00dfe", "strasse"),
        ("\u0130l", "i\u0307l"),
        ("zero\u200bwidth", "zero width"),
    ],
)
def test_type_names(name, expected):
    assert normalize_type(name) == expected


@given(st.text(max_size=30))
def test_normalised_types_are_stable_and_taken_by_the_template(name):
    try:
        normal = normalize_type(name)
    except ValueError:
        return
    assert normalize_type(normal) == normal
    assert check_types([normal]) == [normal]
    assert "_" not in normal


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
turns = st.fixed_dictionaries(
    {},
    optional={
        "from": st.sampled_from(["human", "gpt", "system"]) | json_values,
        "value": st.sampled_from(["Text: Ada.", "What describes x in the text?", "[]", '["Ada"]'])
        | json_values,
    },
)


@given(
    json_values
    | st.fixed_dictionaries({"id": json_values, "conversations": st.lists(turns | json_values, max_size=8)})
)
def test_whatever_comes_is_read_or_reported(value):
    conversation, issues = read(value)
    if conversation is None:
        assert issues
    else:
        assert conversation.text.strip()
        types = [*conversation.mentions, *conversation.negatives, *conversation.unanswered]
        assert len(types) == len(set(types))
        assert all(m == m.strip() != "" for found in conversation.mentions.values() for m in found)


def test_noisy_types():
    assert all(map(is_noisy, ("other", "misc", "entity", "unknown", "miscellaneous")))
    assert not any(map(is_noisy, ("person", "other location", "entity type")))


def test_every_issue_has_a_kind_that_the_report_knows():
    value = record(None, "Ada.", {"p": "[", "q": [1, "", "x", "x"], "Q": []})
    value["conversations"] += [4, {"from": "human", "value": "Why?"}]
    _, issues = read(value)
    assert issues
    assert {issue.kind for issue in issues} <= set(ISSUE_KINDS)
