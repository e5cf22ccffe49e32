"""The card: numbers only from results files, metadata that parses, pictures readable on any ground."""

import json
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from dataset_builder.benchmarks import BENCHMARKS
from model_card.evidence.criteria import MET, NOT_MEASURED, NOT_MET, UNINER, check
from model_card.evidence.results import results_folder
from model_card.figures.animation import content, draw
from model_card.figures.plots import COLOURS, GROUNDS, INK
from model_card.figures.registry import IMAGES, tables
from model_card.figures.render import render
from model_card.release.card import TEMPLATES, card, card_folder, pages

BLOCK = re.compile(r"<!-- figures: [\w-]+ -->\n.*?<!-- /figures -->", re.DOTALL)
# Names and layout, no figures: T=8, F1, 95%, version numbers, the shape of the encoder.
NO_FIGURES = re.compile(
    r"\bF1\b|\bT=\d\b|95%|CC BY-NC 4\.0|Apache-2\.0|H100 80GB|6 layers x 384|7B\b|ACL 2023|L6-v2|v0-Base"
    r"|bf16|card_f1|Restaurant8k|apache-2\.0"
)

FROM_FILES = ("mini-latency", "mini-training", "mini-mix")  # of results that are the embedded model's alone


def score(value: float) -> dict:
    """One set's entry of ``main.json``, all readings alike."""
    own = {"precision": value, "recall": value, "f1": value, "support": 10}
    interval = {"f1": [value - 0.02, value + 0.02]}
    readings = {"span": own, "uniner": own, "seen": own, "unseen": {**own, "support": 0}}
    return {**own, **readings, "bootstrap": interval}


def write_main(folder: Path, value: float, gain: float = 0.01, limit: int | None = None) -> None:
    """A results file of the main experiment with the same F1 everywhere."""
    change = {"f1_difference": gain, "interval": [gain - 0.005, gain + 0.005]}
    row = {
        "sets": {name: score(value) for name in BENCHMARKS},
        "mean": {"f1": value, "interval": [value - 0.01, value + 0.01]},
        "means": {"span": value, "uniner": value, "seen": value},
    }
    steps = {"few": "aligned, T=1", "many": "aligned, T=8", "mean": change}
    steps |= {"sets": dict.fromkeys(BENCHMARKS, change), "better_on": 7 if gain > 0 else 0}
    steps |= {"better_beyond_chance_on": 7 if gain > 0 else 0}
    results = {"headline": "aligned, T=1", "settings": {"aligned, T=1": row}, "steps": {"aligned": steps}}
    scored = {"command": "python -m model_card experiment main", "date": "2026-01-01"}
    report = {"limit": limit, "scored": scored, "predicted": [], "results": {**results, "baselines": {}}}
    folder.mkdir(exist_ok=True)
    (folder / "main.json").write_text(json.dumps(report), encoding="utf-8")


def test_templates_hold_no_figure() -> None:
    for name in ("mini.md", "mini_evidence.md", "dream.md"):  # the others hold code
        prose = BLOCK.sub("", (TEMPLATES / name).read_text(encoding="utf-8"))
        assert not re.findall(r"\d", NO_FIGURES.sub("", prose)), name


def test_every_table_and_picture_stands_in_the_card_or_its_evidence_once() -> None:
    texts = [(TEMPLATES / name).read_text(encoding="utf-8") for name in ("mini.md", "mini_evidence.md")]
    named = re.findall(r"<!-- figures: ([\w-]+) -->", "".join(texts))
    # These weights were not measured so: no place in a card for a table that says nothing.
    unmeasured = {"mini-open", "recipe-rows", "seeds"}
    shown = tables().keys() - {"denoising", "integrations"} - unmeasured
    assert sorted(named) == sorted([*shown, *IMAGES, *FROM_FILES])


def test_without_results_everything_is_not_measured(tmp_path: Path) -> None:
    text = card("org/diffusion-ner-zero", tmp_path)
    assert ModelCard(text).data.base_model == "Dream-org/Dream-v0-Base-7B"
    assert ModelCard(text).data.eval_results is None
    assert text.count("Not measured yet: `python -m model_card experiment ") >= 8
    assert "| aligned" not in text
    assert {criterion.status for criterion in check(tmp_path)} == {NOT_MEASURED}


def test_the_model_index_is_the_results_file(tmp_path: Path) -> None:
    write_main(tmp_path, 0.4321)
    data = ModelCard(card("mini", tmp_path)).data
    assert data.model_name == "DiffusionNER-Zero mini"
    scores = {(r.dataset_type, r.metric_type): r.metric_value for r in data.eval_results}
    assert scores == {(name, m): 0.4321 for name in BENCHMARKS for m in ("f1", "precision", "recall")}
    write_main(tmp_path, 0.4321, limit=5)
    assert ModelCard(card("mini", tmp_path)).data.eval_results is None


def test_a_changed_results_file_changes_the_card_and_a_typed_number_does_not_survive(tmp_path: Path) -> None:
    write_main(tmp_path, 0.4321)
    text = card("mini", tmp_path)
    assert "**43.2**" in text
    assert render(text.replace("**43.2**", "**99.9**"), tmp_path) == text
    write_main(tmp_path, 0.5)
    assert "**50.0**" in card("mini", tmp_path)


@pytest.mark.parametrize(
    ("value", "gain", "near", "steps"),
    [(0.60, 0.01, [MET, MET, MET], MET), (0.50, -0.01, [MET, NOT_MET, NOT_MET], NOT_MET)],
)
def test_criteria(tmp_path: Path, value: float, gain: float, near: list[str], steps: str) -> None:
    write_main(tmp_path, value, gain)
    found = check(tmp_path)
    assert [c.status for c in found if UNINER in c.name][:3] == near
    assert [c.status for c in found if c.name.startswith("T=8 beats")] == [steps]


def test_speed_is_compared_on_one_machine_only(tmp_path: Path) -> None:
    ours = {"f1": 0.6, "seconds_per_sentence": 0.001, "hardware": "H100"}
    theirs = {"f1": 0.5, "seconds_per_sentence": 0.01, "hardware": "H100"}

    def outcome(rival: dict) -> list[str]:
        results = {"points": {"aligned, T=1": ours}, "baselines": {UNINER.lower(): rival}}
        (tmp_path / "pareto.json").write_text(json.dumps({"results": results}), encoding="utf-8")
        return [c.status for c in check(tmp_path) if "fast" in c.name]

    assert outcome(theirs) == [MET, MET]
    assert outcome({**theirs, "seconds_per_sentence": 0.0015}) == [NOT_MET, MET]
    assert outcome({**theirs, "hardware": "another GPU"}) == [NOT_MEASURED, NOT_MEASURED]


def luminance(colour: str) -> float:
    """Relative luminance of sRGB (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("ground", GROUNDS)
def test_colours_can_be_read_on_light_and_dark_grounds(ground: str) -> None:
    for name, colour, least in [("ink", INK, 4.0), *((n, c, 3.0) for n, c in COLOURS.items())]:
        light, dark = sorted((luminance(colour), luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= least, name


def test_the_committed_card_is_what_the_results_say() -> None:
    results = results_folder("mini")
    if not (results / "main.json").is_file():
        pytest.skip("the evidence for the embedded model is not measured yet: make evidence")
    for name, text in pages("mini", results).items():
        committed = (card_folder("mini") / name).read_text(encoding="utf-8")
        assert committed == text, f"{name} is stale: run python -m model_card card"


def test_the_card_is_short_and_leads_to_its_evidence() -> None:
    text = (card_folder("mini") / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 240
    evidence = (card_folder("mini") / "EVIDENCE.md").read_text(encoding="utf-8")
    for anchor in re.findall(r"\]\(EVIDENCE\.md#([\w-]+)\)", text):
        assert anchor in anchors(evidence), anchor


def anchors(text: str) -> set[str]:
    """The anchors that GitHub and the Hub give the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_a_canvas_that_grew_is_drawn_with_its_last_words(tmp_path: Path) -> None:
    """Fault: the labels of the first step were set on the places of the last."""
    steps = [denoising_step(1, 4), denoising_step(2, 8)]
    results = {"padding": "<|endoftext|>", "canvases": {"completion": steps}}
    (tmp_path / "denoising.json").write_text(json.dumps({"results": results}), encoding="utf-8")
    figure, animation = draw(tmp_path, tmp_path / "card")
    assert figure.stat().st_size > 2000
    assert animation.stat().st_size > 2000


@pytest.mark.parametrize("padding", ["[PAD]", "<|endoftext|>"])
def test_padding_is_no_content(padding: str) -> None:
    steps = [denoising_step(1, 8, padding)]
    assert content(steps, padding) == 5  # three slots of an answer, and two behind it
    assert content(steps, "something else") == 8


def denoising_step(number: int, slots: int, padding: str = "<|endoftext|>") -> dict:
    """A step of a completion canvas with three slots of an answer."""
    symbols = ["person", ":", "Ann"] + [padding] * (slots - 3)
    shown = [{"text": "", "symbol": s, "revealed": True, "confidence": 0.5} for s in symbols]
    return {"step": number, "steps": 2, "slots": shown, "entities": [{"label": "person", "text": "Ann"}]}
