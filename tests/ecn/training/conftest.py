"""Short trainings of a small network on the small release."""

from __future__ import annotations

import csv
import dataclasses
import os
import signal
from pathlib import Path

import pytest

from ecn.runs import checkpoint
from ecn.training import run as training
from ecn.training.loop import Loop
from ecn.training.presets import PRESETS, Preset, training_settings

SHORT = dataclasses.replace(
    PRESETS["paper"],
    options={"ecn": {"width": 8, "n_layers": 1, "symmetry_breaking": False}},
    epochs=3,
    batch_size=16,
)


@pytest.fixture
def short() -> Preset:
    """The settings of `fit`: four steps an epoch, three epochs."""
    return SHORT


@pytest.fixture
def fit():
    """`ecn.training.run.fit` with short settings; changes of settings and arguments go by their names."""

    def fit(release: Path, run: Path, **changes):
        names = training_settings(SHORT)
        of_preset = {name: changes.pop(name) for name in list(changes) if name in names}
        arguments = {
            "target": "formation_energy",
            "model": "ecn",
            "options": {},
            "preset_name": "short",
            "preset": dataclasses.replace(SHORT, **of_preset),
            "seed": 0,
        }
        machine = {"device": "cpu"} | {
            name: changes.pop(name) for name in ("device", "loggers", "threads") if name in changes
        }
        return training.fit(release, run, training.Plan(**(arguments | changes)), **machine)

    return fit


@pytest.fixture
def history():
    """The lines of the metrics of a run."""

    def history(run: Path) -> list[dict[str, float]]:
        with (run / checkpoint.METRICS).open() as file:
            return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]

    return history


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch):
    """Send a signal to this process in a step of a training, by its number from 1."""

    def interrupt(step: int, number: int = signal.SIGINT) -> None:
        original, steps = Loop._step, iter(range(1, 10_000))

        def interrupted(self, *arguments):
            if next(steps) == step:
                os.kill(os.getpid(), number)
            original(self, *arguments)

        monkeypatch.setattr(Loop, "_step", interrupted)

    return interrupt
