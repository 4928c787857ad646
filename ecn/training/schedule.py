"""The learning rate of every step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ecn.training.presets import Preset


class Schedule:
    """A warm-up, times a plateau rule or a cosine; see the fields of `ecn.training.presets.Preset`.

    Parameters
    ----------
    preset
        The settings.
    """

    def __init__(self, preset: Preset) -> None:
        self.preset = preset
        # The rate that a plateau lowers is that of an optimizer of its own, for the warm-up multiplies it.
        self._carrier = SGD([torch.zeros(())], lr=preset.learning_rate)
        self._plateau = ReduceLROnPlateau(
            self._carrier, factor=preset.plateau_factor, patience=preset.plateau_patience
        )

    def rate(self, progress: float, epochs: float) -> float:
        """Compute the learning rate of a step.

        Parameters
        ----------
        progress
            How much of the training is over before the step, 0 to 1.
        epochs
            How many epochs are over after it; no whole number.
        """
        warm = min(1.0, epochs / self.preset.warmup_epochs) if self.preset.warmup_epochs else 1.0
        if self.preset.schedule == "cosine":
            return warm * self.preset.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))
        return warm * self._lowered

    def after_epoch(self, score: float) -> bool:
        """Take the validation score of an epoch into account; whether the training is over by it."""
        if self.preset.schedule == "cosine":
            return False
        self._plateau.step(score)
        return self._lowered <= self.preset.min_learning_rate

    @property
    def _lowered(self) -> float:
        return float(self._carrier.param_groups[0]["lr"])

    def state_dict(self) -> dict[str, Any]:
        """Say what a resumed training needs to know."""
        return {"plateau": self._plateau.state_dict(), "rate": self._lowered}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of `state_dict`."""
        self._plateau.load_state_dict(state["plateau"])
        self._carrier.param_groups[0]["lr"] = state["rate"]
