"""How long something takes: warmed up, repeated, and told with its spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

LEAST_ROUNDS, LEAST_SECONDS = 5, 5.0
MOST_SECONDS = 60.0

Result = TypeVar("Result")


def timed(
    call: Callable[[], Result],
    *,
    rounds: int = LEAST_ROUNDS,
    least: float = LEAST_SECONDS,
    most: float = MOST_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Result, list[float]]:
    """Call once to warm up, then again and again; return the last result and the seconds of each round.

    The same work warms up as is timed, so that no allocation or compilation falls into a round.

    Args:
        call: the work.
        rounds: the least number of rounds.
        least: the least seconds of all rounds together, for work that is short.
        most: after so many seconds no further round begins, beyond three.
        clock: the time in seconds.
    """
    result = call()
    seconds: list[float] = []
    while (len(seconds) < rounds or sum(seconds) < least) and (len(seconds) < 3 or sum(seconds) < most):
        start = clock()
        result = call()
        seconds.append(clock() - start)
    return result, seconds


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that at least this share of the values does not exceed (nearest rank).

    Args:
        values: at least one.
        share: in [0, 1].
    """
    return float(np.quantile(values, share, method="inverted_cdf"))


def spread(values: Sequence[float]) -> dict[str, float | list[float]]:
    """Return the median and the quartiles of repeated measurements."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return {"median": float(middle), "quartiles": [float(low), float(high)]}


def latency(seconds: Sequence[float]) -> dict[str, float]:
    """Return the 50th and the 95th percentile of single calls, in milliseconds."""
    return {f"p{p}_ms": round(1000 * percentile(seconds, p / 100), 1) for p in (50, 95)}
