"""DiffusionNER-Zero: zero-shot entity recognition by masked diffusion.

>>> from modeling import EntityExtractor
>>> extractor = EntityExtractor.from_pretrained()
>>> extractor.predict_entities("Ronaldo plays for Al Nassr", ["person", "organization"])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backbones.load import load_model
    from .backbones.tokenizer import load_tokenizer
    from .extraction.extractor import EntityExtractor

__all__ = ["EntityExtractor", "load_model", "load_tokenizer"]

_HOMES = {
    "EntityExtractor": ".extraction.extractor",
    "load_model": ".backbones.load",
    "load_tokenizer": ".backbones.tokenizer",
}


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: whoever wants the template or --help does not wait for it.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
