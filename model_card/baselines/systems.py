"""The baselines as systems that answer a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from dataset_builder.benchmark_queries import QuerySet
from dataset_builder.benchmarks import Benchmark, Sentence
from model_card.baselines.conversation import answer, prompt, questions
from model_card.baselines.engines import Engine
from model_card.evidence.predictions import Answer
from modeling.extraction.chunking import Entity

GLINER_THRESHOLD = 0.5  # the package's default, with which its figures were published


class System(Protocol):
    """Answers the sentences of a benchmark."""

    setting: str

    def answer(
        self, benchmark: Benchmark, sentences: Sequence[Sentence], queries: QuerySet | None
    ) -> list[Answer]:
        """Return the answer to each sentence, all types of the benchmark asked."""
        ...


class ConversationSystem:
    """UniNER, and any causal language model that speaks its conversation: one question a type."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.setting = f"one query a type, greedy, {engine.name}"

    def answer(
        self, benchmark: Benchmark, sentences: Sequence[Sentence], queries: QuerySet | None
    ) -> list[Answer]:
        """See System."""
        asked = questions(benchmark, queries)
        prompts = [prompt(sentence.text, own) for sentence in sentences for own in asked.values()]
        replies = self.engine.complete(prompts)
        size = len(asked)
        return [
            answer(sentence.text, dict(zip(asked, replies[at : at + size], strict=True)))
            for sentence, at in zip(sentences, range(0, len(replies), size), strict=True)
        ]


class GlinerSystem:
    """GLiNER through its package, all types at once.

    Args:
        model: Hub id or folder, such as ``urchade/gliner_small-v2.1``.
        device: such as ``"cuda"``.
        batch_size: sentences at once.

    Raises:
        ImportError: the package is not installed.
    """

    def __init__(self, model: str, *, device: str = "cpu", batch_size: int = 8) -> None:
        try:
            from gliner import GLiNER
        except ImportError as error:
            raise ImportError(
                "GLiNER is not installed: pip install -r requirements-gliner.txt in an environment of its "
                "own (it needs an older transformers than this project)"
            ) from error
        self._model = GLiNER.from_pretrained(model, map_location=device).eval()
        self._batch_size = batch_size
        self.setting = f"all types at once, threshold {GLINER_THRESHOLD}"

    @torch.inference_mode()
    def answer(
        self, benchmark: Benchmark, sentences: Sequence[Sentence], queries: QuerySet | None
    ) -> list[Answer]:
        """See System; the wording of ``queries`` is UniNER's, GLiNER is given the labels."""
        found = self._model.inference(
            [sentence.text for sentence in sentences],
            list(benchmark.types),
            flat_ner=True,
            threshold=GLINER_THRESHOLD,
            batch_size=self._batch_size,
        )
        return [gliner_answer(sentence.text, own) for sentence, own in zip(sentences, found, strict=True)]


def gliner_answer(text: str, found: Sequence[dict]) -> Answer:
    """Return GLiNER's entities, ``{"start", "end", "text", "label", "score"}`` each, as an answer.

    Raises:
        ValueError: an entity's text is not what stands at its offsets.
    """
    entities = []
    for own in sorted(found, key=lambda e: (e["start"], e["end"], e["label"])):
        if text[own["start"] : own["end"]] != own["text"]:
            raise ValueError(f"GLiNER's {own!r} is not what stands there in {text!r:.80}")
        entities.append(Entity(own["start"], own["end"], own["text"], own["label"], float(own["score"])))
    return Answer(tuple(entities))
