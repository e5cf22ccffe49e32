"""Divides passages into training and validation, with near-duplicates on one side.

Near-duplicates are found by MinHash signatures over word shingles and banding (Broder 1997, "On the
resemblance and containment of documents"; Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4).
A group too many only ties passages together that need not be; so colliding bands are not checked again.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from zlib import crc32

import numpy as np

from dataset_builder.locate import is_simple, tokenize
from dataset_builder.settings import SPLITS

SHINGLE_WORDS = 5
# 16 bands of 5: passages that share 70% of their shingles are tied with probability 0.95, 80% with 0.998.
BANDS, ROWS = 16, 5

_SIMPLE_WORD = re.compile(r"[^\W_]+")
_CACHED_WORDS = 300_000
_SHINGLE_BASE = np.uint32(0x9E3779B1)  # odd, so that multiplying modulo 2**32 loses nothing


def _odd_constants(count: int, purpose: bytes) -> np.ndarray:
    digests = (blake2b(b"%d" % i, digest_size=8, person=purpose).digest() for i in range(count))
    return np.array([int.from_bytes(digest, "little") | 1 for digest in digests], dtype=np.uint64)


_MULTIPLIERS = _odd_constants(BANDS * ROWS, b"minhash multiply").astype(np.uint32)[:, None]
_OFFSETS = _odd_constants(BANDS * ROWS, b"minhash offset").astype(np.uint32)[:, None]
_MIXERS = _odd_constants(ROWS, b"minhash band")


class _WordHashes(dict[str, int]):
    def __missing__(self, word: str) -> int:
        if len(self) >= _CACHED_WORDS:
            self.clear()
        self[word] = value = crc32(word.encode("utf-8"))
        return value


_word_hashes = _WordHashes()


def bands(text: str) -> bytes:
    """Return the band hashes of a text: ``BANDS`` little-endian unsigned 64-bit numbers.

    Texts with equal words have equal bands; case, punctuation and white space do not count.
    """
    folded = text.casefold()
    if is_simple(folded):
        words = _SIMPLE_WORD.findall(folded)
    else:
        words = [word for word in tokenize(folded).words if word[0].isalnum()]
    hashes = np.fromiter(map(_word_hashes.__getitem__, words or [""]), dtype=np.uint32)
    width = min(SHINGLE_WORDS, len(hashes))
    shingles = np.zeros(len(hashes) - width + 1, dtype=np.uint32)
    for place in range(width):
        shingles = (shingles + hashes[place : place + len(shingles)]) * _SHINGLE_BASE
        shingles ^= shingles >> np.uint32(15)
    signature = np.full(BANDS * ROWS, np.iinfo(np.uint32).max, dtype=np.uint32)
    for block in range(0, len(shingles), 4096):  # bounds the memory that a very long passage takes
        hashed = shingles[None, block : block + 4096] * _MULTIPLIERS + _OFFSETS
        np.minimum(signature, hashed.min(axis=1), out=signature)
    rows = signature.astype(np.uint64).reshape(BANDS, ROWS)
    return (rows * _MIXERS).sum(axis=1, dtype=np.uint64).astype("<u8").tobytes()


def near_duplicate_groups(band_hashes: Sequence[bytes]) -> list[int]:
    """Return for each passage the number of its group: the first index that it is tied to."""
    parent = list(range(len(band_hashes)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    if band_hashes:
        table = np.frombuffer(b"".join(band_hashes), dtype="<u8").reshape(-1, BANDS)
        for column in table.T:
            order = np.argsort(column, kind="stable")
            equal = np.flatnonzero(column[order[1:]] == column[order[:-1]])
            for first, second in zip(order[equal].tolist(), order[equal + 1].tolist(), strict=True):
                low, high = sorted((root(first), root(second)))
                parent[high] = low
    return [root(index) for index in range(len(parent))]


def split_key(text: str, seed: int) -> bytes:
    """Return the 8 random bytes that place a passage in the split: of its text and the seed only."""
    content = text.encode("utf-8", "surrogatepass")
    return blake2b(content, digest_size=8, key=f"split {seed}".encode()).digest()


def assign_splits(groups: Sequence[int], keys: Sequence[bytes], validation_share: float) -> list[str]:
    """Return the split of each passage.

    Groups go to validation in the order of their smallest key, until ``validation_share`` of the passages
    are there; a group that would overshoot stays in training. The result does not depend on the order of
    the passages.
    """
    members: dict[int, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    train, validation = SPLITS
    splits = [train] * len(groups)
    room = round(validation_share * len(groups))
    for indices in sorted(members.values(), key=lambda indices: min(keys[index] for index in indices)):
        if len(indices) <= room:
            room -= len(indices)
            for index in indices:
                splits[index] = validation
        if room == 0:
            break
    return splits
