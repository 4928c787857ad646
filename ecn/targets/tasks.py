"""What a network is trained for: targets, losses and metrics, with their units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mpclean.errors import UserError
from mpclean.vocabulary.schema import COLUMNS, SOURCE_LABELS, TARGETS

if TYPE_CHECKING:
    from mpclean.release import Release

Metrics = dict[str, Any]

#: Losses of numbers by their names, see `ecn.training.presets.Preset.loss` and `huber_delta`.
_LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "mse": lambda output, label, _: functional.mse_loss(output, label, reduction="none"),
    "l1": lambda output, label, _: functional.l1_loss(output, label, reduction="none"),
    "huber": lambda output, label, delta: functional.huber_loss(output, label, reduction="none", delta=delta),
}

#: Energies above the hull, in eV/atom, up to which a crystal counts as stable.
STABLE = (0.0, 0.05)

#: Resamples of a bootstrap.
_RESAMPLES = 1000


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
        """The loss of every row.

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
        return _LOSSES[kind](output, label, delta)

    def score(self, output: Tensor, label: Tensor, crystal: Tensor) -> float:
        """What the best epoch is chosen by, over all rows at once; lower is better.

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
        """What is reported for an output: the number itself, or a probability."""
        return torch.sigmoid(output) if self.is_classifier else output

    def metrics(self, output: Tensor, label: Tensor, train_mean: float, crystal: Tensor) -> Metrics:
        """What `ecn evaluate` reports.

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
            "mae_uncertainty": bootstrap_deviation((output - ours).abs(), crystal),
            "rmse": float(metrics.mean_squared_error(output, ours, squared=False)),
            "mae_mean_predictor": float(metrics.mean_absolute_error(mean, theirs)),
        }
        if self.column == "e_above_hull":
            found["stability"] = stability_metrics(output, label)
        return found


def signs(output: Tensor, label: Tensor, crystal: Tensor) -> Tensor:
    """The sign of every crystal, 1 or -1, that brings its labels closest to its outputs.

    Parameters
    ----------
    output, label
        Shape (R,), numbers of sites.
    crystal
        Shape (R,), int64, 0 to B - 1.

    Returns
    -------
    Tensor of shape (R,), by the smaller sum of squares: that of ``output . label``.
    """
    overlap = output.new_zeros(int(crystal.max()) + 1).index_add(0, crystal, output.detach() * label)
    return torch.where(overlap < 0, -1.0, 1.0).to(output.dtype)[crystal]


def site_errors(output: Tensor, label: Tensor, crystal: Tensor) -> Tensor:
    """Absolute errors of sites up to the global sign of a crystal; parameters as for `signs`."""
    return (output - signs(output, label, crystal) * label).abs()


def moment_loss(
    output: Tensor, label: Tensor, crystal: Tensor, kind: str = "mse", delta: float = 1.0
) -> Tensor:
    """The loss of every crystal for magnetic moments, whose global sign means nothing.

    The loss of a crystal is the smaller of those for its moments m and -m, a mean over its sites
    (Kaba & Ravanbakhsh 2022, section 5: moments are local, and invariant only up to a global sign).

    Parameters
    ----------
    output, label
        Shape (R,), moments of sites, in muB.
    crystal
        Shape (R,), int64, the crystal of every site.
    kind, delta
        See `ecn.training.presets.Preset.loss` and `huber_delta`.

    Returns
    -------
    Tensor of shape (B,).
    """
    n_crystals = int(crystal.max()) + 1
    losses = [
        output.new_zeros(n_crystals).index_add(0, crystal, _LOSSES[kind](output, sign * label, delta))
        for sign in (1.0, -1.0)
    ]
    return torch.minimum(*losses) / torch.bincount(crystal)


def bootstrap_deviation(errors: Tensor, group: Tensor) -> float:
    """Standard deviation of a mean error over resampled crystals: the uncertainty that the test set brings.

    Parameters
    ----------
    errors
        Shape (R,).
    group
        Shape (R,), int64: rows of one crystal are drawn together.

    Returns
    -------
    In the unit of the errors; the resamples are the same at every call.
    """
    rows = group.numpy()
    total, count = np.bincount(rows, errors.double().numpy()), np.bincount(rows)
    total, count = total[count > 0], count[count > 0]
    generator = np.random.default_rng(0)
    means = np.empty(_RESAMPLES)
    for k in range(_RESAMPLES):
        drawn = generator.integers(len(total), size=len(total))
        means[k] = total[drawn].sum() / count[drawn].sum()
    return _deviation(means)


def class_metrics(probability: Tensor, label: Tensor, classes: tuple[str, str]) -> Metrics:
    """Accuracy, precision, recall, F1 and area under the ROC curve of a binary classifier.

    The top level is about class 1; ``per_class`` has either class as the one looked for, and
    ``uncertainty`` what `class_deviations` finds. The threshold is 1/2. A ratio without a case is 0.
    Precision is the share of those predicted to be in a class that are, recall the share of those in a
    class that are predicted to be; what Kaba & Ravanbakhsh 2022 print as precision was computed as
    recall.

    Parameters
    ----------
    probability
        Shape (K,), of class 1.
    label
        Shape (K,), int64, 0 or 1.
    classes
        Names of the two classes.
    """
    from torchmetrics.functional import classification as metrics

    predicted = (probability > 0.5).long()
    ratios = {
        name: metric(predicted, label, num_classes=2, average="none").tolist()
        for name, metric in (
            ("precision", metrics.multiclass_precision),
            ("recall", metrics.multiclass_recall),
            ("f1", metrics.multiclass_f1_score),
        )
    }
    counts = torch.bincount(label, minlength=2).tolist()
    return {
        "accuracy": float(metrics.binary_accuracy(predicted, label)),
        "accuracy_majority_class": max(counts) / len(label),
        **{name: values[1] for name, values in ratios.items()},
        "auc": float(metrics.binary_auroc(probability, label)),
        "per_class": {
            name: {"n": float(counts[k])} | {ratio: values[k] for ratio, values in ratios.items()}
            for k, name in enumerate(classes)
        },
        "uncertainty": class_deviations(probability.double().numpy(), label.numpy(), classes),
    }


def class_deviations(
    probability: NDArray[np.float64], label: NDArray[np.int64], classes: tuple[str, str]
) -> Metrics:
    """Standard deviations of the metrics of a classifier over resampled crystals, see `bootstrap_deviation`.

    Parameters
    ----------
    probability, label, classes
        As for `class_metrics`, one row for each crystal.

    Returns
    -------
    Those of ``accuracy`` and ``auc``, and ``per_class`` of precision, recall and F1.
    """
    values, rank = np.unique(probability, return_inverse=True)
    n, generator = len(label), np.random.default_rng(0)
    confusion, auc = np.empty((_RESAMPLES, 2, 2)), np.empty(_RESAMPLES)  # predicted class, true class
    for k in range(_RESAMPLES):
        drawn = generator.integers(n, size=n)
        counts = np.bincount(2 * rank[drawn] + label[drawn], minlength=2 * len(values)).reshape(-1, 2)
        confusion[k] = [counts[values <= 0.5].sum(0), counts[values > 0.5].sum(0)]
        negative, positive = counts.T  # by rising probability: a pair is in order if its negative comes first
        in_order = positive @ (negative.cumsum() - 0.5 * negative)
        auc[k] = in_order / max(1, positive.sum() * negative.sum())
    per_class = {}
    for c, name in enumerate(classes):
        hits, predicted, true = confusion[:, c, c], confusion[:, c].sum(1), confusion[:, :, c].sum(1)
        ratios = {"precision": (hits, predicted), "recall": (hits, true), "f1": (2 * hits, predicted + true)}
        per_class[name] = {ratio: _deviation(a / b.clip(1)) for ratio, (a, b) in ratios.items()}
    accuracy = (confusion[:, 0, 0] + confusion[:, 1, 1]) / n
    return {"accuracy": _deviation(accuracy), "auc": _deviation(auc), "per_class": per_class}


def _deviation(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1))


def stability_metrics(output: Tensor, label: Tensor) -> dict[str, dict[str, float]]:
    """How well crystals up to some energy above the hull are found, by that energy in eV/atom.

    Parameters
    ----------
    output, label
        Shape (K,), energies above the hull, in eV/atom.
    """
    from torchmetrics.functional import classification as metrics

    found = {}
    for limit in STABLE:
        predicted, stable = (output <= limit).long(), (label <= limit).long()
        found[f"{limit:g}"] = {
            "n": float(stable.sum()),
            "precision": float(metrics.binary_precision(predicted, stable)),
            "recall": float(metrics.binary_recall(predicted, stable)),
            "f1": float(metrics.binary_f1_score(predicted, stable)),
        }
    return found


#: Targets by their names on the command line; any other numeric label goes by its column's.
TASKS = {
    task.name: task
    for task in (
        Task("formation_energy", "formation_energy_per_atom"),
        Task("fermi_energy", "efermi"),
        Task("band_gap", "band_gap", rows="is_insulator"),
        Task("magnetization", "magnetization_per_atom"),
        Task("is_metal", "is_insulator", classes=("nonmetal", "metal"), negated=True),
        Task("magnetic_moments", "magnetic_moments", per_site=True),
    )
}


def task(name: str, release: Release | None = None) -> Task:
    """The task of a target's name, or of a numeric column's.

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
    if release is not None and name in release.manifest["columns"] and release.is_numeric(name):
        column = COLUMNS.get(name)
        return Task(name, name, column_unit=column.unit if column else "")
    raise UserError(f"unknown target {name!r}; known: {', '.join(dict.fromkeys((*TASKS, *known)))}")


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
        """The goal of the names of targets, with commas between them.

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
        """The goal of what `to_json` wrote."""
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
        """The goal with the mean of every target, and the units that it is learned in.

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
        """Outputs of shape (R, T) in the units of the targets (logits for a class)."""
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
        """The sum of the losses of all labels, or of all crystals with labels per site: a scalar.

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
        """The score of every target by its name, in its unit; parameters in the units of the targets."""
        found = {}
        for k, target in enumerate(self.tasks):
            known = ~label[:, k].isnan()
            rows = output[known, k], label[known, k], crystal[known]
            found[target.name] = target.score(*rows) if known.any() else float("nan")
        return found

    def score(self, scores: Mapping[str, float]) -> float:
        """What the best epoch is chosen by, from the scores of the targets."""
        if len(self.targets) == 1:
            return scores[self.name]
        return float(np.mean([scores[target.task.name] / target.scale for target in self.targets]))
