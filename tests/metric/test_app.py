"""The metric's app, launched as the Space launches it and asked over HTTP; in a browser if there is one."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.spaces import browser, served

FOLDER = Path(__file__).resolve().parents[2] / "metric" / "entity_f1"
REFERENCES = [[{"type": "person", "text": "Ada"}, {"type": "city", "text": "London"}]]
PREDICTIONS = [[{"type": "Person", "text": "The Ada"}, {"type": "city", "text": "London"}]]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The published files alone, run as `python app.py` in their folder."""
    folder = tmp_path_factory.mktemp("app")
    shutil.copytree(FOLDER, folder / "space", ignore=shutil.ignore_patterns("__*"))
    with served(folder / "space", folder) as url:
        yield url


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


def ask(client: Client, **changes: Any) -> tuple[list[list[str]], dict[str, Any]]:
    inputs = {
        "references": json.dumps(REFERENCES),
        "predictions": json.dumps(PREDICTIONS),
        "baseline": "",
        "config_name": "text",
        "matching": "strict",
        "zero_division": 0.0,
        "ignore_types": "",
        "seen_types": "",
        "resamples": 100,
    }
    table, result = client.predict(api_name="/score", **(inputs | changes))
    assert table["headers"] == ["types", "precision", "recall", "f1", "tp", "fp", "fn", "support"]
    return table["data"], result


def test_scores_come_back_as_table_and_result(client: Client) -> None:
    rows, result = ask(client)
    assert (result["tp"], result["fp"], result["fn"], result["f1"]) == (1, 1, 1, 0.5)
    assert rows == [
        ["all types (micro)", *["50.0 [50.0, 50.0]"] * 3, "1", "1", "1", "2"],
        ["mean over types (macro)", "50.0", "50.0", "50.0", "", "", "", ""],
        ["city", "100.0", "100.0", "100.0", "1", "0", "0", "1"],
        ["person", "0.0", "0.0", "0.0", "0", "1", "1", "1"],
    ]


def test_options_reach_the_metric(client: Client) -> None:
    assert ask(client, matching="uniner")[1]["tp"] == 2
    assert ask(client, ignore_types="misc, PERSON")[1]["support"] == 1
    assert ask(client, references="[[]]", predictions="[[]]", zero_division=1.0)[1]["f1"] == 1.0
    rows, result = ask(client, seen_types="city", baseline="[[]]", resamples=50)
    assert (result["seen"]["tp"], result["unseen"]["tp"], result["bootstrap"]["resamples"]) == (1, 0, 50)
    assert [row[0] for row in rows[:3]] == [
        "all types (micro)",
        "second system (micro)",
        "first minus second, p=0.039",
    ]
    assert rows[2][3] == "+50.0 [50.0, 50.0]"
    span = json.dumps([[{"type": "a", "start": 0, "end": 1}]])
    assert ask(client, config_name="span", references=span, predictions=span, resamples=0)[1]["tp"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"predictions": "[[}"}, "predictions is not JSON"),
        ({"predictions": '[[{"type": "a"}]]'}, r"predictions\[0\]\[0\] has no key 'text'"),
        ({"references": "[]"}, "sentence 0 has no counterpart"),
        ({"config_name": "span"}, r"predictions\[0\]\[0\] has no key 'start'"),
        ({"baseline": "[[]]", "resamples": 0}, "also set bootstrap"),
    ],
)
def test_errors_are_told_and_the_next_request_works(
    client: Client, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(AppError, match=message):
        ask(client, **changes)
    assert ask(client)[1]["f1"] == 0.5


def test_page_draws_on_this_server_alone(address: str) -> None:
    page = urllib.request.urlopen(address, timeout=30).read().decode()
    assert "Entity F1" in page
    assert "fonts.googleapis.com/css" not in page


def test_in_a_browser(address: str, tmp_path: Path) -> None:
    with browser(tmp_path / "profile", 1280, 1500) as driver:
        driver.get(address)

        def wait_for(text: str) -> None:
            deadline = time.monotonic() + 60
            while text not in driver.find_element("tag name", "body").text:
                assert time.monotonic() < deadline, driver.find_element("tag name", "body").text
                time.sleep(0.2)

        wait_for("60.0 [50.0, 66.7]")  # the example is scored on load
        driver.find_element("xpath", "//label[normalize-space()='uniner']").click()
        driver.find_element("xpath", "//button[normalize-space()='Score']").click()
        wait_for("80.0 [66.7, 100.0]")
        driver.find_element("xpath", "//label[normalize-space()='span']").click()
        driver.find_element("xpath", "//button[normalize-space()='Score']").click()
        wait_for("matching='uniner' compares texts")
        assert driver.save_screenshot(str(tmp_path / "app.png"))
