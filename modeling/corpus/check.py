"""Does an output hold every document of its input once? The input is read again and compared part by part."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from .documents import Columns, Piece, find_corpus, pieces
from .parts import finished_parts, part_name, read_dead_letters, read_part, text_hash
from .settings import read_run
from .storage import Folder

SHOWN = 10  # of each kind of fault


@dataclass
class Verdict:
    """What a check found.

    Attributes:
        documents: in the input.
        annotated: of them in parts.
        dead_letters: of them in dead letters.
        faults: how many there are of each kind: ``"missing"``, ``"written twice"``, ``"not in the input"``,
            ``"of another text"`` and ``"id used twice in the input"`` count documents, ``"foreign file"`` and
            ``"changed input file"`` files.
        examples: some of each, in words.
    """

    documents: int = 0
    annotated: int = 0
    dead_letters: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether every document is there once, with the text it has."""
        return not self.faults

    def blame(self, kind: str, example: str, number: int = 1) -> None:
        """Count a fault."""
        self.faults[kind] += number
        if len(own := self.examples.setdefault(kind, [])) < SHOWN:
            own.append(example)

    def lines(self) -> Iterator[str]:
        """Yield the verdict in words."""
        yield (
            f"{self.documents:,} documents in the input: {self.annotated:,} annotated, "
            f"{self.dead_letters:,} dead letters"
        )
        for kind, number in self.faults.items():
            yield f"{kind}: {number:,} (such as {', '.join(self.examples[kind])})"
        if self.sound:
            yield "every id is there once"


def check(output: Folder) -> Verdict:
    """Compare an output with its input.

    The memory it takes is that of one part, and eight bytes a document.

    Raises:
        ValueError: the folder is no output of ``cli.annotate``.
        OSError: its input is not where it was, or cannot be read.
    """
    run = read_run(output)
    if run is None:
        raise ValueError(f"{output.address} holds no annotation (no _annotate/run.json)")
    settings = run["settings"]
    columns = Columns(**settings["columns"])
    corpus = find_corpus(run["inputs"], columns, settings["format"])
    verdict = Verdict()
    sizes = {file.name: file.size for file in corpus.files}
    for name in sorted(run["files"].keys() | sizes.keys()):
        if run["files"].get(name) != sizes.get(name):
            verdict.blame("changed input file", name)
    present = finished_parts(output)
    foreign = {
        part_name(fragment, number, last)
        for fragment, numbers in present.numbers.items()
        for number in numbers
        for last in (False, True)
    } & set(output.names())
    marks = []
    for fragment in corpus.fragments:
        for piece in pieces(fragment, columns, settings["documents_per_part"]):
            name = part_name(piece.fragment, piece.number, piece.last)
            verdict.documents += len(piece.documents)
            marks.append(_marks(document.id for document in piece.documents))
            if name in foreign:
                foreign.remove(name)
                _compare(output, name, piece, verdict)
            elif piece.documents:
                first = piece.documents[0].id
                verdict.blame("missing", f"{name} from {first!r}", len(piece.documents))
            else:
                verdict.blame("missing", name, 0)
    for name in [*sorted(foreign), *present.others]:
        verdict.blame("foreign file", name)
    repeated = _repeated(np.concatenate(marks) if marks else np.empty(0, np.uint64))
    if repeated:
        _name_repeated(output, repeated, verdict)
    return verdict


def _compare(output: Folder, name: str, piece: Piece, verdict: Verdict) -> None:
    """Compare one part and its dead letters with their documents."""
    try:
        table = read_part(output, name, ("id", "text_hash"))
    except ValueError as error:
        verdict.blame("missing", str(error), len(piece.documents))
        return
    written = list(zip(table["id"].to_pylist(), table["text_hash"].to_pylist(), strict=True))
    dead = [letter["id"] for letter in read_dead_letters(output, piece.fragment, piece.number)]
    verdict.annotated += len(written)
    verdict.dead_letters += len(dead)
    expected = Counter(document.id for document in piece.documents)
    there = Counter([own for own, _ in written] + dead)
    for own, number in (expected - there).items():
        verdict.blame("missing", repr(own), number)
    for own, number in (there - expected).items():
        verdict.blame("written twice" if own in expected else "not in the input", repr(own), number)
    hashes = {(d.id, text_hash(d.text)) for d in piece.documents if d.text is not None}
    for own, digest in written:
        if own in expected and (own, digest) not in hashes:
            verdict.blame("of another text", repr(own))


def _marks(ids: Iterable[str]) -> np.ndarray:
    """Return 64 bits of each id."""
    joined = b"".join(hashlib.blake2b(own.encode(), digest_size=8).digest() for own in ids)
    return np.frombuffer(joined, np.uint64)


def _repeated(marks: np.ndarray) -> set[int]:
    marks.sort()
    return set(marks[1:][marks[1:] == marks[:-1]].tolist())


def _name_repeated(output: Folder, repeated: set[int], verdict: Verdict) -> None:
    """Count the ids whose marks are there more than once: only equal ids are equal documents."""
    seen: Counter[str] = Counter()
    for fragment, numbers in finished_parts(output).numbers.items():
        for number in numbers:
            name = part_name(fragment, number, False)
            name = name if output.exists(name) else part_name(fragment, number, True)
            ids = read_part(output, name, ["id"])["id"].to_pylist()
            ids += [letter["id"] for letter in read_dead_letters(output, fragment, number)]
            for own, mark in zip(ids, _marks(ids).tolist(), strict=True):
                if mark in repeated:
                    seen[own] += 1
    for own, number in seen.items():
        if number > 1:
            verdict.blame("id used twice in the input", f"{own!r} {number} times", number)
