"""The one driver of the loop: who runs together changes no answer, and nothing else steps a task."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from modeling import EntityExtractor
from tests.conftest import REPOSITORY
from tests.modeling.answers import TOY
from tests.modeling.tiny import TYPES, tiny_bert


@pytest.fixture
def writer(tokenizer) -> EntityExtractor:
    """An extractor that has both canvases and has learned nothing."""
    return EntityExtractor(tiny_bert(tokenizer), tokenizer)


def rows_of_forwards(extractor: EntityExtractor) -> list[tuple[int, int]]:
    """Return a list that will hold the rows and positions of every forward of the network."""
    seen: list[tuple[int, int]] = []

    def note(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        seen.append(tuple(kwargs["inputs_embeds"].shape[:2]))

    extractor.model.bert.register_forward_pre_hook(note, with_kwargs=True)
    return seen


@pytest.mark.parametrize("canvas", ["aligned", "completion"])
def test_a_batch_size_counts_rows_and_changes_no_answer(writer, canvas):
    seen = rows_of_forwards(writer)
    way: dict[str, Any] = {"runs": 20, "canvas": canvas, "steps": 1, "temperature": 1.0, "seed": 2}
    small = writer.sample_entities(TOY[0], TYPES, batch_size=8, **way)
    assert max(rows for rows, _ in seen) == 8
    prompt = seen[0]  # the runs share one encoding of it
    assert prompt[0] == 1
    assert [length for _, length in seen].count(prompt[1]) == 1
    seen.clear()
    large = writer.sample_entities(TOY[0], TYPES, batch_size=64, **way)
    assert max(rows for rows, _ in seen) == 20
    spans = [[[(e["start"], e["end"], e["label"]) for e in run] for run in runs] for runs in (small, large)]
    assert spans[0] == spans[1]


def test_a_token_budget_counts_the_rows_of_one_text_too(writer):
    seen = rows_of_forwards(writer)
    prompt = writer.encoder.encode(TYPES, TOY[0])
    size = len(prompt) + len(prompt.words)
    writer.sample_entities(TOY[0], TYPES, runs=9, batch_tokens=3 * size, seed=1)
    assert max(rows for rows, _ in seen) == 3


@pytest.mark.parametrize(
    ("decoding", "way"),
    [("plain", {}), ("grounded", {"temperature": 1.0, "seed": 3}), ("grounded", {"adaptive": True})],
)
def test_canvases_that_grow_are_the_same_in_any_batch(writer, decoding, way):
    writer.model.cls.predictions.bias.data[writer.settings.pad_token_id] = -1.0  # some answers are long
    prompts = writer.encoder.encode_batch([(TYPES, text) for text in TOY[:3]])
    chosen = writer.options("completion", decoding, 2, **way)
    whole = writer.decoder.predict(prompts, chosen)
    for size in (1, 2):
        parts = writer.decoder.predict(prompts, chosen, batch_size=size)
        for one, other in zip(whole, parts, strict=True):
            assert [(e.start, e.end, e.label) for e in one.entities] == [
                (e.start, e.end, e.label) for e in other.entities
            ]
            assert (one.forwards, one.truncated, one.violations) == (
                other.forwards,
                other.truncated,
                other.violations,
            )


def test_only_the_driver_steps_a_task():
    callers = set()
    for folder in ("modeling", "model_card", "space_app", "dataset_builder"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    if node.func.attr == "steps":
                        callers.add(path.name)
                elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "denoise":
                    callers.add(path.name)
    assert callers == {"rounds.py"}  # Task.steps calls the loop, and the driver calls that


def test_short_canvases_are_masked_again(writer):
    """Four words at eight steps: the expected number of slots masked again is one, and one is."""
    prompt = writer.encoder.encode(TYPES, "alice met bob there")
    chosen = writer.options("aligned", None, 8, remasking=True)
    shown = [
        int((step.ids[0, :4] != writer.settings.mask_token_id).sum())
        for step in writer.decoder.stream(prompt, chosen)
    ]
    plain = writer.options("aligned", None, 8)
    assert len(list(writer.decoder.stream(prompt, plain))) == 4
    # One slot a step; after the third the expected 0.1 + 0.2 + 0.3 is rounded to one slot that goes back.
    assert shown == [1, 2, 3, 3, 4]
