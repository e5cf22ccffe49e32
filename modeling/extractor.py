"""Entities of any type out of any text: the class that users hold."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from modeling.backbones import load_model
from modeling.custom_generate.generate import DECODINGS
from modeling.custom_generate.settings import CANVASES, DiffusionSettings
from modeling.encoding import PromptEncoder
from modeling.planning import Entity, Limits, Request, flat, plan
from modeling.reading import Reading
from modeling.runner import CanvasRunner, Options
from modeling.template import check_types
from modeling.tokenizer import load_tokenizer

DEFAULT_STEPS = {"aligned": 1, "completion": 8}  # chosen on CrossNER dev
GROUNDED = "grounded"


class EntityExtractor:
    """Extracts entities of any type with one masked-diffusion network.

    One extractor may be called from several threads at once.

    Args:
        model: as ``modeling.load_model`` returns it.
        tokenizer: the model's.
        canvas: ``"aligned"`` or ``"completion"``; default: what the checkpoint says.
        limits: what one prompt may hold; a longer text is read in windows, more types in several prompts.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        canvas: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.model = model
        self.settings = DiffusionSettings.of(model)
        self.canvas = self._checked_canvas(canvas or self.settings.canvas)
        self.encoder = PromptEncoder(tokenizer, self.settings)
        self.runner = CanvasRunner(model, self.settings, self.encoder)
        wanted = limits or Limits()
        # No more types than there are markers, and a quarter of the positions are left for an answer.
        self.limits = replace(
            wanted,
            types=min(wanted.types, self.settings.max_markers or wanted.types),
            prompt_tokens=min(wanted.prompt_tokens, self.runner.context * 3 // 4),
        )

    @classmethod
    def from_pretrained(
        cls,
        path_or_id: str | Path | None = None,
        *,
        device: str | None = None,
        dtype: torch.dtype | None = None,
        canvas: str | None = None,
        revision: str | None = None,
    ) -> "EntityExtractor":
        """Load a model and return its extractor.

        Args:
            path_or_id: folder or Hub id (adapter, merged or full); None is the embedded default, which
                needs no network.
            device: such as ``"cuda"`` or ``"cpu"``; default: a GPU if there is one.
            dtype: of the weights; default: bf16 on a GPU, fp32 on the CPU.
            canvas: see EntityExtractor.
            revision: branch, tag or commit of a Hub repository.

        Raises:
            OSError, ValueError: see ``modeling.load_model``.
        """
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if dtype is None:
            dtype = torch.bfloat16 if chosen.startswith("cuda") else torch.float32
        model = load_model(path_or_id, dtype=dtype, device_map=chosen, revision=revision)
        return cls(model, load_tokenizer(path_or_id, revision=revision), canvas)

    @property
    def device(self) -> torch.device:
        """The device of the network's input embeddings."""
        return self.model.get_input_embeddings().weight.device

    def predict_entities(
        self,
        text: str,
        labels: Sequence[str],
        threshold: float = 0.0,
        *,
        steps: int | None = None,
        decoding: str | None = None,
        canvas: str | None = None,
        **options: Any,
    ) -> list[dict]:
        """Return the entities of one text, in order, not overlapping.

        Args:
            text: of any length and language; a text without words has no entities.
            labels: the entity types to look for, as natural language names.
            threshold: the least score of an entity returned, in [0, 1].
            steps: denoising steps; default 1 on the aligned canvas, 8 on the completion canvas.
            decoding: of the completion canvas: ``"grounded"`` (only spans of the text, the default) or
                ``"plain"`` (whatever the network writes). The aligned canvas is always grounded.
            canvas: ``"aligned"`` or ``"completion"``; default: the extractor's.
            options: ``remasking``, ``temperature`` and ``seed``, ``pad_penalty``, ``outside_bias``,
                ``use_cache``; see ``modeling.custom_generate.generate``.

        Returns:
            ``{"start", "end", "text", "label", "score"}`` each; ``text[start:end] == entity["text"]``.

        Raises:
            TypeError, ValueError: an argument is wrong; the message names it and the fix.
        """
        return self.batch_predict_entities(
            [text],
            labels,
            threshold,
            steps=steps,
            decoding=decoding,
            canvas=canvas,
            **options,
        )[0]

    def batch_predict_entities(
        self,
        texts: Sequence[str],
        labels: Sequence[str] | Sequence[Sequence[str]],
        threshold: float = 0.0,
        batch_size: int = 16,
        *,
        steps: int | None = None,
        decoding: str | None = None,
        canvas: str | None = None,
        **options: Any,
    ) -> list[list[dict]]:
        """Return the entities of each text; see ``predict_entities``.

        Args:
            labels: one list of types for all texts, or one list for each text.
            batch_size: how many prompts run at once; it does not change the answers.
        """
        chosen = self.options(canvas, decoding, steps, threshold=threshold, **options)
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
        documents = _documents(texts, labels)
        found: list[list[Entity]] = [[] for _ in documents]
        for request, reading in self.read(documents, chosen, batch_size):
            found[request.document] += self._entities(request, reading, chosen.threshold)
        return [[entity.as_dict() for entity in flat(entities)] for entities in found]

    def options(self, canvas: str | None, decoding: str | None, steps: int | None, **others: Any) -> Options:
        """Return checked options, defaults filled in."""
        kind = self._checked_canvas(canvas or self.canvas)
        if decoding is not None and decoding not in DECODINGS:
            raise ValueError(f"decoding must be one of {DECODINGS}, got {decoding!r}")
        if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
            raise ValueError(f"steps must be a whole number of at least 1, got {steps!r}")
        threshold = others.get("threshold", 0.0)
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be a number in [0, 1], got {threshold!r}")
        seed = others.get("seed")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ValueError(f"seed must be a whole number, got {seed!r}")
        unknown = sorted(set(others) - set(Options.__dataclass_fields__))
        if unknown:
            raise TypeError(
                f"unknown option {unknown[0]!r}; known are {', '.join(Options.__dataclass_fields__)}"
            )
        return Options(kind, decoding or GROUNDED, steps or DEFAULT_STEPS[kind], **others)

    def read(
        self, documents: Sequence[tuple[Sequence[str], str]], options: Options, batch_size: int
    ) -> Iterator[tuple[Request, Reading]]:
        """Yield the reading of every request that (types, text) documents need, in no fixed order."""
        requests = plan(self.encoder, documents, self.limits)
        # Requests of like length together: little padding.
        requests.sort(key=lambda r: (len(r.prompt), r.document, r.offset))
        for at in range(0, len(requests), batch_size):
            batch = requests[at : at + batch_size]
            yield from zip(batch, self.runner.read([r.prompt for r in batch], options), strict=True)

    def stream(
        self,
        text: str,
        labels: Sequence[str],
        *,
        steps: int | None = None,
        decoding: str | None = None,
        canvas: str | None = None,
        **options: Any,
    ) -> Iterator[dict]:
        """Yield the canvas after each denoising step.

        Each step is ``{"step", "steps", "slots", "entities"}``: ``slots`` are
        ``{"text", "symbol", "revealed", "confidence"}``, one a word (aligned) or a token (completion);
        ``entities`` are those of the best reading of the canvas so far. A text of several windows is
        streamed window after window; a completion that proves too long for its canvas starts again at step 1
        on a longer one.
        """
        chosen = self.options(canvas, decoding, steps, **options)
        for request in plan(self.encoder, _documents([text], labels), self.limits):
            for step in self.runner.stream(request.prompt, chosen):
                reading = self.runner.interpret([request.prompt], chosen, step)[0]
                entities = flat(self._entities(request, reading, chosen.threshold))
                yield {
                    "step": step.number + 1,
                    "steps": chosen.steps,
                    "slots": self.runner.slots(request.prompt, chosen, step),
                    "entities": [entity.as_dict() for entity in entities],
                }

    def _checked_canvas(self, canvas: str) -> str:
        if canvas not in CANVASES:
            raise ValueError(f"canvas must be one of {CANVASES}, got {canvas!r}")
        if canvas == "aligned" and not self.settings.has_aligned:
            raise ValueError("this checkpoint has no aligned canvas; use canvas='completion'")
        return canvas

    def _entities(self, request: Request, reading: Reading, threshold: float) -> Iterable[Entity]:
        for entity in reading.entities:
            start, end = entity.start + request.offset, entity.end + request.offset
            if request.keep_from <= start < max(request.keep_to, 1) and entity.score >= threshold:
                yield Entity(start, end, entity.text, entity.label, entity.score)


def _documents(
    texts: Iterable[str], labels: Sequence[str] | Sequence[Sequence[str]]
) -> list[tuple[list[str], str]]:
    """Return checked (types, text) pairs."""
    if isinstance(texts, str):
        raise TypeError("texts must be a list of strings; for one text use predict_entities")
    texts = list(texts)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {number} must be a string, got {text!r:.60} of type {type(text).__name__}")
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        check_types(labels)  # raises
    labels = list(labels)
    if not labels or isinstance(labels[0], str):
        types = check_types(labels)  # type: ignore[arg-type]
        return [(types, text) for text in texts]
    if len(labels) != len(texts):
        raise ValueError(f"{len(texts)} texts but {len(labels)} lists of labels; give one list for each text")
    return [(check_types(own), text) for own, text in zip(labels, texts, strict=True)]
