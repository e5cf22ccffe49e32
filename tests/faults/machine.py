"""Machines that fail: full disks, no network, devices and number formats that are not there, many threads."""

from __future__ import annotations

import json
import resource
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import torch

from modeling import EntityExtractor, load_model
from modeling.cli.extract import main
from tests.faults.case import LABELS, TEXT, Fault, Place, Provoke, Seen, told

THREADS = 32


def _rows(place: Place, count: int = 40) -> tuple[Path, list[str]]:
    source = place.folder / "in.jsonl"
    rows = [{"id": n, "text": f"Ada Lovelace met Charles Babbage {n} times."} for n in range(count)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return source, ["--labels", "person", "--input", str(source), "--batch-size", "2"]


def _run(place: Place, arguments: list[str]) -> tuple[int, str]:
    """Run the command line, and return its exit status and what it says."""
    said = StringIO()
    with redirect_stderr(said):
        status = main(arguments)
    return status, said.getvalue()


def _full_disk(place: Place) -> Seen:
    _, arguments = _rows(place)
    whole, target = place.folder / "whole.jsonl", place.folder / "out.jsonl"
    assert main([*arguments, "--output", str(whole)]) == 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file can grow beyond this: the answers stop half-way, as on a disk that is full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole.stat().st_size // 2, before[1]))
    try:
        status, said = _run(place, [*arguments, "--output", str(target)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert status == 2
    assert 0 < target.stat().st_size < whole.stat().st_size
    assert main([*arguments, "--output", str(target), "--resume"]) == 0
    ids = [json.loads(line)["id"] for line in target.read_text(encoding="utf-8").splitlines()]
    assert ids == list(range(40))
    return Seen(f"exit status 2; {said}", "yes: --resume writes the rest, every line is there once, in order")


def _stopped(place: Place) -> Seen:
    """A run whose output ends within a line, as a kill or a power cut leaves it."""
    _, arguments = _rows(place)
    whole, target = place.folder / "whole.jsonl", place.folder / "out.jsonl"
    assert main([*arguments, "--output", str(whole)]) == 0
    target.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    done = target.read_bytes().count(b"\n")
    status, said = _run(place, [*arguments, "--output", str(target), "--resume"])
    assert status == 0
    ids = [json.loads(line)["id"] for line in target.read_text(encoding="utf-8").splitlines()]
    assert ids == list(range(40))
    first = said.splitlines()[0]
    assert str(done) in first
    return Seen(first.replace(str(done), "N"), "yes: every line is there once, in order")


def _no_network(place: Place) -> Seen:
    # The suite runs with HF_HUB_OFFLINE=1.
    message = told(lambda: EntityExtractor.from_pretrained("no-such/model"), OSError)
    assert EntityExtractor.from_pretrained(device="cpu").predict_entities(TEXT, LABELS)
    return Seen(message, "yes: the embedded model needs no network")


def _dtype(dtype: torch.dtype | str) -> Provoke:
    def provoke(place: Place) -> Seen:
        return Seen(told(lambda: load_model(dtype=dtype), ValueError), "yes: refused before anything is read")

    return provoke


def _device(place: Place) -> Seen:
    message = told(lambda: EntityExtractor.from_pretrained(device="cuda:99"), ValueError)
    # What torch says of it differs from machine to machine.
    start, end = message.index("("), message.rindex(")")
    return Seen(f"{message[:start]}(…{message[end:]}", "yes: refused before anything is read")


def _quantise(place: Place) -> Seen:
    message = told(
        lambda: EntityExtractor.from_pretrained(device="cpu", dtype=torch.bfloat16, quantize="int8"),
        ValueError,
    )
    return Seen(message, "yes")


def _threads(place: Place) -> Seen:
    names = ["Ada Lovelace", "Charles Babbage", "Marie Curie", "Alan Turing"]
    texts = [f"{names[n % 4]} met {names[n // 4 % 4]} in London {n} times." for n in range(THREADS)]
    types = [LABELS if n % 2 else [*LABELS, f"type {n}"] for n in range(THREADS)]
    ask = place.extractor.predict_entities
    alone = [ask(text, own) for text, own in zip(texts, types, strict=True)]
    assert any(alone)
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(ask, texts * 2, types * 2))
    assert together == alone * 2
    return Seen("no error: the answers are those of one thread", "yes: no answer is lost or mixed up")


FAULTS = [
    Fault("a disk that fills up while answers are written", "stops, and can be resumed", _full_disk),
    Fault("a run that is killed within a line", "the line is written anew by --resume", _stopped),
    Fault("no network", "refused, with the way without one", _no_network),
    Fault("a number format that weights cannot have", "refused", _dtype(torch.int8)),
    Fault("a number format that does not exist", "refused", _dtype("float99")),
    Fault("8-bit integers over a model that is not in float32", "refused", _quantise),
    Fault("a device that is not there", "refused", _device),
    Fault("32 threads on one extractor", "answered", _threads),
]
