"""What the demo computes, as plain data; the page and the API show the same results."""

import importlib
import importlib.util
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from time import perf_counter
from typing import Any, TypeVar

from .limits import RUNS, Query

MODEL_VARIABLE = "DIFFUSION_NER_MODEL"
COMPARED_STEPS = (1, 8)
TEMPERATURE = 1.0  # of the uncertainty runs: symbols are drawn as likely as the network holds them to be
SEED = 0

Function = TypeVar("Function", bound=Callable[..., Any])


def _on_gpu() -> Callable[[Function], Function]:
    """Return what ZeroGPU wants around a function that uses the GPU: nothing where it is not installed."""
    if importlib.util.find_spec("spaces") is None:
        return lambda function: function
    # Before torch, which `modeling` imports: it makes torch see a GPU that is lent for each call.
    return importlib.import_module("spaces").GPU


on_gpu = _on_gpu()


def model_name() -> str | None:
    """Return the folder or Hub id that the environment names; None is the embedded model."""
    return os.environ.get(MODEL_VARIABLE, "").strip() or None


# ZeroGPU runs the functions below in another process, which finds the model here and not among the arguments.
@cache
def extractor() -> Any:
    """Return the one extractor of this process."""
    from modeling import EntityExtractor

    return EntityExtractor.from_pretrained(model_name())


def canvases() -> tuple[str, ...]:
    """Return the canvases that the model has, its own default first."""
    held = extractor()
    known = ("aligned", "completion") if held.settings.has_aligned else ("completion",)
    return tuple(sorted(known, key=lambda kind: kind != held.canvas))


@on_gpu
def extract(query: Query) -> dict[str, Any]:
    """Return ``{"text", "entities", "milliseconds"}``, entities as ``EntityExtractor`` gives them."""
    return {"text": query.text, **_timed(query, query.steps)}


@on_gpu
def denoise(query: Query) -> dict[str, Any]:
    """Return ``{"text", "passes"}``: for each pass the canvas after each step.

    Steps are those of ``EntityExtractor.stream``; slots of a completion also say whether they are
    ``"empty"``, padding behind the answer.
    """
    return {"text": query.text, "passes": list(_passes(query))}


@on_gpu
def compare(query: Query) -> dict[str, Any]:
    """Return ``{"text", "results"}``: ``{"steps", "entities", "milliseconds"}`` each, for 1 and 8 steps."""
    results = [{"steps": steps, **_timed(query, steps)} for steps in COMPARED_STEPS]
    return {"text": query.text, "results": results}


@on_gpu
def sample(query: Query) -> dict[str, Any]:
    """Return ``{"text", "runs", "candidates"}``: the entities of ten seeded runs, in order.

    A candidate is an entity with ``"runs"``, in how many it was found, ``"agreement"``, their share, and
    ``"score"``, its mean over those runs.
    """
    runs = extractor().sample_entities(
        query.text,
        list(query.types),
        RUNS,
        query.threshold,
        temperature=TEMPERATURE,
        seed=SEED,
        steps=query.steps,
        canvas=query.canvas,
    )
    scores: dict[tuple[int, int, str], list[float]] = defaultdict(list)
    for entity in chain.from_iterable(runs):
        scores[entity["start"], entity["end"], entity["label"]].append(entity["score"])
    candidates = [
        {
            "start": start,
            "end": end,
            "text": query.text[start:end],
            "label": label,
            "runs": len(found),
            "agreement": len(found) / RUNS,
            "score": sum(found) / len(found),
        }
        for (start, end, label), found in sorted(scores.items())
    ]
    return {"text": query.text, "runs": RUNS, "candidates": candidates}


def _timed(query: Query, steps: int) -> dict[str, Any]:
    began = perf_counter()
    entities = extractor().predict_entities(
        query.text, list(query.types), query.threshold, steps=steps, canvas=query.canvas
    )
    return {"entities": entities, "milliseconds": round(1000 * (perf_counter() - began), 1)}


def _passes(query: Query) -> Iterator[list[dict[str, Any]]]:
    """Group the steps of the stream: each pass over the canvas begins with step 1 again."""
    held = extractor()
    empty = held.encoder.decode_pieces([held.settings.pad_token_id])[0].strip()
    current: list[dict[str, Any]] = []
    for step in held.stream(
        query.text, list(query.types), threshold=query.threshold, steps=query.steps, canvas=query.canvas
    ):
        if query.canvas == "completion":
            for slot in step["slots"]:
                slot["empty"] = slot["revealed"] and slot["symbol"].strip() == empty
        if step["step"] == 1 and current:
            yield current
            current = []
        current.append(step)
    if current:
        yield current
