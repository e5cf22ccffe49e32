"""Labels as users write them, and the plain names that the network reads in their place.

A label that is a usual code (``PER``, ``B-ORG``, ``PHONE_NUMBER``) is read as what it means, and every other
one as its plain words: in lower case, with blanks for ``_``, hyphens and inner capitals, its noun singular.
A description follows the name in parentheses, shortened to ``DESCRIPTION_WORDS``. Results carry the label as
it was given, with every letter and blank of it.

The embedded model was trained on names without descriptions. A description is therefore for a label whose
name alone does not tell what is meant, and the completion canvas refuses descriptions.
"""

import logging
import re
from collections.abc import Iterable
from functools import lru_cache

from .label_codes import CAPITALS, CODES, NO_TAGS, TAGGED
from .label_plurals import singular

LOGGER = logging.getLogger("diffusion_ner.labels")
"""Says each code once in a process; ``LOGGER.setLevel(logging.ERROR)`` silences it."""
DESCRIPTION_WORDS = 12

_KNOWN = 20_000  # labels whose names are remembered
_TAG = re.compile(r"[BILUES]-(?=.)")  # of BIO, BIOES and BILOU
_SEPARATORS = re.compile(r"[\s_-]+")
# "firstName", "HTTPServer"; not "mRNA", "IDs", "IPv4".
_INNER_CAPITAL = re.compile(
    r"(?<=[^\W\d_A-Z][^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][^\W\d_A-Z]{2})|(?<=\d)(?=[A-Z][a-z])"
)
# A hyphen between two words; not "e-mail", "x-ray", "covid-19", "co-author".
_HYPHEN = re.compile(r"(?<=[^\W\d_]{3})-(?=[^\W\d_]{3})")
_PREPOSITIONS = frozenset(
    {"of", "in", "for", "from", "with", "by", "at", "on", "to", "per", "without", "under"}
)
_COMPOSED = re.compile(r"[,/&;()]|\b(?:and|or)\b")
# Names that are written with an inner capital.
_ONE_WORD = frozenset(
    {"github", "gitlab", "javascript", "linkedin", "paypal", "typescript", "whatsapp", "youtube"}
)

_said: set[tuple[str, str]] = set()


def tag_content(label: str) -> str:
    """Return the label without the prefix of a tag (``B-PER``), or as it is if it is no tag."""
    found = _TAG.match(label)
    if found is None or label.upper() in NO_TAGS:
        return label
    content = label[found.end() :]
    key = _key(content)
    # What has another prefix than B and I, or is no code, is a tag only if it is all in capitals.
    certain = key in CODES or key in TAGGED
    if label[0] in "BI":
        return content if certain or (content.isupper() and len(content) > 1) else label
    return content if certain and label.isupper() else label


def meaning(label: str) -> str | None:
    """Return what a usual code means, in plain words; None if the label is no code."""
    content = tag_content(label)
    key = _key(content)
    if content != label and key in TAGGED:
        return TAGGED[key]
    if key in CAPITALS and content == label and not label.isupper():
        return None
    return CODES.get(key)


def _key(label: str) -> str:
    return _SEPARATORS.sub("_", label.strip()).upper()


@lru_cache(_KNOWN)
def written_name(label: str) -> str:
    """Return the words of a label in lower case, as many of them and in the number that it has."""
    content = tag_content(" ".join(label.split()))
    words = []
    for word in content.replace("_", " ").split():
        if " " not in content:
            word = _HYPHEN.sub(" ", word)
            if word.lower() not in _ONE_WORD:
                word = _INNER_CAPITAL.sub(" ", word)
        words.append(word.lower())
    return " ".join(words) or content.lower()


@lru_cache(_KNOWN)
def plain_name(label: str) -> str:
    """Return what the network reads for a label: what a code means, or its words with a singular noun.

    The name of a name is itself.
    """
    label = " ".join(label.split())
    known = meaning(label)
    if known is not None:
        return known
    name = _singular_noun(written_name(label))
    return meaning(name) or name


def _singular_noun(name: str) -> str:
    """Put the noun of a name into the singular: its last word, or the last one before a preposition."""
    if _COMPOSED.search(name):
        return name
    words = name.split(" ")
    last = next((i - 1 for i, word in enumerate(words) if i and word in _PREPOSITIONS), len(words) - 1)
    words[last] = singular(words[last])
    return " ".join(words)


def described(name: str, description: str) -> str:
    """Return a name with what it means: the first words of the description, on one line.

    Signs that the format uses (``:``, ``|``) become commas and slashes.
    """
    words = re.sub(r"\s*:", ",", description).replace("|", "/").split()
    kept = " ".join("".join(c for c in word if c.isprintable()) for word in words[:DESCRIPTION_WORDS])
    return f"{name} ({kept.rstrip(' .,;')})"


def say(messages: Iterable[tuple[str, str]]) -> None:
    """Tell the user how labels are read, each once in a process.

    Args:
        messages: (label, how it is read) pairs.
    """
    new = [one for one in dict.fromkeys(messages) if one not in _said]
    _said.update(new)
    if new:
        LOGGER.warning("labels: %s", "; ".join(f"{label!r} {text}" for label, text in new))
