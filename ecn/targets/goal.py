"""All that one network is trained for: targets, with the units that it learns them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ecn.targets.losses import moment_loss
from ecn.targets.tasks import Task, task
from mpclean.errors import UserError

if TYPE_CHECKING:
    from mpclean.release import Release


@dataclass(frozen=True)
class Target:
    """A task with the units that a network learned it in."""

    task: Task
    """What is learned."""
    shift: float = 0.0
    """The prediction is ``shift + scale * output``, in the unit of the task."""
    scale: float = 1.0
    """See `shift`."""
    train_mean: float = 0.0
    """Mean of the training labels, in the unit: what the mean predictor says."""


class Goal:
    """All that one network is trained for: an output for every target.

    Labels are NaN where a row has none, and outputs have a column for every target: shape (R, T), with
    a row for every crystal, or for every atom of a target per site.

    Parameters
    ----------
    targets
        At least one; one per site is alone.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = tuple(targets)
        self.tasks = tuple(target.task for target in targets)
        self.per_site = any(task.per_site for task in self.tasks)

    @classmethod
    def named(cls, names: str, release: Release | None = None) -> Goal:
        """Make the goal of the names of targets, with commas between them.

        Raises
        ------
        UserError
            If there is no such target, one is named twice, or one per site is not alone.
        """
        tasks = [task(name.strip(), release) for name in names.split(",")]
        twice = {t.name for t in tasks if sum(t.column == other.column for other in tasks) > 1}
        if twice:
            raise UserError(f"target {', '.join(sorted(twice))}: the same column twice")
        if len(tasks) > 1 and any(t.per_site for t in tasks):
            raise UserError("a target of sites is learned alone, for it has a number for every atom")
        return cls([Target(t) for t in tasks])

    @classmethod
    def from_json(cls, targets: Sequence[Mapping[str, Any]]) -> Goal:
        """Make the goal of what `to_json` wrote."""
        found = []
        for values in targets:
            of_task = dict(values["task"])
            of_task["classes"] = of_task["classes"] and tuple(of_task["classes"])
            found.append(Target(**{**values, "task": Task(**of_task)}))
        return cls(found)

    def to_json(self) -> list[dict[str, Any]]:
        """Everything about the targets as JSON values."""
        return [asdict(target) for target in self.targets]

    @property
    def name(self) -> str:
        """The names of the targets."""
        return ",".join(task.name for task in self.tasks)

    @property
    def excluded(self) -> str:
        """Which rows are left out, in words."""
        if len(self.tasks) == 1:
            return self.tasks[0].excluded
        return f"without any of {', '.join(task.column for task in self.tasks)}"

    @property
    def score_name(self) -> str:
        """What the best epoch is chosen by; lower is better."""
        if len(self.tasks) == 1:
            return self.tasks[0].score_name
        return "mean over targets of MAE / deviation, or cross entropy"

    def fitted(self, labels: Tensor, *, standardise: bool) -> Goal:
        """Return the goal with the mean of every target, and the units that it is learned in.

        Parameters
        ----------
        labels
            Of the training rows, shape (R, T).
        standardise
            Whether a number is learned in units of its deviation, about its mean; several targets
            always are, or the one with the largest numbers would drown the others.
        """
        found = []
        for target, column in zip(self.targets, labels.double().unbind(1), strict=True):
            column = column[~column.isnan()]
            if target.task.per_site:  # the sign means nothing: zero stays zero
                column = column.abs()
                shift, scale = 0.0, float(column.square().mean().sqrt()) or 1.0
            else:
                shift, scale = float(column.mean()), float(column.std()) or 1.0
            if target.task.is_classifier or not (standardise or len(self.tasks) > 1):
                shift, scale = 0.0, 1.0
            found.append(replace(target, shift=shift, scale=scale, train_mean=float(column.mean())))
        return Goal(found)

    def learned(self, labels: Tensor) -> Tensor:
        """Labels of shape (R, T) in the units of the training."""
        shift, scale = self._scaling(labels)
        return (labels - shift) / scale

    def predicted(self, output: Tensor) -> Tensor:
        """Compute outputs of shape (R, T) in the units of the targets (logits for a class)."""
        shift, scale = self._scaling(output)
        return shift + scale * output

    def _scaling(self, like: Tensor) -> tuple[Tensor, Tensor]:
        return (
            like.new_tensor([target.shift for target in self.targets]),
            like.new_tensor([target.scale for target in self.targets]),
        )

    def loss(
        self, output: Tensor, label: Tensor, crystal: Tensor, kind: str = "mse", delta: float = 1.0
    ) -> Tensor:
        """Compute the sum of the losses of all labels, or of all crystals with labels per site: a scalar.

        Parameters
        ----------
        output, label
            Shape (R, T), in the units of the training.
        crystal
            Shape (R,), int64, the crystal of every row.
        kind, delta
            See `ecn.training.presets.Preset.loss` and `huber_delta`.
        """
        if self.per_site:
            return moment_loss(output[:, 0], label[:, 0], crystal, kind, delta).sum()
        known = ~label.isnan()
        label = torch.where(known, label, 0.0)
        losses = [task.losses(output[:, k], label[:, k], kind, delta) for k, task in enumerate(self.tasks)]
        return torch.where(known, torch.stack(losses, dim=1), 0.0).sum()

    def scores(self, output: Tensor, label: Tensor, crystal: Tensor) -> dict[str, float]:
        """Score every target by its name, in its unit; parameters are in the units of the targets."""
        found = {}
        for k, target in enumerate(self.tasks):
            known = ~label[:, k].isnan()
            rows = output[known, k], label[known, k], crystal[known]
            found[target.name] = target.score(*rows) if known.any() else float("nan")
        return found

    def score(self, scores: Mapping[str, float]) -> float:
        """Say what the best epoch is chosen by, from the scores of the targets."""
        if len(self.targets) == 1:
            return scores[self.name]
        return float(np.mean([scores[target.task.name] / target.scale for target in self.targets]))
