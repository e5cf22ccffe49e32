"""How the build compares texts, and the hash that all its choices derive from."""

import re
from hashlib import blake2b


def stable_hash(text: str) -> int:
    """A 64-bit hash of a text, the same in every process."""
    return int.from_bytes(blake2b(text.encode("utf-8"), digest_size=8).digest(), "big")


def normalize_text(text: str) -> str:
    """The form in which texts are compared: lower case, only letters and digits."""
    return re.sub(r"[\W_]+", "", text.casefold())
