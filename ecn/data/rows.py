"""The rows of a release that tasks are about, with their labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecn.data.batch import CrystalBatch
from ecn.data.tensors import (
    CRYSTAL_COLUMNS,
    CrystalTensors,
    crystal_tensors,
    moved,
    ranges,
    refuse_rows,
)
from ecn.targets.tasks import Task, targets_of
from mpclean.errors import UserError
from mpclean.release.layout import split_table
from mpclean.vocabulary import lists

if TYPE_CHECKING:
    from mpclean.release import Release
    from mpclean.release.reader import RowGroup


@dataclass(frozen=True)
class Dataset:
    """Crystals with their labels."""

    material_ids: list[str]
    """K ids, as in the release."""
    crystals: CrystalTensors
    """K crystals."""
    labels: Tensor
    """(K, T) float32, a column for every task, in its unit, or classes 0 and 1; NaN where there is
    none. Of a task per site (n, 1), a row for every atom."""
    n_excluded: int
    """Rows of the part that have no label, or that no task is about."""
    per_site: bool = False
    """Whether labels are those of atoms."""

    def __len__(self) -> int:
        return len(self.crystals)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Dataset:
        """Return the same rows on another device, and their real numbers in another precision."""
        crystals, labels = self.crystals.to(device, dtype), moved(self.labels, device, dtype)
        return Dataset(self.material_ids, crystals, labels, self.n_excluded, self.per_site)

    def labels_of(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Read the labels of crystals, in their order.

        Parameters
        ----------
        index
            Shape (B,), int64.

        Returns
        -------
        Labels (R, T), a row for every crystal or atom, and the crystal of every row, 0 to B - 1.
        """
        if not self.per_site:
            return self.labels[index], torch.arange(len(index), device=index.device)
        atoms, crystal = ranges(self.crystals.atom_start, index)
        return self.labels[atoms], crystal

    def n_labels(self, index: Tensor) -> Tensor:
        """How many labels crystals have, as a scalar; those of the atoms of a crystal count as one."""
        if self.per_site:
            return torch.tensor(len(index), device=index.device)
        return (~self.labels[index].isnan()).sum()


def rows_of(output: Tensor, batch: CrystalBatch, *, per_site: bool) -> Tensor:
    """Compute the output of a model for a batch in the shape of labels, (R, T); see `Dataset.labels`.

    A model per site has a number for every copy of a node in the cells of the supercell; the row of an
    atom is the mean of its node's.
    """
    if per_site:
        return output.unflatten(0, (batch.n_nodes, -1)).mean(1, keepdim=True)[batch.atom_node]
    return output.unflatten(0, (batch.n_crystals, -1)) if output.ndim == 1 else output


def open_release(path: Path) -> Release:
    """Open a release and verify it: the one place where networks meet what builds releases.

    Raises
    ------
    UserError
        If there is no release at the path, or its files are not those of its manifest.
    """
    from mpclean.release import open_release as open_

    release = open_(path)
    release.require_intact()
    return release


def split_identity(release: Release, split: str | None) -> dict[str, str | None]:
    """Say what tells one split of a release from another: its name, and the SHA-256 of its file.

    Parameters
    ----------
    release
        The release, whose content hash covers the split that it was built with and no other.
    split
        Name of the split; None for the one that the release was built with, which has neither.
    """
    if split is None:
        return {"split": None, "split_sha256": None}
    release.assigned(split)  # refuses a split that is not there
    return {"split": split, "split_sha256": release.manifest.files[split_table(split)].sha256}


@dataclass(frozen=True)
class Rows:
    """The rows of a part that tasks are about: their labels, and where their crystals are to be read."""

    release: Release
    """The release."""
    tasks: tuple[Task, ...]
    """The targets."""
    groups: list[RowGroup]
    """The parts of the files that hold rows, none of them empty."""
    chosen: list[NDArray[np.int64]]
    """Places of the rows in each of the groups, ascending."""
    labels: list[NDArray[np.float64]]
    """Of the rows of each group, as in `Dataset.labels`."""
    n_excluded: int
    """Rows of the part that have no label, or that no task is about."""

    def __len__(self) -> int:
        return sum(map(len, self.chosen))

    @property
    def per_site(self) -> bool:
        """Whether labels are those of atoms."""
        return self.tasks[0].per_site

    def read(self, groups: Iterable[int] | None = None) -> Dataset:
        """Read the rows of some groups, in the order of these, as tensors; all of them by default.

        Raises
        ------
        UserError
            If a row is no graph.
        """
        places = list(range(len(self.groups)) if groups is None else groups)
        columns = ["material_id", *CRYSTAL_COLUMNS]
        table = pa.concat_tables(self.groups[k].read(columns).take(self.chosen[k]) for k in places)
        crystals = crystal_tensors(table, str(self.release.path))
        labels = torch.from_numpy(np.concatenate([self.labels[k] for k in places]).astype(np.float32))
        if self.per_site and len(labels) != len(crystals.atomic_numbers):
            raise UserError(f"{self.release.path}: {self.tasks[0].column} is not one number for every atom")
        ids = table.column("material_id").to_pylist()
        return Dataset(ids, crystals, labels, self.n_excluded, self.per_site)


def find_rows(
    release: Release,
    part: str,
    tasks: Sequence[Task],
    *,
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Rows:
    """Find the rows of a part that have a label for any of the tasks; their crystals are not read.

    Parameters
    ----------
    release
        The release.
    part
        "train", "validation" or "test".
    tasks
        The targets: rows without any of them are left out and counted.
    split
        Name of the split of the release that `part` belongs to; the one that it was built with
        by default.
    limit
        Keep so many of the rows, drawn at random.
    seed
        Seed of that draw.

    Raises
    ------
    UserError
        If the release has no such split, label or row, or if a label is not finite.
    """
    columns = [*dict.fromkeys(name for task in tasks for name in task.columns)]
    for task in tasks:
        missing = [name for name in task.columns if name not in release.manifest.columns]
        if missing:
            raise UserError(
                f"{release.path}: no column {missing[0]!r}, so no target {task.name!r}; {_numbers(release)}"
            )
    groups = list(release.groups(part, split=split))
    tables = [group.read(["material_id", *columns]) for group in groups]
    n_rows = sum(map(len, tables))
    if n_rows == 0:
        raise UserError(
            f"{release.path}: no rows in the part {part!r}; build it from more records, or with lists that "
            "have some (--split)"
        )
    for task in tasks:
        _require_some(release, tables, task, part)
    # A row with any of the targets is learned from; the labels that it lacks are NaN.
    about = [np.any([_is_about(task, table) for task in tasks], axis=0) for table in tables]
    n = sum(int(rows.sum()) for rows in about)
    if limit is not None and limit < n:
        about = _drawn(about, np.random.default_rng(seed).choice(n, limit, replace=False))
    chosen = [np.flatnonzero(rows) for rows in about]
    read = _site_labels if tasks[0].per_site else _labels
    kept = [table.take(places) for table, places in zip(tables, chosen, strict=True)]
    labels = [read(table, tasks, str(release.path)) for table in kept]
    # A row group of which no row was chosen is not opened again.
    full = [k for k, places in enumerate(chosen) if len(places)]
    return Rows(
        release,
        tuple(tasks),
        [groups[k] for k in full],
        [chosen[k] for k in full],
        [labels[k] for k in full],
        n_rows - n,
    )


def load_part(
    release: Release,
    part: str,
    tasks: Sequence[Task],
    *,
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Read the rows of a part that tasks are about, as tensors; parameters as for `find_rows`.

    Raises
    ------
    UserError
        As of `find_rows`, or if a row is no graph.
    """
    return find_rows(release, part, tasks, split=split, limit=limit, seed=seed).read()


def _require_some(release: Release, tables: Sequence[pa.Table], task: Task, part: str) -> None:
    """Refuse a target that no row of a part has."""
    if not any(table.column(task.column).null_count < len(table) for table in tables):
        raise UserError(
            f"{release.path}: {task.column} is null in every row of the part {part!r}; {_numbers(release)}"
        )
    if not any(_is_about(task, table).any() for table in tables):
        raise UserError(
            f"{release.path}: {task.rows} is true in no row of the part {part!r}; {_numbers(release)}"
        )


def _numbers(release: Release) -> str:
    """Say what else there is to learn."""
    return f"targets that this release has: {', '.join(targets_of(release))}"


def _is_about(task: Task, table: pa.Table) -> NDArray[np.bool_]:
    """Which rows of a table a task has a label in."""
    about = table.column(task.column).is_valid()
    if task.rows:
        about = pc.and_(about, pc.fill_null(table.column(task.rows), False))
    return about.to_numpy()


def _drawn(about: Sequence[NDArray[np.bool_]], draw: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    """Of rows that are marked in several tables, those that were drawn by their numbers."""
    marked = np.concatenate(about)
    kept = np.zeros_like(marked)
    kept[np.flatnonzero(marked)[draw]] = True
    return np.split(kept, np.cumsum([len(rows) for rows in about])[:-1])


def _labels(table: pa.Table, tasks: Sequence[Task], origin: str) -> NDArray[np.float64]:
    """Read the labels of rows, (K, T)."""
    labels = np.full((len(table), len(tasks)), np.nan)
    for k, task in enumerate(tasks):
        about = _is_about(task, table)
        # As NaN, a null could not be told from a label that is no number, which is refused.
        label = pc.fill_null(table.column(task.column).cast(pa.float64()), 0.0).to_numpy()
        refuse_rows(about & ~np.isfinite(label), table, f"{origin}: {task.column} is no finite number")
        labels[about, k] = (1.0 - label if task.negated else label)[about]
    return labels


def _site_labels(table: pa.Table, tasks: Sequence[Task], origin: str) -> NDArray[np.float64]:
    """Read the labels of the atoms of rows, (n, 1)."""
    column = table.column(tasks[0].column)
    values = lists.flat(column)
    bad = lists.any_in_row(~np.isfinite(values), lists.lengths(column))
    refuse_rows(bad, table, f"{origin}: {tasks[0].column} is no finite number")
    return values.astype(np.float64)[:, None]
