"""The API: one function a view, as programs and MCP clients call them."""

from collections.abc import Callable
from inspect import signature
from typing import Any, Literal

import gradio as gr

from . import inference
from .limits import (
    DEFAULT_STEPS,
    DEFAULT_THRESHOLD,
    RUNS,
    STEPS,
    TEXT_LENGTH,
    TYPES,
    Query,
    check,
)

Canvas = Literal["aligned", "completion"] | None

ARGUMENTS = {
    "text": f"up to {TEXT_LENGTH} characters.",
    "labels": f'up to {TYPES} entity types in natural language, such as ["person", "city"].',
    "threshold": "the least score of an entity, from 0 to 1.",
    "steps": f"denoising steps, 1 to {STEPS}.",
    "canvas": '"aligned" (one slot per word) or "completion" (a written list); null is the model\'s own.',
}


def _endpoint(summary: str, returns: str) -> Callable[[Callable[..., dict]], Callable[..., dict]]:
    """Give a function the description that gradio shows to its callers."""

    def described(function: Callable[..., dict]) -> Callable[..., dict]:
        arguments = [f"    {name}: {ARGUMENTS[name]}" for name in signature(function).parameters]
        function.__doc__ = "\n".join([summary, "", "Args:", *arguments, "", "Returns:", f"    {returns}"])
        return function

    return described


@_endpoint(
    "Find entities of any type in a text.",
    "text, entities (start, end, text, label, score each) and milliseconds.",
)
def extract(
    text: str,
    labels: list[str],
    threshold: float = DEFAULT_THRESHOLD,
    steps: int = DEFAULT_STEPS,
    canvas: Canvas = None,
) -> dict:
    return _run(inference.extract, text, labels, threshold, steps, canvas)


@_endpoint(
    "Show how the entities of a text are denoised: the canvas after each step.",
    "text, and passes over the canvas: a list of steps each, with slots and the entities read so far.",
)
def denoise(
    text: str,
    labels: list[str],
    threshold: float = DEFAULT_THRESHOLD,
    steps: int = DEFAULT_STEPS,
    canvas: Canvas = None,
) -> dict:
    return _run(inference.denoise, text, labels, threshold, steps, canvas)


@_endpoint(
    "Find the entities of a text with one denoising step and with eight.",
    "text, and results: steps, entities and milliseconds each.",
)
def compare(
    text: str, labels: list[str], threshold: float = DEFAULT_THRESHOLD, canvas: Canvas = None
) -> dict:
    return _run(inference.compare, text, labels, threshold, DEFAULT_STEPS, canvas)


@_endpoint(
    f"Find the entities of a text {RUNS} times with random choices, and say how often each was found.",
    "text, runs, and candidates: entities with runs (in how many found) and agreement (their share).",
)
def uncertainty(
    text: str,
    labels: list[str],
    threshold: float = DEFAULT_THRESHOLD,
    steps: int = DEFAULT_STEPS,
    canvas: Canvas = None,
) -> dict:
    return _run(inference.sample, text, labels, threshold, steps, canvas)


ENDPOINTS = (extract, denoise, compare, uncertainty)


def _run(
    compute: Callable[[Query], dict],
    text: object,
    types: Any,
    threshold: object,
    steps: object,
    canvas: Canvas,
) -> dict:
    """Compute a request's answer; what is wrong with the request reaches the caller as gradio's error."""
    try:
        return compute(check(text, types, threshold, steps, canvas, inference.canvases()))
    except ValueError as error:  # of the limits, or what the model says about a type
        raise gr.Error(str(error), print_exception=False) from error
