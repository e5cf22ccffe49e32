"""Entities: which keys they have, how they are checked, and what it means that two of them are equal."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Collection, Hashable, Sequence
from numbers import Integral
from typing import Any

# The keys an entity must have, by the name of the configuration.
FIELDS: dict[str, dict[str, type]] = {
    "text": {"type": str, "text": str},
    "span": {"type": str, "start": int, "end": int},
}
MATCHINGS = ("strict", "multiset", "uniner")

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalize_uniner(text: str) -> str:
    """`text` as UniNER's evaluator compares it.

    Lower-cased, ASCII punctuation deleted, then the articles a, an and the deleted, white space squeezed.
    The rules are SQuAD's (Rajpurkar et al. 2016), applied to mentions by UniNER's `src/eval/evaluate.py`
    (Zhou et al. 2024). The result may be empty (`"The"`), and two empty results are equal, as they are there.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def entity_key(config_name: str, matching: str) -> Callable[[dict[str, Any]], tuple[Hashable, ...]]:
    """The function from an entity to what must be equal for a match, which starts with the folded type."""
    if config_name == "span":
        return lambda entity: (entity["type"].casefold(), int(entity["start"]), int(entity["end"]))
    if matching == "uniner":
        return lambda entity: (entity["type"].casefold(), normalize_uniner(entity["text"]))
    return lambda entity: (entity["type"].casefold(), entity["text"])


def fold_types(name: str, types: Collection[str]) -> frozenset[str]:
    """The case-folded set of the type labels passed as argument `name`.

    Raises:
        ValueError: `types` is one bare string (its letters would be taken as types) or holds something else.
    """
    if isinstance(types, str):
        raise ValueError(f"{name} must be a list of types, got the string {types!r}: write [{types!r}]")
    if not isinstance(types, Collection):
        raise ValueError(f"{name} must be a list of types, got {_show(types)}")
    for label in types:
        if not isinstance(label, str):
            raise ValueError(f"{name} must hold strings, got {label!r} of type {type(label).__name__}")
    return frozenset(label.casefold() for label in types)


def check_sentences(name: str, sentences: Any, config_name: str, first: int = 0) -> None:
    """Check that `sentences` is a list of lists of entities with the fields of `config_name`.

    Args:
        name: what to call the argument in an error.
        sentences: one list of entities per sentence. Keys that the configuration does not read are allowed.
        config_name: `"text"` or `"span"`.
        first: the index of the first sentence, for input that arrives in batches.

    Raises:
        ValueError: names the first bad value by its index, as in `predictions[3][0]`, and says what is wrong.
    """
    if isinstance(sentences, str) or not isinstance(sentences, Sequence):
        raise ValueError(
            f"{name} must be a list with one list of entities per sentence, got {_show(sentences)}"
        )
    fields = FIELDS[config_name]
    for row, sentence in enumerate(sentences, first):
        if not isinstance(sentence, (list, tuple)):
            raise ValueError(
                f"{name}[{row}] must be a list of entities (empty if none), got {_show(sentence)}"
            )
        for column, entity in enumerate(sentence):
            if not isinstance(entity, dict):
                raise ValueError(f"{name}[{row}][{column}] must be a dict, got {_show(entity)}")
            for field, kind in fields.items():
                # The exact type is by far the commonest case and much cheaper than the full check.
                if type(entity.get(field)) is not kind:
                    _check_field(f"{name}[{row}][{column}]", entity, field, kind)
                if kind is str and not entity[field].isascii():
                    _check_unicode(f"{name}[{row}][{column}][{field!r}]", entity[field])
            if config_name == "span" and not 0 <= entity["start"] < entity["end"] < 2**63:
                raise ValueError(
                    f"{name}[{row}][{column}] needs 0 <= start < end < 2**63 (end is exclusive), "
                    f"got start={entity['start']}, end={entity['end']}"
                )


def check_lengths(first_name: str, first: Sequence[Any], second_name: str, second: Sequence[Any]) -> None:
    """Check that both arguments have as many sentences.

    Raises:
        ValueError: names both lengths and the index of the first sentence without a counterpart.
    """
    if len(first) != len(second):
        raise ValueError(
            f"{first_name} has {len(first)} sentences and {second_name} has {len(second)}: "
            f"sentence {min(len(first), len(second))} has no counterpart"
        )


def _check_field(where: str, entity: dict[str, Any], field: str, kind: type) -> None:
    if field not in entity:
        hint = "; rename its key 'label' to 'type'" if field == "type" and "label" in entity else ""
        raise ValueError(f"{where} has no key {field!r}, its keys are {sorted(map(str, entity))}{hint}")
    value = entity[field]
    # numpy integers are Integral, and so is bool, which is never meant as an offset.
    fits = (
        isinstance(value, str) if kind is str else isinstance(value, Integral) and not isinstance(value, bool)
    )
    if not fits:
        raise ValueError(f"{where}[{field!r}] must be {kind.__name__}, got {_show(value)}")


def _check_unicode(where: str, text: str) -> None:
    # Neither Arrow nor JSON in UTF-8 can hold half of a surrogate pair, the relic of a cut UTF-16 string.
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where} must be valid Unicode, got {_show(text)}: {error.reason}") from None


def _show(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'} of type {type(value).__name__}"
