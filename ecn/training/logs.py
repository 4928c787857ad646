"""Where the numbers of a training go: ``metrics.csv``, TensorBoard, Weights & Biases."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from ecn.runs.checkpoint import METRICS, RunConfig
from mpclean.errors import UserError
from mpclean.release.atomic import replace_file


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch; a line of ``metrics.csv``."""

    epoch: int
    """From 1."""
    train_loss: float
    """Mean over the rows, while they were trained on."""
    validation_score: float
    """After the epoch; see `ecn.targets.goal.Goal.score`."""
    learning_rate: float
    """At the end of the epoch."""
    seconds: float
    """Of this epoch, its validation included."""
    scores: dict[str, float]
    """The validation score of every target, in its unit; columns where there are several."""

    def values(self) -> dict[str, float]:
        """Return the numbers by their names."""
        values = asdict(self)
        scores = values.pop("scores")
        return values | {f"validation_{name}": score for name, score in scores.items() if len(scores) > 1}


def write_metrics(run: Path, epochs: Sequence[Epoch]) -> None:
    """Write ``metrics.csv`` anew: a line for every epoch so far."""
    text = io.StringIO()
    if epochs:
        table = csv.DictWriter(text, list(epochs[0].values()))
        table.writeheader()
        table.writerows(epoch.values() for epoch in epochs)
    replace_file(run / METRICS, lambda path: path.write_text(text.getvalue(), newline=""))


def read_metrics(run: Path) -> list[Epoch]:
    """Read ``metrics.csv`` of a run, a line for every epoch.

    Raises
    ------
    UserError
        If there is no such file, or it is damaged.
    """
    path = run / METRICS
    try:
        with path.open(newline="") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        return [_epoch(row) for row in rows]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); resume or repeat the training") from error


def _epoch(row: dict[str, float]) -> Epoch:
    scores = {
        name.removeprefix("validation_"): value
        for name, value in row.items()
        if name.startswith("validation_") and name != "validation_score"
    }
    return Epoch(
        epoch=int(row["epoch"]),
        train_loss=row["train_loss"],
        validation_score=row["validation_score"],
        learning_rate=row["learning_rate"],
        seconds=row["seconds"],
        scores=scores,
    )


def in_words(seconds: float) -> str:
    """Give a duration as a person says it, such as "40 s", "12 min" or "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


class Logger(Protocol):
    """What takes the numbers of an epoch."""

    def log(self, epoch: Epoch) -> None:
        """Take one more epoch."""

    def close(self) -> None:
        """Write what is not written yet."""


def open_loggers(names: Sequence[str], run: Path, config: RunConfig, n_epochs: int) -> list[Logger]:
    """Open loggers by their names.

    Parameters
    ----------
    names
        Of `ecn.training.presets.LOGGERS`.
    run
        Folder of the run.
    config
        What the run is made of.
    n_epochs
        Epochs that are logged already; a resumed run goes on after them.

    Raises
    ------
    UserError
        If the package of a logger is not installed.
    """
    known: dict[str, Callable[..., Logger]] = {"tensorboard": _TensorBoard, "wandb": _WeightsAndBiases}
    return [known[name](run, config, n_epochs) for name in names]


class _TensorBoard:
    """Event files in the folder ``tensorboard`` of the run."""

    def __init__(self, run: Path, config: RunConfig, n_epochs: int) -> None:
        from lightning.fabric.loggers import TensorBoardLogger

        try:
            # What a killed run logged after the state that it goes on from is taken back.
            self._logger = TensorBoardLogger(run, "tensorboard", "", purge_step=n_epochs + 1)
        except ModuleNotFoundError as error:
            raise UserError(
                "TensorBoard is not installed: pip install tensorboard, or choose --logger none"
            ) from error

    def log(self, epoch: Epoch) -> None:
        self._logger.log_metrics(epoch.values(), epoch.epoch)
        self._logger.experiment.flush()

    def close(self) -> None:
        self._logger.finalize("success")


class _WeightsAndBiases:
    """A run of the project ``ecn`` under the name of the run's folder.

    The account is that of ``wandb login``; the key is never ours to read or to write.
    """

    def __init__(self, run: Path, config: RunConfig, n_epochs: int) -> None:
        try:
            import wandb
        except ModuleNotFoundError as error:
            raise UserError("Weights & Biases is not installed: pip install 'mpclean[wandb]'") from error
        identity = run / "wandb.id"  # by which a resumed run is found again
        if not identity.exists():
            identity.write_text(secrets.token_hex(4))
        try:
            self._run = wandb.init(
                project="ecn",
                name=run.name,
                id=identity.read_text(),
                resume="allow",
                dir=str(run),
                config=asdict(config),
            )
        except wandb.Error as error:  # no login, no network
            reason = str(error).splitlines()[0]
            raise UserError(f"Weights & Biases: {reason}; log in, or choose another --logger") from error

    def log(self, epoch: Epoch) -> None:
        self._run.log(epoch.values(), step=epoch.epoch)

    def close(self) -> None:
        self._run.finish()
