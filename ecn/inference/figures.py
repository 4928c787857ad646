"""Figures of a run: predictions against labels, and what happened while it trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ecn.inference.evaluation import Evaluation
from mpclean.release.atomic import replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ecn.training.logs import Epoch

#: From so many points on a parity plot shows their density: single points would hide one another.
_DENSE = 500


def parity_figure(evaluation: Evaluation, path: Path) -> None:
    """Draw predictions against labels; for a classifier, the probabilities of either class.

    Parameters
    ----------
    evaluation
        The evaluation to draw.
    path
        PNG file to write.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 4.4), layout="constrained")
    axes = figure.add_subplot()
    task, metrics = evaluation.task, evaluation.metrics
    label = evaluation.compared["label"].to_numpy()
    value = evaluation.compared["prediction"].to_numpy()
    if task.classes:
        for k, class_name in enumerate(task.classes):
            axes.hist(value[label == k], bins=40, range=(0, 1), alpha=0.6, label=class_name)
        axes.set(xlabel=f"predicted {task.unit}", ylabel="crystals")
        axes.legend(title="label")
        said = f"accuracy {metrics['accuracy']:.3f}\nAUC {metrics['auc']:.3f}"
    else:
        ends = [min(label.min(), value.min()), max(label.max(), value.max())]
        margin = 0.03 * (ends[1] - ends[0]) or 1.0
        ends = [ends[0] - margin, ends[1] + margin]
        if len(label) >= _DENSE:
            cells = axes.hexbin(
                label, value, gridsize=60, bins="log", mincnt=1, extent=(ends[0], ends[1], ends[0], ends[1])
            )
            kind = "sites" if task.per_site else "crystals"
            figure.colorbar(cells, ax=axes, label=f"{kind} per hexagon")
        else:
            axes.plot(label, value, ".", markersize=4, alpha=0.5)
        axes.plot(ends, ends, color="black", linewidth=0.8, linestyle="--")
        unit = f" ({task.unit})" if task.unit else ""
        name = task.name.replace("_", " ")
        axes.set(
            xlabel=f"{name} of the release{unit}", ylabel=f"predicted {name}{unit}", xlim=ends, ylim=ends
        )
        axes.set_aspect("equal")
        r2 = "" if metrics["r2"] is None else f"\nR$^2$ {metrics['r2']:.3f}"
        said = f"MAE {metrics['mae']:.4g}{unit and ' ' + task.unit}{r2}"
    axes.text(0.04, 0.96, said, transform=axes.transAxes, va="top", fontsize="small")
    axes.set_title(evaluation.title, fontsize="small")
    _save(figure, path)


def learning_curves(epochs: Sequence[Epoch], title: str, score_name: str, path: Path) -> None:
    """Draw the validation score and the training loss of a run by its epochs, a panel for each.

    Parameters
    ----------
    epochs
        Of the run, see `ecn.training.logs.read_metrics`.
    title
        Of the figure.
    score_name
        What the validation score is, with its unit.
    path
        PNG file to write.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    number = [epoch.epoch for epoch in epochs]
    figure = Figure(figsize=(5.0, 5.0), layout="constrained")
    score, loss = figure.subplots(2, sharex=True)
    score.plot(number, [epoch.validation_score for epoch in epochs], color="C0", marker=".")
    best = min(epochs, key=lambda epoch: epoch.validation_score)
    score.plot(best.epoch, best.validation_score, "o", color="black", fillstyle="none", label="kept")
    score.set(ylabel=f"validation {score_name}", yscale="log")
    score.legend()
    loss.plot(number, [epoch.train_loss for epoch in epochs], color="C1", marker=".")
    # Losses of standardised labels have no unit, and others the target's, squared or not by the setting.
    loss.set(xlabel="epoch", ylabel="training loss", yscale="log")
    loss.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (score, loss):  # 0.58 rather than 5.8 x 10^-1
        axes.yaxis.set_major_formatter("{x:.3g}")
        axes.yaxis.set_minor_formatter("{x:.3g}")
        axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize="small")
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    replace_file(path, lambda partial: figure.savefig(partial, dpi=150, format="png"))
