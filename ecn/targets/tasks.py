"""Targets: the columns of a release as something to learn, with units, scores and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from ecn.targets.losses import LOSSES, signs, site_errors
from ecn.targets.metrics import Metrics, bootstrap_standard_deviation, class_metrics, stability_metrics
from mpclean.errors import UserError, closest
from mpclean.vocabulary.schema import COLUMNS, SOURCE_LABELS, TARGET_NAMES, TARGETS

if TYPE_CHECKING:
    from mpclean.release import Release


@dataclass(frozen=True)
class Task:
    """A column of a release as something to learn.

    Attributes
    ----------
    name
        The target's name on the command line.
    column
        Column of the release that holds it.
    rows
        Boolean column that a row must be true in; None for every row.
    classes
        Names of the classes 0 and 1 where the target is a class; None for a number. A
        network then returns the logit of class 1.
    negated
        Whether class 1 is where the column is false.
    per_site
        Whether the column has a number for every atom, whose sign means nothing but beside the others'.
    column_unit
        Unit of the column; None for that of the vocabulary.
    """

    name: str
    column: str
    rows: str | None = None
    classes: tuple[str, str] | None = None
    negated: bool = False
    per_site: bool = False
    column_unit: str | None = None

    @property
    def is_classifier(self) -> bool:
        """Whether the target is a class."""
        return self.classes is not None

    @property
    def columns(self) -> list[str]:
        """The columns that it needs."""
        return list(dict.fromkeys([self.column, self.rows or self.column]))

    @property
    def excluded(self) -> str:
        """Which rows are left out, in words."""
        return f"without {self.column}" + (f" or where {self.rows} is not true" if self.rows else "")

    @property
    def unit(self) -> str:
        """Unit of what is predicted: the column's, or a probability's."""
        if self.classes:
            return f"probability of {self.classes[1]}"
        return COLUMNS[self.column].unit if self.column_unit is None else self.column_unit

    @property
    def score_name(self) -> str:
        """What the best epoch is chosen by, with its unit; lower is better."""
        if self.is_classifier:
            return "cross entropy"
        return f"MAE ({self.unit})" if self.unit else "MAE"

    def losses(self, output: Tensor, label: Tensor, kind: str = "mse", delta: float = 1.0) -> Tensor:
        """Compute the loss of every row.

        Parameters
        ----------
        output, label
            Shape (R,), in the units of the training; logits, and 0 or 1, for a class.
        kind, delta
            Of numbers, see `ecn.training.presets.Preset.loss` and `huber_delta`; a class has the binary cross
            entropy.
        """
        if self.is_classifier:
            return functional.binary_cross_entropy_with_logits(output, label, reduction="none")
        return LOSSES[kind](output, label, delta)

    def score(self, output: Tensor, label: Tensor, crystal: Tensor) -> float:
        """Say what the best epoch is chosen by, over all rows at once; lower is better.

        Parameters
        ----------
        output, label
            Shape (R,), in units of the target; logits, and 0 or 1, for a class.
        crystal
            Shape (R,), int64, the crystal of every row.
        """
        if self.per_site:
            return float(site_errors(output, label, crystal).mean())
        return float(self.losses(output, label, "l1").mean())

    def value(self, output: Tensor) -> Tensor:
        """Say what is reported for an output: the number itself, or a probability."""
        return torch.sigmoid(output) if self.is_classifier else output

    def metrics(self, output: Tensor, label: Tensor, train_mean: float, crystal: Tensor) -> Metrics:
        """Return what `ecn evaluate` reports.

        Parameters
        ----------
        output
            Shape (R,), of the network, in units of the target; logits for a class.
        label
            Shape (R,).
        train_mean
            Mean of the labels the network was trained on: the prediction to beat.
        crystal
            Shape (R,), int64, the crystal of every row.
        """
        if self.classes is not None:
            return class_metrics(torch.sigmoid(output), label.long(), self.classes)
        from torchmetrics.functional import regression as metrics

        mean = torch.full_like(label, train_mean)
        ours = theirs = label
        if self.per_site:
            ours, theirs = (signs(x, label, crystal) * label for x in (output, mean))
        found: Metrics = {
            "mae": float(metrics.mean_absolute_error(output, ours)),
            "mae_uncertainty": bootstrap_standard_deviation((output - ours).abs(), crystal),
            "rmse": float(metrics.mean_squared_error(output, ours, squared=False)),
            "mae_mean_predictor": float(metrics.mean_absolute_error(mean, theirs)),
        }
        if self.column == "e_above_hull":
            found["stability"] = stability_metrics(output, label)
        return found


#: Targets by their names on the command line; any other numeric label goes by its column's.
TASKS = {
    task.name: task
    for task in (
        Task("formation_energy", TARGET_NAMES["formation_energy"]),
        Task("fermi_energy", TARGET_NAMES["fermi_energy"]),
        Task("band_gap", "band_gap", rows="is_insulator"),
        Task("magnetization", TARGET_NAMES["magnetization"]),
        Task("is_metal", "is_insulator", classes=("nonmetal", "metal"), negated=True),
        Task("magnetic_moments", "magnetic_moments", per_site=True),
    )
}


def task(name: str, release: Release | None = None) -> Task:
    """Find the task of a target's name, or of a numeric column's.

    Parameters
    ----------
    name
        One of `TASKS`, or a numeric label of the vocabulary of releases or of the release.
    release
        The release that may have a column of that name.

    Raises
    ------
    UserError
        If there is no such target.
    """
    known = (*TARGETS, *SOURCE_LABELS)
    if name in TASKS:
        return TASKS[name]
    if name in known:
        return Task(name, name)
    if release is None:
        raise UserError(closest("target", name, dict.fromkeys((*TASKS, *known))))
    if name in release.manifest.columns and release.is_numeric(name):
        own = {label.name: label.unit for label in release.labels}
        return Task(name, name, column_unit=own.get(name, COLUMNS[name].unit if name in COLUMNS else ""))
    raise UserError(f"{release.path}: {closest('target', name, targets_of(release))}")


def targets_of(release: Release) -> list[str]:
    """List the targets that a release has numbers for, those of its own labels among them."""
    columns = set(release.manifest.columns)
    # A column without any number has no statistics; a release made by hand may have none at all.
    filled = set(release.manifest.statistics) or columns
    named = [
        task.name
        for task in TASKS.values()
        if columns.issuperset(task.columns) and (task.is_classifier or task.per_site or task.column in filled)
    ]
    taken = {TASKS[name].column for name in named}
    labels = [label.name for label in release.labels if label.name in filled]
    return [*named, *(name for name in labels if name not in taken)]
