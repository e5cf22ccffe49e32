"""DiffusionNER-Zero: zero-shot entity recognition by masked diffusion.

>>> from modeling import EntityExtractor
>>> extractor = EntityExtractor.from_pretrained()
>>> extractor.predict_entities("Ronaldo plays for Al Nassr", ["person", "organization"])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modeling.backbones import load_model
    from modeling.extractor import EntityExtractor
    from modeling.tokenizer import load_tokenizer

__all__ = ["EntityExtractor", "load_model", "load_tokenizer"]

_HOMES = {
    "EntityExtractor": "modeling.extractor",
    "load_model": "modeling.backbones",
    "load_tokenizer": "modeling.tokenizer",
}


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: whoever wants the template or --help does not wait for it.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
