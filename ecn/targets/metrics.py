"""Metrics of predictions, with the uncertainty that a finite test part brings."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Metrics = dict[str, Any]


#: Energies above the hull, in eV/atom, up to which a crystal counts as stable.
STABLE = (0.0, 0.05)


#: Resamples of a bootstrap.
_RESAMPLES = 1000


def bootstrap_standard_deviation(errors: Tensor, group: Tensor) -> float:
    """Find the standard deviation of a mean error over resampled crystals: the uncertainty of a finite part.

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
    return _standard_deviation(means)


def class_metrics(probability: Tensor, label: Tensor, classes: tuple[str, str]) -> Metrics:
    """Compute accuracy, precision, recall, F1 and area under the ROC curve of a binary classifier.

    The top level is about class 1; ``per_class`` has either class as the one looked for, and
    ``uncertainty`` what `class_standard_deviations` finds. The threshold is 1/2. A ratio without a case is 0.
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
        "uncertainty": class_standard_deviations(probability.double().numpy(), label.numpy(), classes),
    }


def class_standard_deviations(
    probability: NDArray[np.float64], label: NDArray[np.int64], classes: tuple[str, str]
) -> Metrics:
    """Find the standard deviations of a classifier's metrics over resampled crystals.

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
        per_class[name] = {ratio: _standard_deviation(a / b.clip(1)) for ratio, (a, b) in ratios.items()}
    accuracy = (confusion[:, 0, 0] + confusion[:, 1, 1]) / n
    return {
        "accuracy": _standard_deviation(accuracy),
        "auc": _standard_deviation(auc),
        "per_class": per_class,
    }


def _standard_deviation(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1))


def stability_metrics(output: Tensor, label: Tensor) -> dict[str, dict[str, float]]:
    """Measure how well crystals up to some energy above the hull are found, by that energy in eV/atom.

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
