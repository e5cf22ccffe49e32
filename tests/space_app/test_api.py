"""The Space asked over HTTP, as its users' programs do."""

from __future__ import annotations

import json
import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml
from gradio_client import Client
from gradio_client.exceptions import AppError

from space_app.limits import TEXT_LENGTH
from tests.space_app.conftest import ROOT

README = (ROOT / "space_app" / "README.md").read_text(encoding="utf-8")
TEXT = "Marie Curie worked with Pierre Curie in Paris and later taught at the Sorbonne."
LABELS = ["person", "city", "university"]


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


def ask(client: Client, name: str = "/extract", **changes: Any) -> dict[str, Any]:
    return client.predict(api_name=name, **({"text": TEXT, "labels": LABELS, "threshold": 0.0} | changes))


def test_four_named_endpoints_and_no_other(client: Client) -> None:
    described = client.view_api(return_format="dict")
    assert set(described["named_endpoints"]) == {"/extract", "/denoise", "/compare", "/uncertainty"}
    assert not described["unnamed_endpoints"]
    named = {p["parameter_name"]: p for p in described["named_endpoints"]["/extract"]["parameters"]}
    assert list(named) == ["text", "labels", "threshold", "steps", "canvas"]
    assert described["named_endpoints"]["/extract"]["description"] == "Find entities of any type in a text."
    assert [n for n, p in named.items() if not p["parameter_has_default"]] == ["text", "labels"]
    assert set(re.findall(r"^\| `(/\w+)`", README, re.MULTILINE)) == set(described["named_endpoints"])


def test_endpoints_are_mcp_tools(address: str) -> None:
    pytest.importorskip("mcp", reason="gradio[mcp] is not installed")
    tools = json.loads(urllib.request.urlopen(f"{address}/gradio_api/mcp/schema", timeout=30).read())
    assert [tool["name"] for tool in tools] == ["extract", "denoise", "compare", "uncertainty"]
    assert all(field["description"] for tool in tools for field in tool["inputSchema"]["properties"].values())


def test_views_agree_with_each_other(client: Client) -> None:
    result = ask(client, steps=8)
    assert result["text"] == TEXT
    assert result["entities"]
    assert all(TEXT[e["start"] : e["end"]] == e["text"] and e["label"] in LABELS for e in result["entities"])
    assert ask(client, "/compare")["results"][1]["entities"] == result["entities"]
    assert ask(client, "/denoise", steps=8)["passes"][-1][-1]["entities"] == result["entities"]
    drawn = ask(client, "/uncertainty", steps=1)
    assert drawn == ask(client, "/uncertainty", steps=1)  # seeded
    assert all(0 < c["runs"] <= drawn["runs"] == 10 for c in drawn["candidates"])


def test_settings_reach_the_model(client: Client) -> None:
    scores = [e["score"] for e in ask(client)["entities"]]
    cut = sorted(scores)[len(scores) // 2]
    assert [e["score"] for e in ask(client, threshold=cut)["entities"]] == [s for s in scores if s >= cut]
    assert len(ask(client, "/denoise", steps=3)["passes"][0]) == 3
    written = ask(client, "/denoise", canvas="completion")["passes"][0][-1]["slots"]
    assert "empty" in written[0]


@pytest.mark.parametrize("name", ["/extract", "/denoise", "/compare", "/uncertainty"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "a" * (TEXT_LENGTH + 1)}, "2,001 characters and this demo takes 2,000: take 1 out"),
        ({"labels": []}, "no entity type yet"),
    ],
)
def test_errors_are_told(client: Client, name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AppError, match=message):
        ask(client, name, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, "must be a string"),
        ({"labels": "person"}, "must be a list of strings"),
        ({"labels": ["a:b"]}, "holds the character"),
        ({"labels": ["person", "\u0301"]}, "has no token in this model's vocabulary"),
        ({"steps": 1000}, "from 1 to 16"),
        ({"canvas": "oil"}, "canvases are aligned, completion"),
    ],
)
def test_odd_requests_leave_the_server_well(client: Client, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AppError, match=message):
        ask(client, **changes)
    assert ask(client)["entities"]


def test_markup_is_text(client: Client) -> None:
    text = "<script>alert('Ada Lovelace')</script> & <b>London</b>"
    result = ask(client, text=text, labels=["person", "<i>city</i>"])
    assert result["text"] == text
    assert all(text[e["start"] : e["end"]] == e["text"] for e in result["entities"])


def test_twenty_users_at_once_get_their_own_answers(address: str) -> None:
    names = [f"Visitor{chr(65 + i)}" for i in range(20)]

    def visit(name: str) -> dict[str, Any]:
        return ask(Client(address, verbose=False), text=f"{name} Smith lives in Oslo.", steps=2)

    with ThreadPoolExecutor(20) as users:
        answers = list(users.map(visit, names))
    for name, answer in zip(names, answers, strict=True):
        assert answer["text"].startswith(name)
        assert all(answer["text"][e["start"] : e["end"]] == e["text"] for e in answer["entities"])


def test_readme_example_runs(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    block = re.sub(r'Client\("[^"]+"\)', f"Client({address!r}, verbose=False)", block)
    exec(compile(block, "README.md", "exec"), {})
    assert "Ada Lovelace" in capsys.readouterr().out


def test_card_and_requirements_are_those_of_the_project() -> None:
    _, head, body = README.split("---\n", 2)
    card = yaml.safe_load(head)
    assert card["sdk"] == "gradio"
    assert (ROOT / "space_app" / card["app_file"]).is_file()
    assert len(card["short_description"]) <= 60
    assert "CC BY-NC 4.0" in body
    assert "Apache-2.0" in body
    needed = (ROOT / "space_app" / "requirements.txt").read_text().split()
    allowed = {
        line
        for name in ("requirements.txt", "requirements-space.txt")
        for line in (ROOT / name).read_text().split()
    }
    assert set(needed) <= allowed
    assert f"gradio>={card['sdk_version'].rsplit('.', 1)[0]},<7" in needed


def test_page_draws_on_this_server_alone(address: str) -> None:
    page = urllib.request.urlopen(address, timeout=30).read().decode()
    assert "DiffusionNER-Zero" in page
    assert "fonts.googleapis.com/css" not in page
    assert (
        json.loads(urllib.request.urlopen(f"{address}/config", timeout=30).read())["title"]
        == "DiffusionNER-Zero"
    )
