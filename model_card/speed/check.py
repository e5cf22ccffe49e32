"""Does the engine compute what the plain path computes? Asked before it is timed."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch

from model_card.speed.cuda import Bench, Work
from modeling.custom_generate.engine import attach_engine, detach_engine
from modeling.extraction.prediction import Prediction

WAYS = {"packed": 0, "recorded": 1 << 14}  # the greatest batch, in tokens, that runs recorded
STEPS = "3"


def answers_agree(bench: Bench, count: int = 8) -> dict[str, dict[str, Any]]:
    """Compare the answers of engine and plain path after three forwards, in the network's own precision.

    Returns:
        By canvas and way: how many of the sentences have the same entities at the same places, and, if all
        have, the greatest difference of a score.
    """
    found: dict[str, dict[str, Any]] = {}
    for canvas in ("aligned", "completion"):
        works = _works(bench, canvas, count)
        detach_engine(bench.model)
        plain = bench.run(works)
        for way, tokens in WAYS.items():
            attach_engine(bench.model, graph_tokens=tokens)
            # One by one in buckets, as they are meant.
            parts = [[work] for work in works] if tokens else [works]
            fast = [prediction for part in parts for prediction in bench.run(part)]
            detach_engine(bench.model)
            equal = sum(a == b for a, b in zip(_places(plain), _places(fast), strict=True))
            entry: dict[str, Any] = {
                "sentences": len(works),
                "equal": equal,
                "entities": sum(len(prediction.entities) for prediction in plain),
            }
            if equal == len(works):
                pairs = zip(_scores(plain), _scores(fast), strict=True)
                entry["greatest_score_difference"] = max((abs(a - b) for a, b in pairs), default=0.0)
            found[f"{canvas}, {way}"] = entry
    return found


def state_errors(bench: Bench, float8: bool, count: int = 8) -> dict[str, dict[str, float]]:
    """Compare canvas states with the plain path in fp32: ``norm(states - reference) / norm(reference)``.

    Args:
        bench: with a network in fp32; copies of it run in bf16 and float8.
        float8: whether float8 is compared, or fp32 and bf16.
        count: sentences of each of two data sets.

    Returns:
        By canvas and what runs, the error.
    """
    found: dict[str, dict[str, float]] = {}
    model = bench.model
    rounded = deepcopy(model).bfloat16()
    for canvas in ("aligned", "completion"):
        works = _works(bench, canvas, count)
        reference = _states(bench, works, model)
        errors = {}
        variants: list[tuple[str, Any, dict[str, Any] | None]]
        if float8:
            variants = [("engine, float8", rounded, {"graph_tokens": 0, "float8": True})]
        else:
            variants = [
                ("engine, fp32", model, {"graph_tokens": 0}),
                ("plain, bf16", rounded, None),
                ("engine, bf16, packed", rounded, {"graph_tokens": 0}),
                ("engine, bf16, recorded", rounded, {"graph_tokens": WAYS["recorded"]}),
            ]
        for name, network, options in variants:
            if options is not None:
                attach_engine(network, **options)
            states = _states(bench, works, network)
            detach_engine(network)
            errors[name] = round(float((states - reference).norm() / reference.norm()), 8)
        found[canvas] = errors
    bench.model = model
    return found


def _works(bench: Bench, canvas: str, count: int) -> list[Work]:
    names = list(bench.sentences)
    return [work for name in (names[0], names[-1]) for work in bench.works(canvas, STEPS, [name])[:count]]


def _states(bench: Bench, works: Sequence[Work], model: Any) -> torch.Tensor:
    """Return the states of a second forward, over a canvas that is partly revealed, in fp32."""
    bench.model = model
    with torch.no_grad():
        task, _, _ = bench.prepare(works)
        denoiser, mask = task.denoiser, task.denoiser.canvas.mask
        settings = denoiser.settings
        ids = torch.full_like(mask, settings.mask_token_id, dtype=torch.long)
        denoiser.hidden(ids)
        ids[:, ::3] = settings.inside_token_id
        return denoiser.hidden(ids)[mask].float()


def _places(predictions: Sequence[Prediction]) -> list[list[tuple[int, int, str]]]:
    return [[(e.start, e.end, e.label) for e in prediction.entities] for prediction in predictions]


def _scores(predictions: Sequence[Prediction]) -> list[float]:
    return [entity.score for prediction in predictions for entity in prediction.entities]
