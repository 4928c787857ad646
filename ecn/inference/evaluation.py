"""How well a run predicts a part of its split: metrics, errors of every crystal and of groups of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from pyarrow import csv
from torch import Tensor

from ecn.data.compatibility import require_areas, require_same_bonds
from ecn.data.rows import Dataset, load_part, open_release, split_identity
from ecn.inference.forward import max_edges, memory_of, predict_rows, require_device
from ecn.runs import checkpoint
from ecn.runs.ensemble import load_members
from ecn.targets.losses import signs
from ecn.targets.metrics import Metrics
from ecn.targets.tasks import Task
from mpclean.errors import UserError
from mpclean.release.atomic import replace_file
from mpclean.vocabulary import lists
from mpclean.vocabulary.elements import SYMBOLS
from mpclean.vocabulary.text import spreadsheet

if TYPE_CHECKING:
    import pandas as pd

    from mpclean.release import Release

#: The seven crystal systems by the first space group of each (International Tables for Crystallography, A).
CRYSTAL_SYSTEMS = {
    "triclinic": 1,
    "monoclinic": 3,
    "orthorhombic": 16,
    "tetragonal": 75,
    "trigonal": 143,
    "hexagonal": 168,
    "cubic": 195,
}

#: Classes of crystals by their number of atoms in the primitive cell, each from its number on.
SIZES = {"1-4 atoms": 1, "5-10 atoms": 5, "11-20 atoms": 11, "21-40 atoms": 21, "over 40 atoms": 41}

#: A row for every prediction that was compared with a label, in the order of the release. ``site`` and
#: ``element`` are null where the target is one of crystals. ``label`` and ``prediction`` are in ``unit``, and
#: ``error`` is the one less the other; of a classifier they are 0 or 1, a probability, and their difference.
#: ``standard_deviation`` is that of the members of an ensemble, null of a single model.
COMPARED = pa.schema(
    [
        ("material_id", pa.string()),
        ("formula", pa.string()),
        ("crystal_system", pa.string()),
        ("nsites", pa.int64()),
        ("target", pa.string()),
        ("unit", pa.string()),
        ("site", pa.int64()),
        ("element", pa.string()),
        ("label", pa.float64()),
        ("prediction", pa.float64()),
        ("error", pa.float64()),
        ("standard_deviation", pa.float64()),
    ]
)

#: Columns of the release that say what a crystal is.
_IDENTITY = ("material_id", "reduced_formula", "spacegroup_number", "nsites")


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
    """(R,) float32, predicted, in the unit of the target; logits for a class. Of an ensemble its mean."""
    metrics: Metrics
    """See `ecn.targets.tasks.Task.metrics`; of numbers the coefficient of determination ``r2`` too."""
    compared: pa.Table
    """R rows of `COMPARED`."""
    atomic_numbers: pa.ListArray
    """(R,) lists of uint8, the atoms of the crystal of every row."""
    n_excluded: int
    """Rows of the part that have no label, or that the task is not about."""
    release_hash: str
    """Content hash of the release."""
    difference: str
    """How the release differs from the one that the run was trained on; empty where it does not."""
    checkpoint_hash: str
    """SHA-256 of the weights."""
    synthetic: bool
    """Whether the labels were made up and describe no real material."""

    @property
    def title(self) -> str:
        """Say what was compared, for tables and figures."""
        made_up = ", synthetic labels" if self.synthetic else ""
        kind = "sites" if self.task.per_site else "crystals"
        return f"{self.task.name}, {self.part} part, {len(self.label):,} {kind}{made_up}"

    def summary(self) -> dict[str, Any]:
        """Give the numbers that ``ecn evaluate --json`` prints."""
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

    def to_pandas(self) -> pd.DataFrame:
        """Give the rows of `compared` as a pandas data frame.

        Returns
        -------
        R rows with the columns of `COMPARED`; labels, predictions, errors and standard deviations are in the
        unit of the target.

        Examples
        --------
        ::

            (evaluation,) = ecn.evaluate("runs/demo-formation_energy-1")
            frame = evaluation.to_pandas()
            frame.loc[frame.error.abs() > 0.5, ["material_id", "formula", "error"]]
        """
        return self.compared.to_pandas()

    def worst(self, n: int = 5) -> pa.Table:
        """Give the `n` rows of `compared` with the largest absolute errors, the largest first."""
        order = np.argsort(-np.abs(self.compared["error"].to_numpy()), kind="stable")[:n]
        return self.compared.take(pa.array(order))

    @cached_property
    def groups(self) -> dict[str, pa.Table]:
        """Count and mean absolute error by crystal system, by size and by element.

        Returns
        -------
        By "crystal system", "size" and "element" a table with the columns ``group``, ``n`` and ``mae`` (in
        the unit of the target), without empty groups. A crystal counts once for each of its elements. Systems
        and sizes are in their own order, elements by falling error.
        """
        error = np.abs(self.compared["error"].to_numpy())
        size = np.searchsorted(list(SIZES.values()), self.compared["nsites"].to_numpy(), side="right") - 1
        system = pc.index_in(self.compared["crystal_system"], value_set=pa.array(list(CRYSTAL_SYSTEMS)))
        row = lists.owners(lists.lengths(self.atomic_numbers))
        element = lists.flat(self.atomic_numbers)
        pairs = np.unique(np.stack([row, element.astype(np.int64)]), axis=1)
        if self.task.per_site:  # the atom itself, rather than all atoms of its crystal
            own = pc.index_in(self.compared["element"], value_set=pa.array(SYMBOLS)).to_numpy()
            pairs = np.stack([np.arange(len(error)), own])
        by_element = _mean_errors(pairs[1], error[pairs[0]], list(SYMBOLS))
        return {
            "crystal system": _mean_errors(system.to_numpy(), error, list(CRYSTAL_SYSTEMS)),
            "size": _mean_errors(size, error, list(SIZES)),
            "element": by_element.sort_by([("mae", "descending"), ("group", "ascending")]),
        }

    def __repr__(self) -> str:
        metric = "accuracy" if self.task.is_classifier else "mae"
        unit = "" if self.task.is_classifier else f" {self.task.unit}"
        return f"Evaluation({self.title}: {metric.replace('mae', 'MAE')} {self.metrics[metric]:.4g}{unit})"


class Evaluations(tuple[Evaluation, ...]):
    """The evaluations of the targets of a run, in their order; a table in a notebook."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from tabulate import tabulate

        rows = [
            [evaluation.task.name, evaluation.part, len(evaluation.label), name, value, unit]
            for evaluation in self
            for name, value, unit in _headline(evaluation)
        ]
        return str(tabulate(rows, ["target", "part", "n", "metric", "value", "unit"], "html", ".4g"))


def _headline(evaluation: Evaluation) -> Iterator[tuple[str, float | None, str]]:
    """Yield name, value and unit of the metrics of one number each."""
    metrics, unit = evaluation.metrics, evaluation.task.unit
    if evaluation.task.is_classifier:
        yield "accuracy", metrics["accuracy"], ""
        yield "area under the ROC curve", metrics["auc"], ""
        return
    yield "MAE", metrics["mae"], unit
    yield "RMSE", metrics["rmse"], unit
    yield "R2", metrics["r2"], ""


def _mean_errors(group: np.ndarray, error: np.ndarray, names: Sequence[str]) -> pa.Table:
    """Count and average errors (R,) by group (R,), whose numbers are places in `names`."""
    n = np.bincount(group, minlength=len(names))
    mae = np.bincount(group, error, minlength=len(names)) / n.clip(1)
    kept = np.flatnonzero(n)
    return pa.table({"group": [names[int(k)] for k in kept], "n": n[kept], "mae": mae[kept]})


def evaluate(run: Path, part: str = "test", release: Path | None = None, device: str = "cpu") -> Evaluations:
    """Predict a part of the split that a run was trained on, and compare with the labels.

    Parameters
    ----------
    run
        Folder of the run, or of an ensemble: then the mean of its members is compared.
    part
        "train", "validation" or "test", of the split that the run was trained on.
    release
        Another release than the one trained on.
    device
        Name of a torch device.

    Returns
    -------
    An evaluation for every target of the run, with errors in its unit.

    Raises
    ------
    UserError
        If the run, the release or the device cannot be used, the release was built with other bond settings
        than that of the run, or no row has the target.
    """
    require_device(device)
    members = load_members(run)
    saved = members[0]
    if saved.config.fold is not None and part != "test":
        raise UserError(
            f"{run}: trained over folds of the training and validation parts, so only the part test is held "
            "out; the cross-validated error is the last line of its training"
        )
    identity = saved.config.release
    trained_on = Path(identity.path)
    if release is None and not trained_on.exists():
        raise UserError(
            f"{trained_on}: the release of this run is not there any more; name it with --release"
        )
    opened = open_release(release or trained_on)
    require_same_bonds(opened, saved.config.featuriser)
    require_areas(opened, saved.model)
    split = identity.split
    data = load_part(opened, part, saved.goal.tasks, split=split)
    with memory_of(torch.device(device), "evaluate with --device cpu"):
        data = data.to(device)
        outputs = torch.stack([predict(member, data, device) for member in members])  # (members, R, T)
    data = data.to("cpu")
    labels, crystal = data.labels_of(torch.arange(len(data)))
    difference = _difference(opened, split, identity)
    digest = checkpoint.joint_digest(members)
    found = []
    for k, target in enumerate(saved.goal.targets):
        known = ~labels[:, k].isnan()
        label, output, owner = labels[known, k], outputs.mean(0)[known, k], crystal[known]
        metrics = target.task.metrics(output, label, target.train_mean, owner)
        if not target.task.is_classifier:
            metrics["r2"] = _r2(output, label, owner, per_site=target.task.per_site)
        rows, atoms = _compared(opened, data, split, part, target.task, outputs[:, known, k], label, owner)
        found.append(
            Evaluation(
                task=target.task,
                part=part,
                label=label,
                output=output,
                metrics=metrics,
                compared=rows,
                atomic_numbers=atoms,
                n_excluded=data.n_excluded + len(data) - len(owner.unique()),
                release_hash=opened.content_hash,
                difference=difference,
                checkpoint_hash=digest,
                synthetic=opened.manifest.upstream.synthetic,
            )
        )
    return Evaluations(found)


def _difference(release: Release, split: str | None, trained_on: checkpoint.TrainedOn) -> str:
    """Say how a release differs from the one that a run was trained on; empty where it does not."""
    found = {"content_hash": release.content_hash, **split_identity(release, split)}
    if all(getattr(trained_on, name) == value for name, value in found.items()):
        return ""
    name, version = release.manifest.name, release.manifest.release_version
    ours, theirs = f"{name} {version}", f"{trained_on.name} {trained_on.version}"
    if release.content_hash == trained_on.content_hash:
        return f"the split {split!r} of this release is not the one that the run was trained on"
    if name == trained_on.name and version != trained_on.version:
        older = _number(version) < _number(trained_on.version)
        return f"this release ({ours}) is {'older' if older else 'newer'} than the one of the run ({theirs})"
    return f"this release ({ours}) is not the release that the run was trained on ({theirs})"


def _number(version: str) -> tuple[int, ...]:
    """Parse a version such as 1.10.0 so that versions compare as numbers."""
    return tuple(int(part) if part.isdigit() else 0 for part in str(version).split("."))


def _r2(output: Tensor, label: Tensor, crystal: Tensor, *, per_site: bool) -> float | None:
    """Compute the coefficient of determination; None where all labels are equal."""
    if per_site:  # the global sign of a crystal's moments means nothing
        label = signs(output, label, crystal) * label
    error, spread = (output - label).double(), (label - label.mean()).double()
    total = float(spread.square().sum())
    return 1.0 - float(error.square().sum()) / total if total > 0 else None


def _compared(
    release: Release,
    data: Dataset,
    split: str | None,
    part: str,
    task: Task,
    outputs: Tensor,
    label: Tensor,
    crystal: Tensor,
) -> tuple[pa.Table, pa.ListArray]:
    """Line up labels (R,) and the members' outputs (M, R) of a target with what the crystals are."""
    known = release.table(part, _IDENTITY, split=split)
    ids = pa.array(data.material_ids, pa.string())
    of_crystal = pc.index_in(ids, value_set=known["material_id"].combine_chunks())
    identity = known.take(of_crystal).take(pa.array(crystal.numpy()))
    atoms = pa.ListArray.from_arrays(
        pa.array(data.crystals.atom_start.int().numpy()), pa.array(data.crystals.atomic_numbers.numpy())
    )
    site = element = None
    if task.per_site:
        number = np.arange(len(label)) - data.crystals.atom_start.numpy()[crystal.numpy()]
        site = pa.array(number, pa.int64())
        element = pa.array(np.array(SYMBOLS, object)[data.crystals.atomic_numbers.numpy()], pa.string())
        label = signs(outputs.mean(0), label, crystal) * label
    values = task.value(outputs).double()
    prediction = task.value(outputs.mean(0)).double()
    system = np.searchsorted(
        list(CRYSTAL_SYSTEMS.values()), identity["spacegroup_number"].to_numpy(), side="right"
    )
    columns = {
        "material_id": identity["material_id"],
        "formula": identity["reduced_formula"],
        "crystal_system": pa.array(np.array(list(CRYSTAL_SYSTEMS), object)[system - 1], pa.string()),
        "nsites": identity["nsites"].cast(pa.int64()),
        "target": pa.array([task.name] * len(label), pa.string()),
        "unit": pa.array([task.unit] * len(label), pa.string()),
        "site": pa.nulls(len(label), pa.int64()) if site is None else site,
        "element": pa.nulls(len(label), pa.string()) if element is None else element,
        "label": pa.array(label.double().numpy()),
        "prediction": pa.array(prediction.numpy()),
        "error": pa.array((prediction - label).numpy()),
        "standard_deviation": pa.array(values.std(0).numpy())
        if len(outputs) > 1
        else pa.nulls(len(label), pa.float64()),
    }
    table = pa.table([columns[name] for name in COMPARED.names], schema=COMPARED)
    return table, atoms.take(pa.array(crystal.numpy()))


def write_compared(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Write the rows of evaluations to a file, CSV or Parquet by its name.

    Raises
    ------
    UserError
        If the name has neither ending, or is that of something else than a file.
    OSError
        If the file cannot be written.
    """
    rows = pa.concat_tables(evaluation.compared for evaluation in evaluations)
    if path.suffix == ".csv":
        write: Callable[[Path], object] = partial(csv.write_csv, _no_formulas(rows))
    elif path.suffix == ".parquet":
        write = partial(pq.write_table, rows)
    else:
        raise UserError(f"--table {path}: the name of the file must end in .csv or .parquet")
    replace_file(path, write)


def _no_formulas(rows: pa.Table) -> pa.Table:
    """Return rows whose ids no spreadsheet takes for formulas; the other words are our own."""
    ids = pa.array([None if name is None else spreadsheet(name) for name in rows["material_id"].to_pylist()])
    return rows.set_column(
        rows.column_names.index("material_id"), "material_id", ids.cast(rows["material_id"].type)
    )


def predict(saved: checkpoint.Checkpoint, data: Dataset, device: str) -> Tensor:
    """Predict the rows of a dataset with a run, (R, T), on the CPU, in the units of the targets."""
    model = saved.model.to(device)
    edges = max_edges(model, torch.device(device))
    return saved.predict(predict_rows(model, data.crystals, edges, None, data.per_site)).cpu()
