"""Predictions for a whole part of a split, the metrics of a run, and the figure that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ecn.data.batch import CrystalBatch
from ecn.data.rows import Dataset, load_part, open_release, rows_of, split_identity
from ecn.data.tensors import CrystalTensors
from ecn.models.base import CrystalModel
from ecn.runs import checkpoint
from ecn.targets.metrics import Metrics
from ecn.targets.tasks import Task
from mpclean.errors import UserError

if TYPE_CHECKING:
    from mpclean.release import Release

#: Edges of the model's own graph in one pass, by kind of device. On a CPU the tensors of a
#: pass then stay near the caches, and malloc reuses their memory instead of mapping it anew
#: (page faults): 128 crystals on the supercell take a third of their time in one pass.
_EDGES_PER_PASS = {"cpu": 8_000, "cuda": 2_000_000}


def max_edges(model: CrystalModel, device: torch.device) -> int:
    """Bonds and atoms of primitive cells in one pass of a model on a device."""
    return _EDGES_PER_PASS.get(device.type, _EDGES_PER_PASS["cuda"]) // model.copies


class OutOfMemoryError(UserError):
    """A pass of a model does not fit in the memory of its device."""


@contextmanager
def memory_of(device: torch.device, way_out: str) -> Iterator[None]:
    """Name the way out where what is done on a device does not fit in its memory.

    Parameters
    ----------
    device
        For the message.
    way_out
        What the user may do.

    Raises
    ------
    OutOfMemoryError
        If memory is what an error of torch is about.
    """
    try:
        yield
    except RuntimeError as error:
        # On a CPU it is a plain RuntimeError of the allocator.
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise OutOfMemoryError(f"the memory of {device} does not suffice; {way_out}") from error
        raise


def require_same_bonds(release: Release, featuriser: dict[str, Any]) -> None:
    """Refuse a release whose bonds were not found as those that a model was trained on.

    Parameters
    ----------
    release
        What is to be predicted.
    featuriser
        Of the run, see `ecn.runs.checkpoint.RunConfig`.

    Raises
    ------
    UserError
        If they were not: its numbers would look like predictions and be none.
    """
    theirs, ours = (
        ", ".join(f"{name} {values[name]}" for name in ("bonds", "min_area", "cutoff"))
        for values in (release.manifest["parameters"], featuriser)
    )
    if theirs != ours:
        raise UserError(
            f"{release.path}: its graphs are others ({theirs}) than those of the model ({ours}); predict the "
            "snapshot that it was built from"
        )


@torch.inference_mode()
def outputs(
    model: Callable[[CrystalBatch], Tensor],
    crystals: CrystalTensors,
    max_edges: int,
    index: Tensor | None = None,
) -> Tensor:
    """The output of a model for every crystal, in their order.

    Parameters
    ----------
    model
        Called with batches.
    crystals
        K crystals.
    max_edges
        Bonds and atoms in one pass.
    index
        The crystals wanted, (K,) int64; all of them by default.

    Returns
    -------
    Tensor of shape (K,).
    """
    if index is None:
        index = torch.arange(len(crystals), device=crystals.atom_start.device)
    return torch.cat([model(crystals.batch(part)) for part in crystals.passes(index, max_edges)])


def predict_rows(
    model: CrystalModel, crystals: CrystalTensors, max_edges: int, index: Tensor | None, per_site: bool
) -> Tensor:
    """The outputs of a model in the shape of labels, (R, T); see `outputs` and `ecn.data.rows.rows_of`."""
    return outputs(lambda batch: rows_of(model(batch), batch, per_site=per_site), crystals, max_edges, index)


@dataclass(frozen=True)
class Evaluation:
    """How a run does on a part of its split, for one of its targets."""

    task: Task
    """The target."""
    part: str
    """Name of the part: train, validation or test."""
    label: Tensor
    """(R,) float32, as in the release, a number for every crystal, or for every site."""
    output: Tensor
    """(R,) float32, predicted, in the unit of the target; logits for a class."""
    metrics: Metrics
    """See `ecn.targets.tasks.Task.metrics`."""
    n_excluded: int
    """Rows of the part that the task is not about."""
    release_hash: str
    """Content hash of the release."""
    trained_on_same: bool
    """Whether it is the release, and its split, that the run was trained on."""
    checkpoint_hash: str
    """SHA-256 of the weights."""
    synthetic: bool
    """Whether the labels were made up and describe no real material."""

    @property
    def title(self) -> str:
        """What was compared with what, for tables and figures."""
        made_up = ", synthetic labels" if self.synthetic else ""
        kind = "sites" if self.task.per_site else "crystals"
        return f"{self.task.name}, {self.part} part, {len(self.label)} {kind}{made_up}"

    def summary(self) -> dict[str, Any]:
        """What ``ecn evaluate --json`` prints."""
        return {
            "target": self.task.name,
            "unit": self.task.unit,
            "split": self.part,
            "n": len(self.label),
            **self.metrics,
            "release_hash": self.release_hash,
            "checkpoint_hash": self.checkpoint_hash,
            "synthetic": self.synthetic,
        }


def evaluate(
    run: Path, part: str = "test", release: Path | None = None, device: str = "cpu"
) -> list[Evaluation]:
    """Predict a part of the split and compare.

    Parameters
    ----------
    run
        Folder of the run.
    part
        "train", "validation" or "test", of the split that the run was trained on.
    release
        Another release than the one trained on.
    device
        Name of a torch device.

    Returns
    -------
    An evaluation for every target of the run.

    Raises
    ------
    UserError
        If the run, the release or the device cannot be used, the bonds of the release are others than
        those of the run, or no row has the target.
    """
    require_device(device)
    saved = checkpoint.load(run)
    trained_on = Path(saved.config.release["path"])
    if release is None and not trained_on.exists():
        raise UserError(
            f"{trained_on}: the release of this run is not there any more; name it with --release"
        )
    opened = open_release(release or trained_on)
    require_same_bonds(opened, saved.config.featuriser)
    identity = saved.config.release
    split = identity["split"]
    data = load_part(opened, part, saved.goal.tasks, split=split)
    with memory_of(torch.device(device), "evaluate with --device cpu"):
        data = data.to(device)
        output = predict(saved, data, device)
    labels, crystal = (t.cpu() for t in data.labels_of(torch.arange(len(data), device=data.labels.device)))
    identities = {"content_hash": opened.content_hash, **split_identity(opened, split)}
    found = []
    for k, target in enumerate(saved.goal.targets):
        known = ~labels[:, k].isnan()
        of_target = output[known, k], labels[known, k]
        found.append(
            Evaluation(
                task=target.task,
                part=part,
                label=of_target[1],
                output=of_target[0],
                metrics=target.task.metrics(*of_target, target.train_mean, crystal[known]),
                n_excluded=data.n_excluded + len(data) - len(crystal[known].unique()),
                release_hash=opened.content_hash,
                trained_on_same=all(identity[name] == value for name, value in identities.items()),
                checkpoint_hash=saved.digest,
                synthetic=opened.manifest["upstream"]["synthetic"],
            )
        )
    return found


def require_device(name: str) -> None:
    """Refuse a device that torch has not.

    Parameters
    ----------
    name
        Name of a torch device.

    Raises
    ------
    UserError
        If torch knows no such device, or was built without it.
    """
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        raise UserError(f"device {name!r}: {str(error).splitlines()[0]}") from error


def predict(saved: checkpoint.Checkpoint, data: Dataset, device: str) -> Tensor:
    """Predictions of a run for the rows of a dataset, (R, T), on the CPU, in the units of the targets."""
    model = saved.model.to(device)
    edges = max_edges(model, torch.device(device))
    return saved.predict(predict_rows(model, data.crystals, edges, None, data.per_site)).cpu()


def parity_figure(evaluation: Evaluation, path: Path) -> None:
    """Draw predictions against labels; for a classifier, its probabilities for either class.

    Parameters
    ----------
    evaluation
        What to draw.
    path
        PNG file to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    name = evaluation.task.name.replace("_", " ")
    label, value = evaluation.label.numpy(), evaluation.task.value(evaluation.output).numpy()
    if evaluation.task.classes:
        for k, class_name in enumerate(evaluation.task.classes):
            axes.hist(value[label == k], bins=40, range=(0, 1), alpha=0.6, label=class_name)
        axes.set(xlabel=f"predicted {evaluation.task.unit}", ylabel="crystals")
        axes.legend()
    else:
        axes.plot(label, value, ".", markersize=3, alpha=0.4)
        ends = [min(label.min(), value.min()), max(label.max(), value.max())]
        axes.plot(ends, ends, color="black", linewidth=0.8)
        axes.set(xlabel=f"{name} ({evaluation.task.unit})", ylabel=f"predicted ({evaluation.task.unit})")
        axes.set_aspect("equal")
    axes.set_title(evaluation.title, fontsize="small")
    figure.savefig(path, dpi=150)
