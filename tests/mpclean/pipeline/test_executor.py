"""Mapping work over processes keeps order, laziness and errors."""

import importlib
import math
import os
import signal
import subprocess
import sys
from itertools import chain

import pytest

from mpclean.errors import UnfinishedError
from mpclean.pipeline import executor as engine
from mpclean.pipeline.executor import _AHEAD, Rescue, run

pytestmark = pytest.mark.slow  # worker processes start, and die


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


# ---------------------------------------------------------------- workers that die

OS = "__import__('os')"
DIE = f"{OS}._exit(1)"


def die_once(mark, value):
    """An expression that ends its process the first time it is evaluated."""
    return f"{value} if {OS}.path.exists({str(mark)!r}) else ({OS}.mkdir({str(mark)!r}), {DIE})"


def parts(task):
    return task.split("+")


def join(results):
    return [*chain(*results)]


RESCUE = Rescue(parts, lambda task, reason: [f"{task[:3]}: {reason}"], join)


def test_a_worker_that_dies_costs_time_and_nothing_else(tmp_path):
    tasks = [str(n) for n in range(20)]
    tasks[3], tasks[11] = die_once(tmp_path / "a", 3), die_once(tmp_path / "b", 11)
    assert list(run(eval, tasks, 2)) == list(range(20))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_worker_killed_from_outside(tmp_path):
    tasks = [f"({OS}.getpid(), {n})" for n in range(40)]
    found = []
    for pid, n in run(eval, tasks, 2):
        if n == 5:
            os.kill(pid, signal.SIGKILL)
        found.append(n)
    assert found == list(range(40))


def test_a_task_that_ends_every_worker():
    with pytest.raises(UnfinishedError, match=r"worker processes keep dying, .* with fewer --workers"):
        list(run(eval, ["1", DIE, "2"], 2))


def test_the_guilty_record_is_found_and_the_others_are_kept():
    tasks = ["[1]+[2]", f"[3]+[{DIE}]+[5]", "[6]", f"[{DIE}]"]
    reason = "[__: the work on it ends its process"
    assert list(run(eval, tasks, 2, RESCUE)) == [[1, 2], [3, reason, 5], [6], [reason]]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_that_nobody_foresaw_costs_its_record(workers):
    tasks = ["[1]+[2]", "[3]+[4/0]+[5]", "[{}[6]]"]
    reasons = "[4/: the work on it ends in ZeroDivisionError", "[{}: the work on it ends in KeyError"
    assert list(run(eval, tasks, workers, RESCUE)) == [[1, 2], [3, reasons[0], 5], [reasons[1]]]


@pytest.mark.parametrize("workers", [1, 2])
def test_when_everything_ends_in_an_error_it_is_the_program(monkeypatch, workers):
    monkeypatch.setattr(engine, "MOST_LOST", 2)
    with pytest.raises(ZeroDivisionError):
        list(run(eval, ["[1/0]"] * 4, workers, RESCUE))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_machine_is_no_record_s(workers):
    with pytest.raises(FileNotFoundError):
        list(run(eval, ["[open('/nowhere/x')]"], workers, RESCUE))


def test_a_record_that_hangs(monkeypatch):
    monkeypatch.setattr(engine, "LONGEST", 3.0)
    monkeypatch.setattr(engine, "LONGEST_RECORD", 3.0)
    hang = "__import__('time').sleep(600)"
    found = list(run(eval, ["[1]", f"[2]+[{hang}]", "[4]"], 2, RESCUE))
    assert found == [[1], [2, "[__: the work on it takes longer than 3 s"], [4]]


def test_when_everything_dies_it_is_the_machine(monkeypatch):
    monkeypatch.setattr(engine, "MOST_LOST", 2)
    with pytest.raises(UnfinishedError):
        list(run(eval, [f"[{DIE}]"] * 4, 2, RESCUE))


def test_where_an_error_was_raised_in_a_worker_is_said():
    with pytest.raises(ZeroDivisionError) as caught:
        list(run(eval, ["1/0"], 2))
    assert "in a worker process:" in caught.value.__notes__[0]


#: What a person writes into a file, or types: no main guard, work at the top level.
PLAIN = """
import os
from mpclean.pipeline.executor import run
print("begun", flush=True)
print(list(run(abs, [-3, -2, -1], 2)))
"""


@pytest.mark.parametrize("where", ["file", "standard input", "-c"])
def test_workers_do_not_run_the_script_again(tmp_path, where):
    (tmp_path / "script.py").write_text(PLAIN)
    command = {"file": ["script.py"], "standard input": [], "-c": ["-c", PLAIN]}[where]
    done = subprocess.run(
        [sys.executable, *command],
        input=PLAIN if where == "standard input" else "",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["begun", "[3, 2, 1]"]


def test_workers_find_packages_where_their_parent_does(tmp_path, monkeypatch):
    (tmp_path / "beside.py").write_text("def double(task):\n    return 2 * task\n")
    monkeypatch.syspath_prepend(tmp_path)
    beside = importlib.import_module("beside")
    assert list(run(beside.double, [1, 2, 3], 2)) == [2, 4, 6]
