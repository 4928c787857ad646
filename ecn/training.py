"""Fit a model to a release: a plain loop on Lightning Fabric."""

from __future__ import annotations

import csv
import itertools
import math
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric import Fabric, seed_everything
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm import tqdm

from ecn import checkpoint, models
from ecn.data import Dataset, load_split, open_release, split_identity
from ecn.errors import UserError
from ecn.evaluation import max_edges, outputs
from ecn.models.base import CrystalModel
from ecn.presets import Preset
from ecn.tasks import Task, task

if TYPE_CHECKING:
    from mpclean.release import Release

#: Fewer training rows than this are a mistake: a deviation of labels needs two.
MIN_ROWS = 2

#: Entries of a release's manifest that say how a crystal became a graph.
_BOND_PARAMETERS = ("bonds", "min_area", "cutoff")


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch; a line of ``metrics.csv``."""

    epoch: int
    """From 1."""
    train_loss: float
    """Mean over the rows, while they were trained on."""
    validation_score: float
    """After the epoch; see `ecn.tasks.Task.score`."""
    learning_rate: float
    """At the end of the epoch."""
    seconds: float
    """Of this epoch, its validation included."""


@dataclass(frozen=True)
class Fitted:
    """How a training ended."""

    best: Epoch
    """The epoch that was kept."""
    interrupted: bool
    """Whether the user ended it."""


def new_run(release: Path, target: str) -> Path:
    """A folder under ``runs/`` that does not exist yet: release, target and a number.

    Parameters
    ----------
    release
        Folder of the release.
    target
        Name of the target.
    """
    numbers = (Path("runs") / f"{release.resolve().name}-{target}-{k}" for k in itertools.count(1))
    return next(path for path in numbers if not path.exists())


def fit(
    release: Path,
    run: Path,
    *,
    target: str,
    model: str,
    options: dict[str, Any],
    preset_name: str,
    preset: Preset,
    seed: int,
    device: str,
    strategy: str | None = None,
    limit: int | None = None,
    time_limit: float | None = None,
) -> Fitted:
    """Train a model on the train rows of a release and keep its best epoch.

    Parameters
    ----------
    release
        Folder of the release.
    run
        Folder to make for the run.
    target
        As `ecn.tasks.task` takes it.
    model
        One of `ecn.models.MODELS`.
    options
        Options of the model that differ from those of the preset.
    preset_name, preset
        The settings, and the name of those they started from.
    seed
        Fixes weights, order and draws: equal seeds give equal runs on a CPU.
    device
        Accelerator as Fabric names it: "auto", "cpu", "cuda", "mps".
    strategy
        Name of the split to train on, of those of the release; the one that it was built with by
        default.
    limit
        Train on so many rows, drawn at random.
    time_limit
        End after so many minutes of training.

    Returns
    -------
    How it ended; the run itself is for `ecn.checkpoint.load`.

    Raises
    ------
    UserError
        If the release, the target or an option does not serve, if `run` exists, or if the
        loss stops being finite.
    """
    if run.exists():
        raise UserError(f"{run}: exists already; choose another --out or remove it")
    goal = task(target)
    seed_everything(seed, verbose=False)
    network = models.build(model, {**preset.options.get(model, {}), **options})
    if getattr(network.config, "per_site", False):
        raise UserError("per_site gives a number for every node; ecn fit trains on one for every crystal")
    opened = open_release(release)
    train = load_split(opened, "train", goal, strategy=strategy, limit=limit, seed=seed)
    validation = load_split(opened, "validation", goal, strategy=strategy)
    if len(train) < MIN_ROWS:
        raise UserError(
            f"{release}: {len(train)} training rows with {goal.column}, at least {MIN_ROWS} are needed"
        )
    for split, data in (("train", train), ("validation", validation)):
        _say(f"{split}: {len(data)} crystals; {data.n_left_out} rows {goal.excluded} left out")

    fabric = _fabric(device)
    shift, scale = _standard(train, goal) if preset.standardise else (0.0, 1.0)
    config = checkpoint.RunConfig(
        target=goal.name,
        unit=goal.unit,
        model=model,
        model_options=asdict(network.config),
        preset=preset_name,
        training={name: value for name, value in asdict(preset).items() if name != "options"},
        seed=seed,
        limit=limit,
        time_limit=time_limit,
        shift=shift,
        scale=scale,
        train_mean=float(train.labels.double().mean()),
        n_train=len(train),
        n_validation=len(validation),
        release=_identity(opened, strategy),
        featuriser={key: opened.manifest["parameters"].get(key) for key in _BOND_PARAMETERS},
    )
    with _folder(run):
        checkpoint.save_config(run, config)
        loop = _Loop(fabric, network, goal, preset, train, validation, shift, scale, time_limit)
        return _keep_best(loop.epochs(seed), network, goal, run)


@contextmanager
def _folder(run: Path) -> Iterator[None]:
    """Make the folder of a run; it goes again, however the training ends, if no epoch was kept."""
    try:
        run.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{run}: cannot be made ({error.strerror}); choose another --out") from error
    try:
        yield
    finally:
        if not (run / checkpoint.WEIGHTS).exists():
            shutil.rmtree(run)


def _keep_best(epochs: Iterator[Epoch], network: nn.Module, goal: Task, run: Path) -> Fitted:
    """Go through a training: write down every epoch, save each that is the best so far."""
    best = None
    interrupted = False
    with (run / checkpoint.METRICS).open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([column.name for column in fields(Epoch)])
        try:
            for epoch in epochs:
                table.writerow(asdict(epoch).values())
                file.flush()
                if best is None or epoch.validation_score < best.validation_score:
                    best = epoch
                    checkpoint.save_weights(run, network, epoch.epoch, epoch.validation_score)
                _say(
                    f"epoch {epoch.epoch}: validation {goal.score_name} {epoch.validation_score:.4f}, "
                    f"train loss {epoch.train_loss:.4g}, learning rate {epoch.learning_rate:.2g}, "
                    f"{epoch.seconds:.1f} s{' (best)' if best is epoch else ''}"
                )
        except KeyboardInterrupt:
            interrupted = True
    if best is None:
        raise UserError("stopped before the first epoch ended: there is nothing to keep")
    _say(
        f"{'stopped by the user' if interrupted else 'done'}: "
        f"best epoch {best.epoch}, validation {goal.score_name} {best.validation_score:.4f}"
    )
    return Fitted(best, interrupted)


@dataclass(frozen=True)
class _Loop:
    """One training, from fresh weights to the end of its schedule."""

    fabric: Fabric
    network: CrystalModel
    goal: Task
    preset: Preset
    train: Dataset
    validation: Dataset
    shift: float
    scale: float
    time_limit: float | None

    def epochs(self, seed: int) -> Iterator[Epoch]:
        """Train; yield after every epoch, when `network` holds its weights."""
        preset, device = self.preset, self.fabric.device
        optimizer = AdamW(
            self.network.parameters(), lr=preset.learning_rate, weight_decay=preset.weight_decay
        )
        network, optimizer = self.fabric.setup(self.network, optimizer)
        plateau = ReduceLROnPlateau(optimizer, factor=preset.plateau_factor, patience=preset.plateau_patience)
        train, validation = self.train.to(device), self.validation.to(device)
        labels = (train.labels - self.shift) / self.scale
        edges = max_edges(self.network, device)
        order = torch.Generator().manual_seed(seed)
        n_steps = math.ceil(len(train) / preset.batch_size)
        started = time.monotonic()

        for number in range(1, preset.epochs + 1):
            began = time.monotonic()
            total = torch.zeros((), device=device)
            network.train()
            permutation = torch.randperm(len(train), generator=order).to(device)
            bar = tqdm(permutation.split(preset.batch_size), f"epoch {number}", leave=False, disable=None)
            for step, index in enumerate(bar):
                progress = self._progress((number - 1) * n_steps + step, n_steps, started)
                if progress >= 1.0:
                    break
                if preset.schedule == "cosine":
                    _set_learning_rate(
                        optimizer, preset.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
                    )
                optimizer.zero_grad()
                for part in train.crystals.passes(index, edges):
                    loss = self.goal.loss(network(train.crystals.batch(part)), labels[part])
                    self.fabric.backward(loss * (len(part) / len(index)))
                    total += loss.detach() * len(part)
                optimizer.step()
            network.eval()
            output = self.shift + self.scale * outputs(network, validation.crystals, edges)
            score = self.goal.score(output, validation.labels)
            if not math.isfinite(score):
                raise UserError(
                    f"epoch {number}: the loss is no finite number any more; lower the learning rate"
                )
            rate = optimizer.param_groups[0]["lr"]
            yield Epoch(number, float(total) / len(train), score, rate, time.monotonic() - began)
            if preset.schedule == "plateau":
                plateau.step(score)
                if optimizer.param_groups[0]["lr"] <= preset.min_learning_rate:
                    return
            if progress >= 1.0:
                return

    def _progress(self, step: int, n_steps: int, started: float) -> float:
        """How much of the training is over: of its steps, or of the time allowed."""
        done = step / (n_steps * self.preset.epochs)
        if self.time_limit is None:
            return done
        return max(done, (time.monotonic() - started) / (60.0 * self.time_limit))


def _set_learning_rate(optimizer: Any, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _fabric(device: str) -> Fabric:
    try:
        return Fabric(accelerator=device, devices=1)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"device {device!r}: {str(error).splitlines()[0]}") from error


def _standard(train: Dataset, goal: Task) -> tuple[float, float]:
    """Mean and deviation of a numeric target; logits stay as they are."""
    if goal.is_classifier:
        return 0.0, 1.0
    deviation, mean = torch.std_mean(train.labels.double())
    return float(mean), float(deviation) or 1.0


def _identity(release: Release, strategy: str | None) -> dict[str, Any]:
    manifest = release.manifest
    return {
        "path": str(Path(release.path).resolve()),
        "name": manifest["name"],
        "version": manifest["release_version"],
        "content_hash": release.content_hash,
        "synthetic": manifest["upstream"]["synthetic"],
        **split_identity(release, strategy),
    }


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)
