"""What an extractor answers to documents under one setting: the one place where evidence asks a model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from tqdm import tqdm

from model_card.evidence.predictions import Answer
from model_card.evidence.setting import SAMPLES, Setting
from modeling import EntityExtractor
from modeling.extraction.chunking import Entity, flat, plan
from modeling.extraction.options import Options
from modeling.extraction.prediction import Prediction

Document = tuple[Sequence[str], str]  # the types that are asked for, and the text


def answers_of(
    extractor: EntityExtractor,
    documents: Sequence[Document],
    setting: Setting,
    batch_size: int = 32,
    title: str | None = None,
) -> list[list[Answer]]:
    """Return the answers to each document: one, or one a step, or one a sample, as the setting says.

    Entities have offsets into the document: those of a text that is read in several chunks too.

    Args:
        extractor: that is asked.
        documents: (types, text) pairs.
        setting: how the canvases are decoded.
        batch_size: prompts that run at once.
        title: of a progress bar; None: no bar.

    Raises:
        RuntimeError: an entity is not what the text holds at its offsets, or of no type that was asked for.
    """
    ways = {"final": _final, "steps": _steps, "samples": _samples}
    found = ways[setting.answers](extractor, documents, setting, batch_size, title)
    for (types, text), own in zip(documents, found, strict=True):
        for answer in own:
            check_offsets(text, answer.entities, types)
    return found


def check_offsets(text: str, entities: Sequence[Entity], types: Sequence[str]) -> None:
    """Check that every entity stands in the text where it says, under a type that was asked for.

    Raises:
        RuntimeError: one does not, which is a fault of the extractor.
    """
    for entity in entities:
        found = text[entity.start : entity.end]
        if found != entity.text or entity.label not in types:
            raise RuntimeError(
                f"{entity} is not what the text holds there ({found!r}), or of no type asked for"
            )


def _options(extractor: EntityExtractor, setting: Setting) -> Options:
    return extractor.options(setting.canvas, setting.decoding, setting.steps, **setting.options())


def _final(
    extractor: EntityExtractor,
    documents: Sequence[Document],
    setting: Setting,
    batch_size: int,
    title: str | None,
) -> list[list[Answer]]:
    gathered: list[list[Prediction]] = [[] for _ in documents]
    placed: list[list[Entity]] = [[] for _ in documents]
    predictions = extractor.predict(documents, _options(extractor, setting), batch_size)
    for request, prediction in _bar(predictions, len(documents), title):
        gathered[request.document].append(prediction)
        placed[request.document] += request.placed(prediction.entities)
    return [[_answer(own, found)] for own, found in zip(gathered, placed, strict=True)]


def _steps(
    extractor: EntityExtractor,
    documents: Sequence[Document],
    setting: Setting,
    batch_size: int,
    title: str | None,
) -> list[list[Answer]]:
    options = _options(extractor, setting)
    requests = plan(extractor.encoder, documents, extractor.limits)
    requests.sort(key=lambda r: (len(r.prompt), r.document, r.offset))
    predictions: dict[tuple[int, int], list[Prediction]] = defaultdict(list)
    placed: dict[tuple[int, int], list[Entity]] = defaultdict(list)
    batches = range(0, len(requests), batch_size)
    for at in _bar(iter(batches), len(batches), title):
        batch = requests[at : at + batch_size]
        trajectories = extractor.decoder.predict_steps([r.prompt for r in batch], options)
        for request, own in zip(batch, trajectories, strict=True):
            # A canvas that was finished early stays as it is.
            for step in range(setting.steps):
                prediction = own[min(step, len(own) - 1)]
                predictions[request.document, step].append(prediction)
                placed[request.document, step] += request.placed(prediction.entities)
    return [
        [_answer(predictions[d, step], placed[d, step]) for step in range(setting.steps)]
        for d in range(len(documents))
    ]


def _samples(
    extractor: EntityExtractor,
    documents: Sequence[Document],
    setting: Setting,
    batch_size: int,
    title: str | None,
) -> list[list[Answer]]:
    answers: list[list[Answer]] = []
    starts = range(0, len(documents), batch_size)
    for at in _bar(iter(starts), len(starts), title):
        types, texts = zip(*documents[at : at + batch_size], strict=True)
        runs = extractor.batch_sample_entities(
            texts,
            types,
            SAMPLES,
            batch_size=batch_size * SAMPLES,  # it counts runs as rows
            canvas=setting.canvas,
            decoding=setting.decoding,
            steps=setting.steps,
            seed=0,
            **setting.options(),
        )
        answers += [[_sampled(run) for run in own] for own in runs]
    return answers


def _bar(items: Iterator[Any], total: int, title: str | None) -> Iterator[Any]:
    return iter(tqdm(items, total=total, desc=title, disable=title is None, leave=False))


def _sampled(found: Sequence[dict[str, Any]]) -> Answer:
    return Answer(tuple(Entity(e["start"], e["end"], e["text"], e["label"], e["score"]) for e in found))


def _answer(predictions: Sequence[Prediction], placed: Sequence[Entity]) -> Answer:
    return Answer(
        tuple(flat(placed)),
        tuple(pair for r in predictions for pair in r.hallucinations),
        sum(r.segments for r in predictions),
        sum(len(r.violations) for r in predictions),
        sum(r.forwards for r in predictions),
        sum(len(r.repetitions) for r in predictions),
        sum(r.truncated for r in predictions),
    )
