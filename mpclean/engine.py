"""How per-crystal work is mapped over batches: here, or in local worker processes.

The seam is a function from a task to a result; results come back in the order of the tasks,
and only a few tasks are under way at a time, so that a source of any length streams.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from threadpoolctl import threadpool_limits

from mpclean.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Tasks under way per worker: enough to keep it busy while results are collected in order.
_AHEAD = 4


def _begin() -> None:
    """Prepare a worker: the parent alone answers to Ctrl-C, and matrices are too small for threads."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent cannot send its workers home; without it they would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def run(function: Callable[[Task], Result], tasks: Iterable[Task], workers: int) -> Iterator[Result]:
    """Apply a function to every task, results in the order of the tasks.

    Parameters
    ----------
    function
        A module-level function (it is sent to other processes by name).
    tasks
        Read lazily.
    workers
        Processes; 1 works in this process.

    Raises
    ------
    Exception
        What `function` raised, at its place in the order; tasks not yet begun are dropped.
    UserError
        If a worker process died.
    """
    if workers <= 1:
        with threadpool_limits(1):
            yield from map(function, tasks)
        return
    # Not forked: the parent may hold threads of Arrow, and a fork of those can hang.
    context = multiprocessing.get_context("spawn")
    pending: deque[Future[Result]] = deque()
    remaining = iter(tasks)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin) as pool:
        try:
            for task in islice(remaining, workers * _AHEAD):
                pending.append(pool.submit(function, task))
            while pending:
                result = pending.popleft().result()
                for task in islice(remaining, 1):
                    pending.append(pool.submit(function, task))
                yield result
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process died, most likely for want of memory; try again with fewer --workers"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
