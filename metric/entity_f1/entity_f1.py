"""Strict entity F1 as an `evaluate` metric: `evaluate.load("diffusion-ner/entity_f1", "text")`."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from .entities import FIELDS, check_lengths, check_sentences
from .scorer import score_entities

_CITATION = """\
@inproceedings{zhou2024universalner,
  title={Universal{NER}: Targeted Distillation from Large Language Models for Open Named Entity Recognition},
  author={Wenxuan Zhou and Sheng Zhang and Yu Gu and Muhao Chen and Hoifung Poon},
  booktitle={The Twelfth International Conference on Learning Representations},
  year={2024}
}
"""

_DESCRIPTION = """\
Precision, recall and F1 of named entities: micro averages over exact (type, text) or (type, start, end), \
counted as a set per sentence; with per-type scores, a macro average, bootstrap intervals, a paired \
comparison of two systems, and UniNER's own matching rules for comparison with its published figures.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: one list of entities per sentence. An entity is a dict: `{"type": str, "text": str}` with the
        configuration `text` (the default), `{"type": str, "start": int, "end": int}` with `span`; further
        keys are not read.
    references: the same, of the same length.
    matching (str): `"strict"` (default, a set per sentence), `"multiset"` (repeated items count) or
        `"uniner"` (UniNER's evaluator: lower-cased, no punctuation or articles; `text` only).
    zero_division (float): the value of 0/0, 0.0 (default) or 1.0.
    ignore_types (list of str): types left out on both sides, such as `["misc"]`.
    per_type (bool): also return `per_type`, the scores of each type.
    macro (bool): also return `macro`, the unweighted means over types.
    seen_types (list of str): also return `seen` and `unseen`, micro scores over these types and all others.
    bootstrap (int): number of resamples of sentences; also return their intervals as `bootstrap`. 0 for none.
    confidence_level (float): of the intervals, 0.95 by default.
    seed (int): of the bootstrap, 0 by default.
    baseline_predictions: a second system's predictions; also return `paired`, the paired bootstrap.
Returns:
    precision, recall, f1 (float in [0, 1]), tp, fp, fn, support (int), and the parts asked for.
Examples:
    >>> metric = evaluate.load("diffusion-ner/entity_f1", "text")
    >>> references = [[{"type": "person", "text": "Ada"}, {"type": "city", "text": "London"}]]
    >>> predictions = [[{"type": "Person", "text": "Ada"}, {"type": "city", "text": "Paris"}]]
    >>> metric.compute(predictions=predictions, references=references)
    {'precision': 0.5, 'recall': 0.5, 'f1': 0.5, 'tp': 1, 'fp': 1, 'fn': 1, 'support': 2}
"""

_VALUES = {str: "string", int: "int64"}


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class EntityF1(evaluate.Metric):
    """Entity F1; one feature schema per configuration, `text` or `span`."""

    @property
    def _fields(self) -> str:
        # evaluate calls a metric loaded without a configuration "default".
        return "text" if self.config_name == "default" else self.config_name

    def _info(self) -> evaluate.MetricInfo:
        if self._fields not in FIELDS:
            raise ValueError(f"config_name must be one of {sorted(FIELDS)}, got {self.config_name!r}")
        entity = {field: datasets.Value(_VALUES[kind]) for field, kind in FIELDS[self._fields].items()}
        entities = datasets.List(entity)
        return evaluate.MetricInfo(
            module_type="metric",
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": entities, "references": entities}),
            reference_urls=[
                "https://github.com/universal-ner/universal-ner",
                "https://arxiv.org/abs/2308.03279",
            ],
            license="apache-2.0",
        )

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add the entities of several sentences.

        Raises:
            ValueError: names the first bad value by the index of its sentence among all that were added.
        """
        predictions = self._checked("predictions", predictions)
        references = self._checked("references", references)
        check_lengths("predictions", predictions, "references", references)
        super().add_batch(predictions=predictions, references=references, **kwargs)

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Add the entities of one sentence.

        Raises:
            ValueError: as from `add_batch`.
        """
        # `evaluate.combine(...).add` passes the single sentence by the plural names.
        (prediction,) = self._checked("predictions", [kwargs.pop("predictions", prediction)])
        (reference,) = self._checked("references", [kwargs.pop("references", reference)])
        super().add(prediction=prediction, reference=reference, **kwargs)

    def _checked(self, name: str, sentences: Any) -> list[list[dict[str, Any]]]:
        """The sentences with the fields of the schema alone, for Arrow takes neither more nor fewer."""
        check_sentences(name, sentences, self._fields, first=len(self))
        fields = tuple(FIELDS[self._fields])
        return [[{field: entity[field] for field in fields} for entity in sentence] for sentence in sentences]

    def _compute(self, *, predictions: Any = None, references: Any = None, **options: Any) -> dict[str, Any]:
        return score_entities(predictions, references, config_name=self._fields, **options).to_dict()
