"""Work in several processes: in order, a few items ahead at most, errors passed on."""

import os
from itertools import count

import pytest

from dataset_builder.workers import batched, ordered_map

_offset = 0


def _set_offset(value):
    global _offset
    _offset = value


def _square(number):
    if number == 13:
        raise ZeroDivisionError("unlucky")
    return number * number + _offset, os.getpid()


@pytest.mark.parametrize("num_proc", [1, 2])
def test_results_come_in_order_from_initialised_processes(num_proc):
    results = list(ordered_map(_square, range(13), num_proc, _set_offset, (5,)))
    _set_offset(0)
    assert [value for value, _ in results] == [n * n + 5 for n in range(13)]
    assert all((process == os.getpid()) == (num_proc == 1) for _, process in results)


@pytest.mark.parametrize("num_proc", [1, 2])
def test_only_a_few_items_are_taken_ahead(num_proc):
    taken = count()
    results = ordered_map(_square, (next(taken) * 0 for _ in range(1000)), num_proc)
    next(results)
    assert next(taken) <= 2 * num_proc + 1
    results.close()


@pytest.mark.parametrize("num_proc", [1, 2])
def test_an_error_ends_the_work(num_proc):
    with pytest.raises(ZeroDivisionError, match="unlucky"):
        list(ordered_map(_square, count(), num_proc))


def test_no_process_is_refused():
    with pytest.raises(ValueError, match="num_proc is 0; use at least 1"):
        list(ordered_map(_square, [1], 0))


@pytest.mark.parametrize(
    ("size", "expected"), [(2, [[0, 1], [2, 3], [4]]), (5, [[0, 1, 2, 3, 4]]), (9, [[0, 1, 2, 3, 4]])]
)
def test_batches(size, expected):
    assert list(batched(range(5), size)) == expected
    assert list(batched([], size)) == []
