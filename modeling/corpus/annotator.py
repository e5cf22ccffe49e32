"""What every worker holds: a model that answers parts and writes them."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..extraction.jsonlines import Answer
from .attempts import Attempts
from .documents import Piece
from .parts import part_name, write_part
from .settings import Settings
from .storage import Folder

TOKENS_CPU, TOKENS_GPU = 2048, 12288  # of a batch
TOGETHER = 512  # the most prompts of a batch
_LEAST_TOKENS = 256
_BROKEN = 70  # exit status of a worker whose model fails on every text


@dataclass(frozen=True)
class Workload:
    """How a worker runs; nothing of it changes an answer.

    Args:
        device: such as ``"cuda"``; None is the best one there is.
        threads: CPU threads of torch; None leaves them.
        batch_tokens: the most tokens that run at once; None is ``TOKENS_GPU`` or ``TOKENS_CPU``.
        retries: how often a document, and a part whose worker died, is tried again.
    """

    device: str | None = None
    threads: int | None = None
    batch_tokens: int | None = None
    retries: int = 2


@dataclass(frozen=True)
class Outcome:
    """What became of one part.

    Attributes:
        part: its name.
        documents: how many it has, dead letters included.
        failed: dead letters.
        entities: how many were found.
        size: bytes of input.
        seconds: that it took.
        warning: the first one given, or nothing.
    """

    part: str = ""
    documents: int = 0
    failed: int = 0
    entities: int = 0
    size: int = 0
    seconds: float = 0.0
    warning: str = ""


class Annotator:
    """Answers parts with one model and writes them to an output.

    Args:
        settings: of the run.
        workload: how to run.
        output: folder of the parts.

    Raises:
        OSError, ValueError: the model cannot be loaded, or an option or label does not fit it.
    """

    def __init__(self, settings: Settings, workload: Workload, output: Folder) -> None:
        self.settings, self.workload, self.output = settings, workload, output
        self.extractor = settings.load(workload.device, workload.threads)
        default = TOKENS_GPU if self.extractor.device.type == "cuda" else TOKENS_CPU
        self.batch_tokens = workload.batch_tokens or default
        self._predict(["a"])  # refuses what does not fit, once and not for every document

    def annotate(self, piece: Piece) -> Outcome:
        """Answer and write one part, unless it is there.

        Raises:
            OSError: the output cannot be written.
        """
        name = part_name(piece.fragment, piece.number, piece.last)
        start = time.perf_counter()
        if self.output.exists(name):  # its worker died between writing it and saying so
            return Outcome(name, len(piece.documents), size=piece.size)
        attempts = Attempts(self.output, name, self.workload.retries)
        attempts.begin()
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter("default")
            answers = (
                self._one_at_a_time(piece, attempts) if attempts.one_at_a_time else self._together(piece)
            )
        write_part(self.output, piece, answers, self.settings.revision)
        attempts.end()
        found = [answer for answer in answers if not isinstance(answer, str)]
        return Outcome(
            name,
            len(answers),
            len(answers) - len(found),
            sum(map(len, found)),
            piece.size,
            time.perf_counter() - start,
            str(given[0].message) if given else "",
        )

    def _together(self, piece: Piece) -> list[Answer]:
        texts = [document.text or "" for document in piece.documents if not document.error]
        answers = iter(self._answers(texts))
        return [document.error or next(answers) for document in piece.documents]

    def _one_at_a_time(self, piece: Piece, attempts: Attempts) -> list[Answer]:
        answers: list[Answer] = []
        for index, document in enumerate(piece.documents):
            if document.error:
                answers.append(document.error)
            elif attempts.given_up(index):
                answers.append(f"the worker died {attempts.allowed + 1} times while it read this document")
            else:
                attempts.enter(index)
                answers += self._answers([document.text or ""])
        return answers

    def _answers(self, texts: Sequence[str]) -> list[Answer]:
        """Answer texts; one that fails, however often it is tried, is answered by why."""
        if not texts:
            return []
        problem: Exception | None = None
        for _ in range(self.workload.retries + 1 if len(texts) == 1 else 1):
            try:
                return list(self._predict(texts))
            except torch.OutOfMemoryError as error:
                problem = error
                torch.cuda.empty_cache()
                if self.batch_tokens > _LEAST_TOKENS:  # also for what comes next: it will not fit better
                    self.batch_tokens = max(_LEAST_TOKENS, self.batch_tokens // 2)
                    return self._answers(texts)
            except Exception as error:  # whatever it is must not cost the other documents their answers
                problem = error
        if len(texts) > 1:
            middle = len(texts) // 2
            return self._answers(texts[:middle]) + self._answers(texts[middle:])
        self._check_health(problem)
        return [f"{type(problem).__name__}: {problem}"]

    def _predict(self, texts: Sequence[str]) -> list[list[dict]]:
        own = self.settings
        return self.extractor.batch_predict_entities(
            texts, own.labels, own.threshold, TOGETHER, batch_tokens=self.batch_tokens, **own.options
        )

    def _check_health(self, problem: Exception | None) -> None:
        """End this process if it fails on a text that it could read before: a new one will do better."""
        try:
            self._predict(["a"])
        except Exception as error:
            print(
                f"worker ends: after {problem!r} every text fails with {error!r}", file=sys.stderr, flush=True
            )
            os._exit(_BROKEN)
