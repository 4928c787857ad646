"""What a network is trained for: targets, losses and metrics, with their units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ecn.errors import UserError
from mpclean.schema import COLUMNS, SOURCE_LABELS, TARGETS

Metrics = dict[str, Any]

_LOSSES: dict[str, Callable[..., Tensor]] = {
    "mse": functional.mse_loss,
    "l1": functional.l1_loss,
    "huber": functional.huber_loss,
}


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
    """

    name: str
    column: str
    rows: str | None = None
    classes: tuple[str, str] | None = None
    negated: bool = False

    @property
    def is_classifier(self) -> bool:
        """Whether the target is a class."""
        return self.classes is not None

    @property
    def excluded(self) -> str:
        """Which rows are left out, in words."""
        return f"without {self.column}" + (f" or where {self.rows} is not true" if self.rows else "")

    @property
    def unit(self) -> str:
        """Unit of what is predicted: the column's, or a probability's."""
        return f"probability of {self.classes[1]}" if self.classes else COLUMNS[self.column].unit

    @property
    def score_name(self) -> str:
        """What the best epoch is chosen by, with its unit; lower is better."""
        return "cross entropy" if self.is_classifier else f"MAE ({self.unit})"

    def loss(self, output: Tensor, label: Tensor, kind: str = "mse") -> Tensor:
        """The sum of the losses of rows, both of shape (B,): a scalar.

        Parameters
        ----------
        output, label
            In the units of the training; logits, and 0 or 1, for a class.
        kind
            Of numbers, see `ecn.presets.Preset.loss`; a class has the binary cross entropy.
        """
        if self.is_classifier:
            return functional.binary_cross_entropy_with_logits(output, label, reduction="sum")
        return _LOSSES[kind](output, label, reduction="sum")

    def score(self, output: Tensor, label: Tensor) -> float:
        """What the best epoch is chosen by, over all rows at once; lower is better."""
        return float(self.loss(output, label, "l1")) / len(label)

    def value(self, output: Tensor) -> Tensor:
        """What is reported for an output: the number itself, or a probability."""
        return torch.sigmoid(output) if self.is_classifier else output

    def metrics(self, output: Tensor, label: Tensor, train_mean: float) -> Metrics:
        """What `ecn evaluate` reports.

        Parameters
        ----------
        output
            Shape (K,), of the network, in units of the target; logits for a class.
        label
            Shape (K,).
        train_mean
            Mean of the labels the network was trained on: the prediction to beat.
        """
        if self.classes is None:
            mean = torch.full_like(label, train_mean)
            return {
                "mae": float(functional.l1_loss(output, label)),
                "mae_mean_predictor": float(functional.l1_loss(mean, label)),
            }
        return class_metrics(torch.sigmoid(output), label.long(), self.classes)


def moment_loss(output: Tensor, label: Tensor, crystal: Tensor) -> Tensor:
    """Mean squared error of magnetic moments, whose global sign means nothing.

    The loss of a crystal is the smaller of those for its moments m and -m, and crystals count
    alike (Kaba & Ravanbakhsh 2022, section 5: moments are local, and invariant only up to a
    global sign).

    Parameters
    ----------
    output, label
        Shape (N,), moments of nodes, in muB.
    crystal
        Shape (N,), int64, the crystal of every node.
    """
    n_crystals = int(crystal.max()) + 1
    losses = [
        output.new_zeros(n_crystals).index_add(0, crystal, (output - sign * label) ** 2)
        for sign in (1.0, -1.0)
    ]
    return (torch.minimum(*losses) / torch.bincount(crystal)).mean()


def class_metrics(probability: Tensor, label: Tensor, classes: tuple[str, str]) -> Metrics:
    """Accuracy, precision, recall, F1 and area under the ROC curve of a binary classifier.

    The top level is about class 1; ``per_class`` has either class as the one looked for. The
    threshold is 1/2. A ratio without a case is 0.

    Parameters
    ----------
    probability
        Shape (K,), of class 1.
    label
        Shape (K,), int64, 0 or 1.
    classes
        Names of the two classes.
    """
    from torchmetrics.functional.classification import binary_auroc

    predicted = (probability > 0.5).long()
    per_class = {}
    for k, name in enumerate(classes):
        found = float(((predicted == k) & (label == k)).sum())
        n_predicted, n_true = float((predicted == k).sum()), float((label == k).sum())
        per_class[name] = {
            "n": n_true,
            "precision": found / max(n_predicted, 1.0),
            "recall": found / max(n_true, 1.0),
            "f1": 2.0 * found / max(n_predicted + n_true, 1.0),
        }
    positive = per_class[classes[1]]
    return {
        "accuracy": float((predicted == label).float().mean()),
        "accuracy_majority_class": max(c["n"] for c in per_class.values()) / len(label),
        "precision": positive["precision"],
        "recall": positive["recall"],
        "f1": positive["f1"],
        "auc": float(binary_auroc(probability, label)),
        "per_class": per_class,
    }


#: Targets by their names on the command line; any other numeric label goes by its column's.
TASKS = {
    task.name: task
    for task in (
        Task("formation_energy", "formation_energy_per_atom"),
        Task("fermi_energy", "efermi"),
        Task("band_gap", "band_gap", rows="is_insulator"),
        Task("magnetization", "magnetization_per_atom"),
        Task("is_metal", "is_insulator", classes=("nonmetal", "metal"), negated=True),
    )
}


def task(name: str) -> Task:
    """The task of a target's name, or of a numeric column's.

    Parameters
    ----------
    name
        One of `TASKS`, or a numeric label of the vocabulary of releases.

    Raises
    ------
    UserError
        If there is no such target.
    """
    columns = (*TARGETS, *SOURCE_LABELS)
    if name in TASKS:
        return TASKS[name]
    if name in columns:
        return Task(name, name)
    raise UserError(f"unknown target {name!r}; known: {', '.join((*TASKS, *columns))}")
