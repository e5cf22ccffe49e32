"""The transformers pipeline ``zero-shot-ner``, for this repository and for published models.

>>> pipe = pipeline("zero-shot-ner", model="diffusion-ner/diffusion-ner-zero", trust_remote_code=True)
>>> pipe("Ronaldo plays for Al Nassr", labels=["person", "organization"])

The release puts this file and all it imports beside ``generate.py`` in a model's repository, where nothing
else of this project is: it may import nothing but its siblings, torch and transformers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import Pipeline

from ..extraction.decoder import Options
from ..extraction.extractor import EntityExtractor

TASK = "zero-shot-ner"


class ZeroShotNerPipeline(Pipeline):
    """Entities of any type, as transformers' token classification shapes them.

    Inputs are texts, or ``{"text": ..., "labels": [...]}`` where each text has labels of its own; a list, a
    data set or a generator of either. ``labels`` and the options of ``EntityExtractor.predict_entities``
    (``threshold``, ``steps``, ...) may be given to the pipeline or to a call.
    """

    _load_tokenizer: Any = True
    _load_processor: Any = False
    _load_image_processor: Any = False
    _load_video_processor: Any = False
    _load_feature_extractor: Any = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tokenizer: Any = self.tokenizer
        self.extractor = EntityExtractor(self.model, tokenizer)

    def __call__(  # type: ignore[override]  # the base takes no second argument: it warns and drops it
        self, inputs: Any, labels: Sequence[str] | None = None, **kwargs: Any
    ) -> Any:
        """Return the entities of a text, or an iterable of them for several.

        Args:
            inputs: see the class.
            labels: the entity types to look for.
            kwargs: ``batch_size`` and the options of the class.

        Returns:
            ``{"entity_group", "score", "word", "start", "end"}`` each, in order: the type, its score in
            [0, 1], and the mention, ``text[start:end]`` in characters.

        Raises:
            TypeError, ValueError: an argument is wrong; the message names it and the fix.
        """
        if isinstance(inputs, list | tuple) and not inputs:
            return []
        if labels is not None:
            kwargs["labels"] = labels
        return super().__call__(list(inputs) if isinstance(inputs, tuple) else inputs, **kwargs)

    def _sanitize_parameters(
        self, labels: Sequence[str] | None = None, **options: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        known = Options.__dataclass_fields__
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise TypeError(f"unknown option {unknown[0]!r}; known are labels, {', '.join(known)}")
        return ({} if labels is None else {"labels": labels}), options, {}

    def preprocess(self, input_: Any, **parameters: Any) -> dict[str, Any]:
        """Return ``{"text", "labels"}``."""
        text, labels = input_, parameters.get("labels")
        if isinstance(input_, Mapping):
            text, labels = input_.get("text"), input_.get("labels", labels)
        if labels is None:
            raise ValueError('no labels given; name the entity types, for example labels=["person", "place"]')
        return {"text": text, "labels": labels}

    def _forward(self, input_tensors: dict[str, Any], **options: Any) -> Any:
        texts, labels = input_tensors["text"], input_tensors["labels"]
        if isinstance(texts, list):  # a batch: a list of types for each text
            found = self.extractor.batch_predict_entities(texts, labels, batch_size=len(texts), **options)
            return {"entities": found}
        return {"entities": self.extractor.predict_entities(texts, labels, **options)}

    def postprocess(self, model_outputs: Any, **parameters: Any) -> list[dict[str, Any]]:
        """Return the entities under the names of transformers' pipelines."""
        return [
            {
                "entity_group": entity["label"],
                "score": entity["score"],
                "word": entity["text"],
                "start": entity["start"],
                "end": entity["end"],
            }
            for entity in model_outputs["entities"]
        ]
