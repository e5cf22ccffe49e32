"""The spaCy component under its first name; its code is in ``integrations.spacy_component``."""

from .integrations.spacy_component import create_component as create_component
