"""Renders the card of the data set: everything in it comes from the report and the files written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard, DatasetCardData

from dataset_builder.report import ISSUE_KINDS
from dataset_builder.settings import CONFIGS, DEFAULT_CONFIG, NEGATIVES, SPLITS
from modeling.canvas.template import parse_completion, render_completion, render_prompt

REPOSITORY = "diffusion-ner/pile-ner-diffusion"
LICENCE = "cc-by-nc-4.0"
TEMPLATE = Path(__file__).with_name("card_template.md")

_EXAMPLE_TEXT = "Ada Lovelace wrote to Charles Babbage from London."
_EXAMPLE_TYPES = ("location", "award", "person")
_EXAMPLE_ENTITIES = (("person", "Ada Lovelace"), ("person", "Charles Babbage"), ("location", "London"))


def render_card(report: dict[str, Any], infos: Mapping[str, datasets.DatasetInfo]) -> str:
    """Return the card (``README.md`` with its YAML head) of a data set.

    Args:
        report: as :meth:`dataset_builder.report.Report.as_dict` gives it, with ``rows``.
        infos: of every configuration, with splits and sizes.
    """
    data = DatasetCardData(
        pretty_name="Pile-NER for masked-diffusion fine-tuning",
        language=["en"],
        license=LICENCE,
        task_categories=["token-classification", "text-generation"],
        task_ids=["named-entity-recognition"],
        annotations_creators=["machine-generated"],
        source_datasets=["Universal-NER/Pile-NER-type"],
        size_categories=[_size_category(report["passages"]["passages"])],
        tags=["named-entity-recognition", "zero-shot", "diffusion-language-model", "universal-ner"],
    )
    written = [name for name in CONFIGS if infos[name].splits]
    DatasetInfosDict({name: infos[name] for name in written}).to_dataset_card_data(data)
    MetadataConfigs(
        {
            name: {
                "data_files": [
                    {"split": split, "path": f"{name}/{split}-*.parquet"}
                    for split in infos[name].splits or ()
                ],
                **({"default": True} if name == DEFAULT_CONFIG else {}),
            }
            for name in written
        }
    ).to_dataset_card_data(data)
    prompt = render_prompt(_EXAMPLE_TYPES, _EXAMPLE_TEXT)
    completion = render_completion(_EXAMPLE_ENTITIES, _EXAMPLE_TYPES)
    card = DatasetCard.from_template(
        data,
        template_path=str(TEMPLATE),
        repository=REPOSITORY,
        report=report,
        infos=infos,
        configs=written,
        splits=SPLITS,
        negatives=NEGATIVES,
        features={name: list(info.features or {}) for name, info in infos.items()},
        issue_kinds=ISSUE_KINDS,
        example_prompt=prompt,
        example_completion=completion,
        example_none=render_completion(()),
        example_entities=parse_completion(completion, _EXAMPLE_TYPES).entities,
    )
    return str(card).rstrip() + "\n"


def _size_category(passages: int) -> str:
    # The Hub's own names.
    bounds = {"n<1K": 1_000, "1K<n<10K": 10_000, "10K<n<100K": 100_000}
    return next((name for name, bound in bounds.items() if passages < bound), "100K<n<1M")
