"""One extractor in many processes: each way is tried under a time limit, and answers with a line of JSON.

    python -m tests.modeling.extraction.processes pool map

It runs in a process of its own, because what a fork does depends on the threads that its process has.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import torch

from modeling import EntityExtractor

TEXTS = [
    "Ada Lovelace wrote the first program for Charles Babbage in London.",
    "Grace Hopper worked in Arlington.",
    "Marie Curie was born in Warsaw and died in Passy.",
]
LABELS = ["person", "place"]
LIMIT = 240  # seconds for a way: a few, but on a machine with much else to do

extractor: EntityExtractor  # inherited by forked children


def answers(_: int = 0) -> list[list[dict]]:
    """Answer all texts with the extractor of this module."""
    return extractor.batch_predict_entities(TEXTS, LABELS)


def answers_of(own: EntityExtractor) -> list[list[dict]]:
    """Answer all texts with an extractor that was sent here."""
    return own.batch_predict_entities(TEXTS, LABELS)


def pool() -> list[Any]:
    """Fork workers from a parent that has answered with 1, 2 and 4 torch threads."""
    given = []
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        answers()
        with multiprocessing.get_context("fork").Pool(2) as workers:
            given += workers.map_async(answers, range(2)).get(LIMIT)
        assert torch.get_num_threads() == threads  # the parent keeps its threads
    return given


def busy() -> list[Any]:
    """Fork again and again while another thread is in the middle of the same extractor's locks."""
    stop = threading.Event()

    def tokenize() -> None:
        while not stop.is_set():
            extractor.encoder.encode_batch([(LABELS, text) for text in TEXTS * 20])

    thread = threading.Thread(target=tokenize)
    thread.start()
    try:
        given = []
        for _ in range(4):
            with multiprocessing.get_context("fork").Pool(1) as workers:
                given.append(workers.apply_async(answers).get(LIMIT))
        return given
    finally:
        stop.set()
        thread.join()


def map_() -> list[Any]:
    """Map a data set in two processes."""
    from datasets import Dataset
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.set_num_threads(2)
    answers()
    rows = Dataset.from_dict({"text": TEXTS * 2})
    mapped = rows.map(
        lambda row: {"entities": json.dumps(extractor.predict_entities(row["text"], LABELS))}, num_proc=2
    )
    found = [json.loads(entities) for entities in mapped["entities"]]
    return [found[:3], found[3:]]


def spawn() -> list[Any]:
    """Send the extractor to a new interpreter."""
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        return [workers.apply_async(answers_of, (extractor,)).get(LIMIT)]


def joblib() -> list[Any]:
    """Send the extractor to joblib's processes."""
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    given = Parallel(n_jobs=2)(delayed(answers_of)(extractor) for _ in range(2))
    get_reusable_executor().shutdown(wait=True)
    return list(given)


WAYS: dict[str, Callable[[], list[Any]]] = {
    "pool": pool,
    "busy": busy,
    "map": map_,
    "spawn": spawn,
    "joblib": joblib,
}


def alike(expected: list[list[dict]], given: list[list[dict]]) -> bool:
    """Whether two answers are the same but for the last digits of a score."""
    return rounded(expected) == rounded(given)


def rounded(found: list[list[dict]]) -> list[list[dict]]:
    """Return answers with the digits of a score that do not depend on the number of threads."""
    return [[{**entity, "score": round(entity["score"], 4)} for entity in own] for own in found]


def main(names: list[str]) -> int:
    """Try the ways that are named."""
    global extractor
    extractor = EntityExtractor.from_pretrained(device="cpu")
    signal.signal(signal.SIGALRM, _too_long)
    expected = answers()
    for name in names:
        signal.alarm(LIMIT)
        try:
            given = WAYS[name]()
            problem = (
                "" if given and all(alike(expected, one) for one in given) else f"another answer: {given}"
            )
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        signal.alarm(0)
        print(json.dumps({"way": name, "problem": problem, "entities": sum(map(len, expected))}), flush=True)
    return 0


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"no answer after {LIMIT} s")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
