"""How per-crystal work is mapped over batches: here, in local processes, or on a Dask cluster.

The seam is a function from a task to a result, which both travel: a worker needs no disk in
common with who asks. Results come back in the order of the tasks, and only a few tasks are
under way at a time, so that a source of any length streams. A worker that dies costs time: its
task is begun again, and one that nobody survives is cut into its records, of which the guilty
one is given up; so is one whose work ends in an error that nobody foresaw.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from threadpoolctl import ThreadpoolController, threadpool_limits

from mpclean.errors import UnfinishedError, UserError

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Tasks under way per worker: enough to keep it busy while results are collected in order.
_AHEAD = 4

#: The last guard, s: a task that takes longer has hung. What a crystal may cost is bounded by
#: points, not by time, and a batch of the hardest ones takes minutes.
LONGEST = 3600.0

#: The same for a task of one record, s.
LONGEST_RECORD = 300.0

#: Records that may be given up in one pass; when more end their workers, it is the machine.
MOST_LOST = 16

#: How long a cluster may take to answer, s.
_ANSWER = 10


@dataclass(frozen=True)
class Rescue(Generic[Task, Result]):
    """What to do about a task that ends every worker that takes it, or in an unforeseen error.

    Attributes
    ----------
    parts
        Tasks of one record each that make up a task.
    lost
        The result of a task of one record that is given up, from the task and the reason why.
    join
        The result of a task from those of its parts.
    """

    parts: Callable[[Task], Sequence[Task]]
    lost: Callable[[Task, str], Result]
    join: Callable[[Sequence[Result]], Result]


def run(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int | str,
    rescue: Rescue[Task, Result] | None = None,
) -> Iterator[Result]:
    """Apply a function to every task, results in the order of the tasks.

    Parameters
    ----------
    function
        A module-level function (it is sent to other processes by name).
    tasks
        Read lazily.
    workers
        Local processes; 1 works in this process: what ends or holds up the work, ends or holds up
        all. Or the address of the scheduler of a Dask cluster, as in ``tcp://host:8786``; nothing
        can be taken from its workers, so that work that hangs there ends the build after `LONGEST`.
    rescue
        What to do about a task that ends its workers or in an error; without it that is an error.

    Raises
    ------
    Exception
        What `function` raised, at its place in the order, if it is a mistake of the user, of the
        machine, or without `rescue`; tasks not yet begun are not begun.
    UnfinishedError
        If workers keep dying, or a cluster is lost.
    UserError
        If a cluster does not answer.
    """
    pool = _pool(workers)
    remaining = iter(tasks)
    given_up = 0

    def insist(task: Task, began: _Promise, limit: float = LONGEST) -> Result:
        """Get the result of a task, whatever it costs."""
        nonlocal given_up
        try:
            return began.result()
        except _HungError as error:
            reason = str(error)
        except _LostError:
            try:
                return pool.submit(function, task, limit).result()
            except _LostError as error:
                reason = str(error)
        except (UserError, OSError, MemoryError):
            raise
        except Exception as error:
            if rescue is None or given_up == MOST_LOST:
                raise
            reason = f"the work on it ends in {type(error).__name__}"
        parts = rescue.parts(task) if rescue else [task]
        if rescue and len(parts) > 1:
            begun = [(part, pool.submit(function, part, LONGEST_RECORD)) for part in parts]
            return rescue.join([insist(part, future, LONGEST_RECORD) for part, future in begun])
        given_up += 1
        if rescue is None or given_up > MOST_LOST:
            raise UnfinishedError(
                "worker processes keep dying, most likely for want of memory; try again with fewer --workers"
            )
        return rescue.lost(task, reason)

    pending: deque[tuple[Task, _Promise]] = deque()
    try:
        if isinstance(pool, _Here):
            yield from (insist(task, pool.submit(function, task, LONGEST)) for task in remaining)
        for task in islice(remaining, pool.size * _AHEAD):
            pending.append((task, pool.submit(function, task, LONGEST)))
        while pending:
            result = insist(*pending.popleft())
            for task in islice(remaining, 1):
                pending.append((task, pool.submit(function, task, LONGEST)))
            yield result
    finally:
        pool.close()


class _LostError(Exception):
    """The worker died that had a task."""


class _HungError(_LostError):
    """The worker had a task for longer than it may take."""


class _Promise(Protocol):
    def result(self) -> Any:
        """Wait for what the function returned or raised; `_LostError` where its worker did not return."""


class _Pool(Protocol):
    """Workers, and how many tasks they work on at once."""

    size: int

    def submit(self, function: Callable[[Any], Any], task: Any, limit: float) -> _Promise:
        """Begin a task as soon as a worker is free; it may take so long, s."""

    def close(self) -> None:
        """Send the workers home, whatever they are at."""


def _pool(workers: int | str) -> _Pool:
    if isinstance(workers, str):
        return _Cluster(workers)
    return _Here() if workers == 1 else _Processes(workers)


# ---------------------------------------------------------------- this process


class _Here:
    """The process that asks: it works on a task when the result is asked for."""

    size = 1

    def submit(self, function: Callable[[Any], Any], task: Any, limit: float) -> _Promise:
        return _Later(function, task)

    def close(self) -> None:
        """Nobody is to be sent home."""


@dataclass(frozen=True)
class _Later:
    """A task that is worked on when its result is asked for."""

    function: Callable[[Any], Any]
    task: Any

    def result(self) -> Any:
        with _libraries().limit(limits=1):  # matrices are too small for threads
            return self.function(self.task)


@cache
def _libraries() -> ThreadpoolController:
    """Find the libraries of this process that have threads; the search takes as long as a crystal."""
    return ThreadpoolController()


# ---------------------------------------------------------------- local processes


class _Processes:
    """Worker processes of this machine, each with a thread here that hands it one task at a time.

    So it is known which task a worker had when it died, and the others go on.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._threads = ThreadPoolExecutor(size)
        self._own = threading.local()
        self._workers: list[_Worker] = []

    def submit(self, function: Callable[[Any], Any], task: Any, limit: float) -> _Promise:
        return self._threads.submit(self._call, function, task, limit)

    def _call(self, function: Callable[[Any], Any], task: Any, limit: float) -> Any:
        worker = getattr(self._own, "worker", None)
        if worker is None:
            worker = self._own.worker = _Worker()
            self._workers.append(worker)
        try:
            return worker.call(function, task, limit)
        except _LostError:
            self._own.worker = None
            self._workers.remove(worker)
            raise

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in list(self._workers):
            worker.kill()  # and so their threads stop waiting for them
        self._threads.shutdown(wait=True)
        for worker in self._workers:
            worker.end()


#: What a worker process runs. It finds packages where its parent does, and answers to no Ctrl-C.
_BOOT = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = json.loads(sys.argv[2])
from mpclean.pipeline.executor import _work
_work(int(sys.argv[1]))
"""


class _Worker:
    """A process that applies functions to tasks, one after the other.

    It is neither forked, since the parent may hold threads of Arrow, of which a fork can hang; nor begun
    by `multiprocessing`, which imports the main module of the parent: a script without a main guard would
    build once more in every worker, and standard input or a notebook cannot be imported at all.
    """

    def __init__(self) -> None:
        self._connection, other = multiprocessing.Pipe()
        place = str(other.fileno())
        # Threads begin workers side by side: what one of them hands on, no other may inherit.
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, place, json.dumps(sys.path)],
            pass_fds=[other.fileno()],
            stdin=subprocess.DEVNULL,
        )
        other.close()

    def call(self, function: Callable[[Any], Any], task: Any, limit: float) -> Any:
        try:
            self._connection.send((function, task))
            if not self._connection.poll(limit):
                self.end()
                raise _HungError(f"the work on it takes longer than {limit:.0f} s")
            returned, value = self._connection.recv()
        except (EOFError, OSError) as error:
            self.end()
            raise _LostError("the work on it ends its process") from error
        if returned:
            return value
        raise value

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        """End the process, whatever it is at, and leave nothing of it."""
        self._process.kill()
        self._process.wait()
        self._connection.close()


def _work(place: int) -> None:
    """Work on tasks until the parent closes the connection."""
    connection = Connection(place)
    tasks: SimpleQueue[tuple[Callable[[Any], Any], Any]] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    with threadpool_limits(1):  # matrices are too small for threads
        while True:
            function, task = tasks.get()
            try:
                reply = True, function(task)
            except Exception as error:  # noqa: BLE001 - the parent raises it
                error.add_note("in a worker process:\n" + traceback.format_exc())
                reply = False, error
            connection.send(reply)


def _receive(connection: Connection, tasks: SimpleQueue[Any]) -> None:
    """Take tasks in; a killed parent cannot send its workers home, so they end when it does."""
    while True:
        try:
            tasks.put(connection.recv())
        except EOFError:
            os._exit(1)
        except Exception as error:  # noqa: BLE001 - a task that cannot be read is one that fails
            tasks.put((_fail, error))


def _fail(error: Exception) -> None:
    raise error


# ---------------------------------------------------------------- a Dask cluster


class _Cluster:
    """A Dask cluster that is there already."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise UserError("--scheduler needs Dask: pip install 'mpclean[dask]'") from None
        try:
            self._client = Client(address, timeout=_ANSWER, set_as_default=False)
        except (OSError, ValueError, RuntimeError, AssertionError) as error:
            # AssertionError: on a starving machine its thread does not begin within its 10 s.
            raise UserError(
                f"{_shown(address)}: no Dask scheduler answers there; start one with dask-scheduler, or "
                "leave out --scheduler to work in processes of this machine"
            ) from error
        self.size = sum(self._client.nthreads().values())
        if not self.size:
            self.close()
            shown = _shown(address)
            raise UserError(f"{shown}: the cluster has no worker; start some with: dask worker {shown}")

    def submit(self, function: Callable[[Any], Any], task: Any, limit: float) -> _Promise:
        return _OnCluster(self._client.submit(_one_at_a_time, function, task, pure=False), limit)

    def close(self) -> None:
        self._client.close()


def _shown(address: str) -> str:
    """Return an address without the name and the password that may stand before its host."""
    return re.sub("//.*@", "//", address)


class _OnCluster:
    """A task on a cluster, which begins it again itself where a worker died (``allowed-failures``)."""

    def __init__(self, future: Any, limit: float) -> None:
        self._future = future
        self._limit = limit

    def result(self) -> Any:
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        try:
            return self._future.result(self._limit)
        except KilledWorker as error:
            raise _LostError("the work on it ends its process") from error
        except (CancelledError, TimeoutError) as error:
            raise UnfinishedError(
                f"the Dask cluster returned nothing ({type(error).__name__}); see that it has workers"
            ) from error


_ONE = threading.Lock()


def _one_at_a_time(function: Callable[[Any], Any], task: Any) -> Any:
    """Work on a task in a thread of a Dask worker; the libraries below are made for processes."""
    with _ONE, threadpool_limits(1):
        return function(task)
