"""The transformers pipeline ``zero-shot-ner``, for this repository and for published models.

>>> pipe = pipeline("zero-shot-ner", model="diffusion-ner/diffusion-ner-zero", trust_remote_code=True)
>>> pipe("Ronaldo plays for Al Nassr", labels=["person", "organization"])

The release puts this file and all it imports beside ``generate.py`` in a model's repository, where nothing
else of this project is: it may import nothing but its siblings, torch and transformers.
"""

from collections.abc import Iterable, Mapping
from types import GeneratorType
from typing import Any

from torch.utils.data import Dataset
from transformers import Pipeline

from ..extraction.columns import is_table, values
from ..extraction.extractor import EntityExtractor
from ..extraction.label_set import is_list_of_lists
from ..extraction.options import GLINER_OPTIONS, Options

TASK = "zero-shot-ner"


class ZeroShotNerPipeline(Pipeline):
    """Entities of any type, as transformers' token classification shapes them.

    Inputs are texts, or ``{"text": ..., "labels": [...]}`` where each text has labels of its own; a list, an
    array, a series or a column of them, a ``KeyDataset``, a data set of ``datasets`` with a column ``text``
    (and perhaps ``labels``), or a generator of either. ``labels`` and the options of
    ``EntityExtractor.predict_entities`` (``threshold``, ``steps``, ...) may be given to the pipeline or to a
    call.
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
        self, inputs: Any, labels: Any = None, **kwargs: Any
    ) -> Any:
        """Return the entities of a text, or an iterable of them for several.

        Args:
            inputs: see the class.
            labels: the entity types to look for, or a list of them for each text of a list.
            kwargs: ``batch_size`` and the options of the class.

        Returns:
            ``{"entity_group", "score", "word", "start", "end"}`` each, in order: the type, its score in
            [0, 1], and the mention, ``text[start:end]`` in characters.

        Raises:
            TypeError, ValueError: an argument is wrong; the message names it and the fix.
        """
        if is_table(inputs):
            inputs = _rows(inputs)
        elif not isinstance(inputs, str | Mapping | Dataset | GeneratorType):
            inputs = values(inputs)
        if isinstance(inputs, list) and not inputs:
            return []
        if labels is not None:
            labels = labels if isinstance(labels, str | Mapping) else values(labels)
            if isinstance(inputs, list) and is_list_of_lists(labels):
                inputs, labels = _with_labels(inputs, labels), None
        if labels is not None:
            kwargs["labels"] = labels
        return super().__call__(inputs, **kwargs)

    def _sanitize_parameters(
        self, labels: Any = None, **options: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        known = Options.__dataclass_fields__
        unknown = sorted(set(options) - set(known) - set(GLINER_OPTIONS))
        if unknown:
            raise TypeError(f"unknown option {unknown[0]!r}; known are labels, {', '.join(known)}")
        return ({} if labels is None else {"labels": labels}), options, {}

    def preprocess(self, input_: Any, **parameters: Any) -> dict[str, Any]:
        """Return ``{"text", "labels"}``."""
        text, labels = input_, parameters.get("labels")
        if isinstance(input_, Mapping):
            own = input_.get("labels")
            text, labels = input_.get("text"), labels if own is None else own
        elif isinstance(labels, list) and not labels:
            labels = None
        if labels is None:
            raise ValueError('no labels given; name the entity types, for example labels=["person", "place"]')
        return {"text": text, "labels": [labels] if isinstance(labels, Mapping) else labels}

    def _forward(self, input_tensors: dict[str, Any], **options: Any) -> Any:
        texts, labels = input_tensors["text"], input_tensors["labels"]
        if isinstance(texts, list):  # a batch: a list of types for each text
            if all(isinstance(own, list) and not own for own in labels):
                return {"entities": [[] for _ in texts]}
            found = self.extractor.batch_predict_entities(texts, labels, batch_size=len(texts), **options)
            return {"entities": found}
        if isinstance(labels, list) and not labels:  # the text's own: nothing to look for
            return {"entities": []}
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


def _rows(table: Any) -> Iterable[dict[str, Any]]:
    """Yield the rows of a data set as inputs.

    Raises:
        TypeError: it is another kind of table, whose column must be chosen, or it has no column ``text``.
    """
    if not hasattr(table, "column_names") or "text" not in table.column_names or not hasattr(table, "map"):
        values(table)  # raises
    return ({key: row[key] for key in ("text", "labels") if key in row} for row in table)


def _with_labels(texts: list[Any], labels: list[Any]) -> list[dict[str, Any]]:
    """Return texts with labels of their own as inputs.

    Raises:
        ValueError: there are more or fewer lists of labels than texts.
    """
    if len(texts) != len(labels):
        raise ValueError(f"{len(texts)} texts but {len(labels)} lists of labels; give one list for each text")
    return [{"text": text, "labels": own} for text, own in zip(texts, labels, strict=True)]
