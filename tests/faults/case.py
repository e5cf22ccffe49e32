"""A fault, the place where it is provoked, and what is seen of it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling import EntityExtractor
from tests.modeling.tiny import tiny_pointer, toy_tokenizer

Provoke = Callable[["Place"], "Seen"]
TEXT = "Ada Lovelace met Charles Babbage in London."
LABELS = ["person", "location"]


@dataclass(frozen=True)
class Seen:
    """What a fault looks like.

    Args:
        message: what the user is told; where there is no error, what the answer is.
        kept: what shows that nothing was lost; checked by the case before it says so.
    """

    message: str
    kept: str


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Args:
        name: what goes wrong.
        done: what is done about it.
        provoke: brings it about, checks what must hold, and returns what is seen.
    """

    name: str
    done: str
    provoke: Provoke

    @property
    def id(self) -> str:
        """The name of its test."""
        return re.sub(r"\W+", "-", self.name.lower()).strip("-")

    def row(self, place: Place) -> dict[str, str]:
        """Provoke the fault and return its row."""
        seen = self.provoke(place)
        return {
            "fault": self.name,
            "done": self.done,
            "seen": place.anonymous(seen.message),
            "kept": seen.kept,
        }


@dataclass
class Place:
    """A folder for one fault, and the models that all faults share.

    Args:
        folder: empty, for this fault alone.
        shared: folder of the tiny model, made when it is first needed.
        extractor: of the embedded model.
    """

    folder: Path
    shared: Path
    extractor: EntityExtractor

    @cached_property
    def checkpoint(self) -> Path:
        """A copy of a whole, tiny checkpoint in several files, to be broken."""
        whole = self.shared / "tiny"
        if not whole.is_dir():
            tokenizer = toy_tokenizer()
            made = self.shared / "made"
            model = tiny_pointer(self.shared / "encoder", tokenizer)
            model.save_pretrained(made, max_shard_size="20KB")
            model.generation_config.save_pretrained(made)
            tokenizer.save_pretrained(made)
            made.rename(whole)
        return Path(shutil.copytree(whole, self.folder / "checkpoint"))

    def edit(self, name: str, change: Callable[[Any], Any]) -> None:
        """Change one JSON file of the checkpoint."""
        path = self.checkpoint / name
        path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")

    def edit_weights(self, part: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Change the tensors whose name holds ``part``."""
        found = 0
        for path in sorted(self.checkpoint.glob("*.safetensors")):
            weights = load_file(path)
            named = [name for name in weights if part in name]
            if named:
                found += len(named)
                changed = {name: change(weights[name]).contiguous() for name in named}
                save_file({**weights, **changed}, path, metadata={"format": "pt"})
        assert found, part

    def anonymous(self, message: str) -> str:
        """Return a message without the paths of this machine."""
        return " ".join(message.replace(str(self.folder), "FOLDER").split())


def told(call: Callable[[], object], *expected: type[BaseException]) -> str:
    """Return what an error says; the call must raise one of the expected ones."""
    with pytest.raises(expected, match=r".") as caught:
        call()
    return f"{type(caught.value).__name__}: {caught.value}"


def refused(place: Place, call: Callable[[], object]) -> Seen:
    """A call on the extractor that must be refused and must not harm the next one."""
    before = place.extractor.predict_entities(TEXT, LABELS)
    message = told(call, ValueError, TypeError)
    assert place.extractor.predict_entities(TEXT, LABELS) == before
    return Seen(message, "yes: refused before anything runs; the next call answers as before")


def not_loaded(place: Place, folder: Path | None = None) -> Seen:
    """A checkpoint that must be refused, without running or changing a file of it."""
    target = folder or place.checkpoint
    before = digest(target)
    message = told(
        lambda: EntityExtractor.from_pretrained(target, device="cpu").predict_entities("alice", ["person"]),
        ValueError,
        OSError,
    )
    assert digest(target) == before
    assert not (place.folder / "executed").exists(), "code of the checkpoint ran"
    return Seen(message, "yes: no model is made, no file is changed, no code of it runs")


def exact(text: str, labels: list[str], entities: list[dict]) -> None:
    """Check that entities are spans of the text, apart and in order, with types that were asked for."""
    end = 0
    for entity in entities:
        assert text[entity["start"] : entity["end"]] == entity["text"] != ""
        assert entity["start"] >= end
        end = entity["end"]
        assert entity["label"] in labels
        assert 0 <= entity["score"] <= 1


def digest(folder: Path) -> str:
    """Return a checksum over the files of a folder."""
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole.update(path.name.encode() + path.read_bytes())
    return whole.hexdigest()
