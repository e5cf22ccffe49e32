"""The metric's Space: paste references and predictions, read the scores.

evaluate's own widget launcher calls interfaces that current gradio no longer has, so this app replaces
it. It loads the metric script beside it with `evaluate.load`, as any user would.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import evaluate
import gradio as gr

FOLDER = Path(__file__).resolve().parent
METRICS = {
    name: evaluate.load(str(FOLDER / "entity_f1.py"), name, keep_in_memory=True) for name in ("text", "span")
}

INTRODUCTION = """\
# Entity F1
Strict named-entity F1: micro precision, recall and F1, counted as a set per sentence. On either side: a JSON
list with one list of entities per sentence. An entity has `type` and `text`, or `type`, `start` and `end`
(exclusive); `label` must be renamed to `type`.
"""
REFERENCES = """\
[
  [{"type": "person", "text": "Ada Lovelace", "start": 0, "end": 12},
   {"type": "person", "text": "Charles Babbage", "start": 17, "end": 32},
   {"type": "city", "text": "London", "start": 36, "end": 42}],
  [{"type": "academy", "text": "Royal Society", "start": 4, "end": 17},
   {"type": "person", "text": "Babbage", "start": 26, "end": 33}]
]"""
PREDICTIONS = """\
[
  [{"type": "Person", "text": "Ada Lovelace", "start": 0, "end": 12},
   {"type": "person", "text": "Charles Babbage", "start": 17, "end": 32},
   {"type": "country", "text": "London", "start": 36, "end": 42}],
  [{"type": "academy", "text": "The Royal Society", "start": 0, "end": 17},
   {"type": "person", "text": "Babbage", "start": 26, "end": 33}]
]"""
COLUMNS = ["precision", "recall", "f1", "tp", "fp", "fn", "support"]


def score(
    references: str,
    predictions: str,
    baseline: str,
    config_name: str,
    matching: str,
    zero_division: float,
    ignore_types: str,
    seen_types: str,
    resamples: int,
) -> tuple[list[list[str]], dict[str, Any]]:
    """Scores of what was pasted: the rows of the table and the metric's own result.

    Raises:
        gradio.Error: the input is not JSON, or the metric refuses it; the message says where.
    """
    try:
        options: dict[str, Any] = {
            "predictions": _parse("predictions", predictions),
            "references": _parse("references", references),
        }
        if baseline.strip():
            options["baseline_predictions"] = _parse("baseline predictions", baseline)
        if seen_types.strip():
            options["seen_types"] = _split(seen_types)
        result = METRICS[config_name].compute(
            **options,
            matching=matching,
            zero_division=float(zero_division),
            ignore_types=_split(ignore_types),
            per_type=True,
            macro=True,
            bootstrap=int(resamples),
        )
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from error
    return _rows(result), result


def _parse(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{name} is not JSON: {error}") from error


def _split(types: str) -> list[str]:
    return [label.strip() for label in types.split(",") if label.strip()]


def _rows(result: dict[str, Any]) -> list[list[str]]:
    scopes = {"all types (micro)": result, "mean over types (macro)": result["macro"]}
    scopes |= {f"{part} types": result[part] for part in ("seen", "unseen") if part in result}
    rows = [[scope, *_cells(values)] for scope, values in (scopes | result["per_type"]).items()]
    if "bootstrap" in result:
        for column, name in enumerate(COLUMNS[:3], 1):
            rows[0][column] += " " + _range(result["bootstrap"][name])
    if "paired" in result:
        paired = result["paired"]
        difference = f"{100 * paired['f1_difference']:+.1f} {_range(paired['interval'])}"
        rows[1:1] = [
            ["second system (micro)", *_cells(paired["baseline"])],
            [f"first minus second, p={paired['p_value']:.2g}", "", "", difference, "", "", "", ""],
        ]
    return rows


def _cells(values: dict[str, Any]) -> list[str]:
    ratios = [f"{100 * values[name]:.1f}" for name in COLUMNS[:3]]
    # The macro average has no counts of its own.
    return ratios + [str(values.get(name, "")) for name in COLUMNS[3:]]


def _range(interval: tuple[float, float]) -> str:
    return f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def build_app() -> gr.Blocks:
    """The interface; its one named endpoint is `/score`, with the parameters of `score`."""
    card = (FOLDER / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2]
    with gr.Blocks(title="Entity F1", analytics_enabled=False) as app:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            references = _editor("references", REFERENCES)
            predictions = _editor("predictions", PREDICTIONS)
        with gr.Row():
            config_name = gr.Radio(
                ["text", "span"], value="text", label="configuration", info="what is compared beside the type"
            )
            matching = gr.Radio(
                ["strict", "multiset", "uniner"],
                value="strict",
                label="matching",
                info="uniner: text only",
            )
            zero_division = gr.Radio([0.0, 1.0], value=0.0, label="zero_division", info="the value of 0/0")
        with gr.Row():
            ignore_types = gr.Textbox(label="ignore_types", placeholder="misc, other", info="comma-separated")
            seen_types = gr.Textbox(label="seen_types", placeholder="person, city", info="comma-separated")
            resamples = gr.Slider(
                0, 2000, value=1000, step=100, label="bootstrap", info="number of resamples"
            )
        with gr.Accordion("A second system's predictions (paired bootstrap)", open=False):
            baseline = _editor("baseline_predictions", "")
        button = gr.Button("Score", variant="primary")
        table = gr.Dataframe(
            headers=["types", *COLUMNS], type="array", interactive=False, label="scores, ratios in %"
        )
        with gr.Accordion("Result of compute()", open=False):
            raw = gr.JSON(show_label=False)
        with gr.Accordion("Card", open=False):
            gr.Markdown(card)
        inputs = [references, predictions, baseline, config_name, matching, zero_division]
        inputs += [ignore_types, seen_types, resamples]
        button.click(score, inputs, [table, raw], api_name="score")
        app.load(score, inputs, [table, raw], api_visibility="private")
    return app


def _editor(label: str, value: str) -> gr.Code:
    return gr.Code(
        value,
        language="json",
        label=label,
        max_lines=16,
        wrap_lines=True,
        min_width=400,
        interactive=True,
    )


# Fonts by name alone: gradio's own themes fetch theirs from the network.
THEME = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])

if __name__ == "__main__":
    build_app().launch(theme=THEME)
