"""Runs a function over batches in order, in this process or in several."""

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of ``size``, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    num_proc: int,
    initializer: Callable[..., None] | None = None,
    initargs: tuple = (),
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item, in order; at most a few items are held at a time.

    With ``num_proc`` 1 everything runs in this process. ``initializer(*initargs)`` runs once per process.
    """
    if num_proc < 1:
        raise ValueError(f"num_proc is {num_proc}; use at least 1")
    if num_proc == 1:
        if initializer is not None:
            initializer(*initargs)
        yield from map(function, items)
        return
    # Forked workers share the tokenizer and the imported libraries; elsewhere forking is not safe.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(num_proc, context, _start, (initializer, initargs)) as pool:
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > 2 * num_proc:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _start(initializer: Callable[..., None] | None, initargs: tuple) -> None:
    # The processes are the parallelism; threads of the tokenizer do not survive a fork.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if initializer is not None:
        initializer(*initargs)
