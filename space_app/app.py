"""The demo Space: the page, its API and its queue put together.

Runs as ``python space_app/app.py`` in the repository and as ``app.py`` in a folder with `modeling` beside it.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
# A script has no package: give the files beside it theirs (PEP 366), whatever the folder is called.
if not __package__:
    sys.path.insert(0, str(FOLDER.parent))
    __package__ = FOLDER.name

import gradio as gr  # noqa: E402

from . import inference, limits, palette, rendering  # noqa: E402
from .canvas import canvas_view  # noqa: E402
from .endpoints import ENDPOINTS  # noqa: E402
from .examples import EXAMPLES  # noqa: E402
from .snippet import code_of  # noqa: E402
from .theme import THEME  # noqa: E402

VIEWS = [
    ("Entities", "entities"),
    ("Denoising", "canvas"),
    ("1 against 8 steps", "steps"),
    ("Uncertainty", "uncertainty"),
]
CANVAS_NAMES = {"aligned": "Aligned: one slot a word", "completion": "Completion: a written list"}
# All work on the model shares one queue.
WORK: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": limits.CONCURRENCY}
HEAD = """\
# DiffusionNER-Zero
Name any entity types. A masked-diffusion language model fills in all entities at once, step by step.
"""


def show(text: str, types: str, threshold: float, steps: int, canvas: str, view: str) -> tuple[str, str, str]:
    """Return a view of a request as HTML, as JSON and as code; or why it cannot be run."""
    try:
        query = limits.check(text, limits.split_types(types), threshold, steps, canvas, inference.canvases())
        html, result = _answer(query, view)
    except ValueError as error:  # limits, and what the extractor says about types
        return rendering.notice(str(error)), json.dumps({"error": str(error)}, ensure_ascii=False), ""
    return (
        html,
        json.dumps(result, ensure_ascii=False, indent=1),
        code_of(view, query, inference.model_name()),
    )


def _answer(query: limits.Query, view: str) -> tuple[str, dict[str, Any]]:
    types, device = query.types, str(inference.extractor().device).upper()
    if view == "canvas":
        result = inference.denoise(query)
        html = canvas_view(result, types, query.canvas == "aligned")
        # Hundreds of slots a step are for the API, not for reading.
        steps = [[{k: v for k, v in s.items() if k != "slots"} for s in steps] for steps in result["passes"]]
        return html, {**result, "passes": steps}
    if view == "steps":
        result = inference.compare(query)
        return rendering.steps_view(result, types, device), result
    if view == "uncertainty":
        result = inference.sample(query)
        return rendering.uncertainty_view(result, types), result
    result = inference.extract(query)
    return rendering.entities_view(result, types, query.steps, device), result


def build_app() -> gr.Blocks:
    """Return the page with its queue; its named endpoints are those of `endpoints.py`."""
    with gr.Blocks(title="DiffusionNER-Zero", analytics_enabled=False) as app:
        gr.Markdown(HEAD, elem_id="head")
        with gr.Row(elem_id="page"):
            with gr.Column(elem_id="ask"):
                text, types, button, examples = _ask()
            with gr.Column(elem_id="answer"):
                view = gr.Radio(
                    VIEWS, value="entities", label="View", show_label=False, container=False, elem_id="view"
                )
                html = gr.HTML(
                    elem_id="result",
                    js_on_load=(FOLDER / "player.js").read_text(encoding="utf-8"),
                    apply_default_css=False,
                )
                with gr.Accordion("JSON", open=False):
                    raw = gr.Code(language="json", show_label=False, max_lines=24, wrap_lines=True)
                with gr.Accordion("Python code for this result", open=False):
                    code = gr.Code(language="python", show_label=False, max_lines=24, wrap_lines=True)
            with gr.Column(elem_id="settings"):
                steps, threshold, canvas = _settings()
        gr.Markdown(_foot(), elem_id="foot")
        inputs = [text, types, threshold, steps, canvas, view]
        listener: dict[str, Any] = {
            "fn": show,
            "inputs": inputs,
            "outputs": [html, raw, code],
            "show_progress": "minimal",
            "show_progress_on": html,
            "api_visibility": "private",
            **WORK,
        }
        # Who drags a slider waits for the last place only.
        gr.on(
            [
                button.click,
                text.submit,
                types.submit,
                view.input,
                canvas.input,
                steps.change,
                threshold.change,
            ],
            trigger_mode="always_last",
            **listener,
        )
        examples.load_input_event.then(**listener)
        app.load(**listener)
        app.load(None, js=(FOLDER / "page.js").read_text(encoding="utf-8"))
        for function in ENDPOINTS:
            gr.api(function, api_name=function.__name__, **WORK)
    return app.queue(max_size=limits.QUEUE)


def _ask() -> tuple[gr.Textbox, gr.Textbox, gr.Button, Any]:
    first = EXAMPLES[0]
    text = gr.Textbox(
        first.text,
        label="Text",
        info=f"Up to {limits.TEXT_LENGTH:,} characters. They are not kept.",
        lines=4,
        max_lines=14,
        render=False,
    )
    types = gr.Textbox(
        first.types,
        label="Entity types",
        info=f"Any names, separated by commas; up to {limits.TYPES}.",
        placeholder="person, city, date",
        render=False,
    )
    examples = gr.Examples(
        [[example.text, example.types] for example in EXAMPLES],
        [text, types],
        example_labels=[example.domain for example in EXAMPLES],
        label="Examples",
        api_visibility="private",
    )
    text.render()
    types.render()
    return text, types, gr.Button("Extract", variant="primary"), examples


def _settings() -> tuple[gr.Slider, gr.Slider, gr.Radio]:
    kinds = inference.canvases()
    steps = gr.Slider(
        1,
        limits.STEPS,
        value=limits.DEFAULT_STEPS,
        step=1,
        label="Steps",
        info="How often the network looks at the canvas.",
    )
    threshold = gr.Slider(
        0,
        1,
        value=limits.DEFAULT_THRESHOLD,
        step=0.01,
        label="Threshold",
        info="The least score of an entity.",
    )
    canvas = gr.Radio([(CANVAS_NAMES[kind], kind) for kind in kinds], value=kinds[0], label="Canvas")
    return steps, threshold, canvas


def _foot() -> str:
    held = inference.extractor()
    size = sum(parameter.numel() for parameter in held.model.parameters()) / 1e6
    name = inference.model_name() or "the embedded small model"
    return (
        f"Model: {name}, {size:,.0f} million parameters, on {str(held.device).upper()}. It makes mistakes: "
        "check what matters. Code: Apache-2.0. Weights: CC BY-NC 4.0, not for commercial use."
    )


def main() -> None:
    """Load the model and serve the page; gradio reads host and port from its environment variables."""
    build_app().launch(
        theme=THEME,
        css=palette.css(),
        css_paths=FOLDER / "style.css",
        footer_links=["api", "gradio", "settings"],
        run_history=False,
        ssr_mode=False,
        # Needs gradio[mcp], which not every installation has.
        mcp_server=importlib.util.find_spec("mcp") is not None,
    )


if __name__ == "__main__":
    main()
