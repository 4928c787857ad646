"""Fit a model to a release: a plain loop on Lightning Fabric.

A run begins and ends in `run`; `loop` has the steps and epochs, `schedule` the learning rate, `state`
what is saved for `resume`, `logs` where numbers go, `devices` what trains together and how it is stopped.
"""

from __future__ import annotations

from ecn.training.devices import is_first
from ecn.training.logs import Epoch
from ecn.training.run import Fitted, fit, new_run, resume

__all__ = ["Epoch", "Fitted", "fit", "is_first", "new_run", "resume"]
