"""Mapping work over processes keeps order, laziness and errors."""

import math
import os

import pytest

from mpclean.engine import _AHEAD, run
from mpclean.errors import UserError


class Counting:
    """Tasks that remember how many were taken."""

    def __init__(self, tasks):
        self.tasks = iter(tasks)
        self.taken = 0

    def __iter__(self):
        return self

    def __next__(self):
        task = next(self.tasks)
        self.taken += 1
        return task


# Functions of the standard library: workers import them by name.
@pytest.mark.parametrize("workers", [1, 2])
def test_order(workers):
    tasks = [20_000, *range(30)]
    assert list(run(math.factorial, tasks, workers)) == list(map(math.factorial, tasks))


def test_nothing_to_do():
    assert list(run(math.sqrt, [], 1)) == list(run(math.sqrt, [], 2)) == []


def test_one_worker_is_lazy():
    tasks = Counting(range(100))
    results = run(math.sqrt, tasks, 1)
    assert tasks.taken == 0
    assert next(results) == 0.0
    assert tasks.taken == 1


def test_workers_read_a_few_tasks_ahead():
    tasks = Counting(range(1000))
    results = run(math.sqrt, tasks, 2)
    assert next(results) == 0.0
    assert tasks.taken == 2 * _AHEAD + 1
    assert next(results) == 1.0
    assert tasks.taken == 2 * _AHEAD + 2
    results.close()
    assert tasks.taken == 2 * _AHEAD + 2


@pytest.mark.parametrize("workers", [1, 2])
def test_error_at_its_place(workers):
    results = run(math.sqrt, Counting([4.0, 9.0, -1.0, 16.0]), workers)
    assert next(results) == 2.0
    assert next(results) == 3.0
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        next(results)


@pytest.mark.parametrize("workers", [1, 2])
def test_error_of_the_tasks_themselves(workers):
    def tasks():
        yield 1.0
        raise KeyError("source")

    with pytest.raises(KeyError, match="source"):
        list(run(math.sqrt, tasks(), workers))


def test_dead_worker():
    with pytest.raises(UserError, match=r"a worker process died, .*; try again with fewer --workers"):
        list(run(os._exit, [1], 2))
