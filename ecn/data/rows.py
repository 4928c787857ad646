"""A release as flat tensors, and batches of it by index.

Crystals lie one after another in a few long tensors, with offsets to where each begins, and a
batch is gathered by tensor operations on the device: there is no Python object per crystal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecn.data.batch import CrystalBatch
from ecn.models.features import N_ELEMENTS
from ecn.targets.tasks import Task
from mpclean.crystal.bravais import BRAVAIS_TYPES
from mpclean.errors import UserError
from mpclean.release.layout import split_table
from mpclean.vocabulary.checks import require
from mpclean.vocabulary.schema import schema

if TYPE_CHECKING:
    from mpclean.crystal.bonding import BondGraph
    from mpclean.crystal.cells import PrimitiveCell
    from mpclean.release import Release
    from mpclean.release.reader import RowGroup

_LIST_COLUMNS = (
    *("atomic_numbers", "frac_coords", "lattice"),
    *("edge_source", "edge_target", "edge_image", "edge_length"),
)
_COLUMNS = (*_LIST_COLUMNS, "bravais_lattice", "is_hubbard")


@dataclass(frozen=True, kw_only=True)
class CrystalTensors:
    """K crystals with n atoms and E directed bonds in all.

    Crystal k has the atoms ``atom_start[k]`` to ``atom_start[k + 1]``, its bonds likewise.
    """

    atom_start: Tensor
    """(K + 1,) int64."""
    edge_start: Tensor
    """(K + 1,) int64."""
    atomic_numbers: Tensor
    """(n,) uint8."""
    edge_source: Tensor
    """(E,) int16, numbered from 0 in every crystal."""
    edge_target: Tensor
    """(E,) int16, numbered from 0 in every crystal."""
    edge_image: Tensor
    """(E, 3) int8, unit cell of the target relative to the source's."""
    edge_length: Tensor
    """(E,) float32, in A."""
    lattice: Tensor
    """(K, 3, 3) float32, rows a1, a2, a3, in A."""
    frac_coords: Tensor
    """(n, 3) float32."""
    bravais_lattice: Tensor
    """(K,) uint8, place in `mpclean.crystal.bravais.BRAVAIS_TYPES`."""
    is_hubbard: Tensor
    """(K,) int8, -1 where it is not known."""

    def __len__(self) -> int:
        return len(self.atom_start) - 1

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> CrystalTensors:
        """The same crystals on another device, and their real numbers in another precision."""
        return CrystalTensors(**{f.name: _moved(getattr(self, f.name), device, dtype) for f in fields(self)})

    def batch(self, index: Tensor) -> CrystalBatch:
        """Gather crystals.

        Parameters
        ----------
        index
            Shape (B,), int64, on the device of the tensors; in the order wanted.
        """
        atoms, crystal = _ranges(self.atom_start, index)
        edges, edge_crystal = _ranges(self.edge_start, index)
        sizes = self.atom_start[index + 1] - self.atom_start[index]
        first_atom = (torch.cumsum(sizes, 0) - sizes)[edge_crystal]
        return CrystalBatch(
            atomic_numbers=self.atomic_numbers[atoms].long(),
            crystal=crystal,
            edge_source=self.edge_source[edges] + first_atom,
            edge_target=self.edge_target[edges] + first_atom,
            edge_image=self.edge_image[edges],
            edge_length=self.edge_length[edges],
            lattice=self.lattice[index],
            frac_coords=self.frac_coords[atoms],
            bravais_lattice=self.bravais_lattice[index].long(),
            is_hubbard=self.is_hubbard[index],
            n_crystals=len(index),
        )

    def passes(self, index: Tensor, max_edges: int) -> list[Tensor]:
        """Split a batch into consecutive parts of nearly equal numbers of bonds and atoms.

        Parameters
        ----------
        index
            Shape (B,), int64.
        max_edges
            Bonds and atoms that a part should have at most; a crystal is never split.

        Returns
        -------
        Parts of `index`, none of them empty.
        """
        work = self._work(index)
        end = torch.cumsum(work, 0)
        total = int(end[-1])
        n_parts = -(-total // max_edges)
        part = (2 * end - work) * n_parts // (2 * total)  # by the middle of a crystal's share
        counts = torch.bincount(part, minlength=n_parts).tolist()
        return [p for p in torch.split(index, counts) if len(p)]

    def fill(self, index: Tensor, max_edges: int) -> Iterator[Tensor]:
        """Split crystals into consecutive batches, each filled up to a number of bonds and atoms.

        Parameters
        ----------
        index
            Shape (B,), int64.
        max_edges
            Bonds and atoms of a batch at most; a crystal that has more is a batch of its own.

        Yields
        ------
        Parts of `index`, none of them empty.
        """
        end = torch.cumsum(self._work(index), 0).cpu().numpy()
        start = 0
        while start < len(index):
            before = end[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(end, before + max_edges, side="right")))
            yield index[start:stop]
            start = stop

    def _work(self, index: Tensor) -> Tensor:
        """Bonds and atoms of crystals: what their passes cost."""
        starts = self.atom_start + self.edge_start
        return starts[index + 1] - starts[index]


def _moved(tensor: Tensor, device: torch.device | str, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(device, dtype if tensor.is_floating_point() else None)


def _ranges(start: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The places ``start[k]`` to ``start[k + 1]`` for every k of an index, and whose they are."""
    lengths = start[index + 1] - start[index]
    owner = torch.repeat_interleave(torch.arange(len(index), device=index.device), lengths)
    first = torch.cumsum(lengths, 0) - lengths
    return torch.arange(len(owner), device=index.device) + (start[index] - first)[owner], owner


def crystal_tensors(table: pa.Table, origin: str) -> CrystalTensors:
    """Rows of a release as flat tensors, straight from the buffers of the Arrow lists.

    Parameters
    ----------
    table
        With the columns of atoms and bonds of a release.
    origin
        What the rows are read from, for messages.

    Raises
    ------
    UserError
        If the rows are not what the schema says (lists of different lengths, a bond to an atom that
        its crystal does not have, ...), or of an element beyond `N_ELEMENTS`.
    """
    names = ["material_id", *_COLUMNS]
    require(table.select(names), schema(*names), origin)
    flat = {name: pc.list_flatten(table.column(name)).to_numpy() for name in _LIST_COLUMNS}
    n_atoms, n_edges = (_lengths(table.column(name)) for name in ("atomic_numbers", "edge_source"))
    beyond = flat["atomic_numbers"] > N_ELEMENTS
    _refuse(_any_per_row(beyond, n_atoms), table, f"{origin}: an element outside H to Lr")
    bravais = pc.index_in(table.column("bravais_lattice"), value_set=pa.array(BRAVAIS_TYPES))
    hubbard = pc.fill_null(table.column("is_hubbard").cast(pa.int8()), -1)
    return CrystalTensors(
        atom_start=_starts(n_atoms),
        edge_start=_starts(n_edges),
        atomic_numbers=torch.from_numpy(flat["atomic_numbers"].astype(np.uint8)),
        edge_source=torch.from_numpy(flat["edge_source"].astype(np.int16)),
        edge_target=torch.from_numpy(flat["edge_target"].astype(np.int16)),
        edge_image=torch.from_numpy(flat["edge_image"].astype(np.int8).reshape(-1, 3)),
        edge_length=torch.from_numpy(flat["edge_length"].astype(np.float32)),
        lattice=torch.from_numpy(flat["lattice"].astype(np.float32).reshape(-1, 3, 3)),
        frac_coords=torch.from_numpy(flat["frac_coords"].astype(np.float32).reshape(-1, 3)),
        bravais_lattice=torch.from_numpy(bravais.to_numpy().astype(np.uint8)),
        is_hubbard=torch.from_numpy(hubbard.to_numpy().astype(np.int8)),
    )


def cell_tensors(cells: Sequence[tuple[PrimitiveCell, BondGraph]]) -> CrystalTensors:
    """Canonical cells with their bonds, from structures rather than from a release.

    Parameters
    ----------
    cells
        At least one cell and its bonds. Whether Hubbard U was used is not known of them.
    """
    crystals, graphs = [cell.crystal for cell, _ in cells], [graph for _, graph in cells]

    def starts(parts: list[Any]) -> Tensor:
        return torch.from_numpy(np.cumsum([0, *map(len, parts)], dtype=np.int64))

    def joined(parts: list[Any], dtype: Any) -> Tensor:
        return torch.from_numpy(np.concatenate(parts).astype(dtype))

    types = [BRAVAIS_TYPES.index(cell.bravais_lattice) for cell, _ in cells]
    return CrystalTensors(
        atom_start=starts([c.atomic_numbers for c in crystals]),
        edge_start=starts([g.source for g in graphs]),
        atomic_numbers=joined([c.atomic_numbers for c in crystals], np.uint8),
        edge_source=joined([g.source for g in graphs], np.int16),
        edge_target=joined([g.target for g in graphs], np.int16),
        edge_image=joined([g.image for g in graphs], np.int8),
        edge_length=joined([g.length for g in graphs], np.float32),
        lattice=joined([c.lattice[None] for c in crystals], np.float32),
        frac_coords=joined([c.frac_coords for c in crystals], np.float32),
        bravais_lattice=torch.tensor(types, dtype=torch.uint8),
        is_hubbard=torch.full((len(cells),), -1, dtype=torch.int8),
    )


def _lengths(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """The length of every list of a column."""
    return pc.list_value_length(column).to_numpy().astype(np.int64)


def _starts(lengths: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def _any_per_row(flags: NDArray[np.bool_], lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    rows = np.repeat(np.arange(len(lengths)), lengths)
    return np.bincount(rows[flags], minlength=len(lengths)) > 0


def _refuse(bad: NDArray[np.bool_], table: pa.Table, problem: str) -> None:
    if bad.any():
        first = table.column("material_id")[int(np.argmax(bad))].as_py()
        raise UserError(
            f"{problem} ({int(bad.sum())} rows, first {first}); mend the source, or leave them out of it, "
            "and build again"
        )


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
    n_left_out: int
    """Rows of the part that have no label, or that no task is about."""
    per_site: bool = False
    """Whether labels are those of atoms."""

    def __len__(self) -> int:
        return len(self.crystals)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Dataset:
        """The same rows on another device, and their real numbers in another precision."""
        crystals, labels = self.crystals.to(device, dtype), _moved(self.labels, device, dtype)
        return Dataset(self.material_ids, crystals, labels, self.n_left_out, self.per_site)

    def labels_of(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The labels of crystals, in their order.

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
        atoms, crystal = _ranges(self.crystals.atom_start, index)
        return self.labels[atoms], crystal

    def n_labels(self, index: Tensor) -> Tensor:
        """How many labels crystals have, as a scalar; those of the atoms of a crystal count as one."""
        if self.per_site:
            return torch.tensor(len(index), device=index.device)
        return (~self.labels[index].isnan()).sum()


def rows_of(output: Tensor, batch: CrystalBatch, *, per_site: bool) -> Tensor:
    """The output of a model for a batch in the shape of labels, (R, T); see `Dataset.labels`.

    A model per site has a number for every copy of an atom in the cells of the supercell; the row of the
    atom is their mean.
    """
    if per_site:
        return output.unflatten(0, (batch.n_atoms, -1)).mean(1, keepdim=True)
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
    """What tells one split of a release from another: its name, and the SHA-256 of its file.

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
    return {"split": split, "split_sha256": release.manifest["files"][split_table(split)]["sha256"]}


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
    n_left_out: int
    """Rows of the part that have no label, or that no task is about."""

    def __len__(self) -> int:
        return sum(map(len, self.chosen))

    @property
    def per_site(self) -> bool:
        """Whether labels are those of atoms."""
        return self.tasks[0].per_site

    def read(self, groups: Iterable[int] | None = None) -> Dataset:
        """The rows of some groups, in the order of these, as tensors; all of them by default.

        Raises
        ------
        UserError
            If a row is no graph.
        """
        places = list(range(len(self.groups)) if groups is None else groups)
        columns = ["material_id", *_COLUMNS]
        table = pa.concat_tables(self.groups[k].read(columns).take(self.chosen[k]) for k in places)
        crystals = crystal_tensors(table, str(self.release.path))
        labels = torch.from_numpy(np.concatenate([self.labels[k] for k in places]).astype(np.float32))
        if self.per_site and len(labels) != len(crystals.atomic_numbers):
            raise UserError(f"{self.release.path}: {self.tasks[0].column} is not one number for every atom")
        ids = table.column("material_id").to_pylist()
        return Dataset(ids, crystals, labels, self.n_left_out, self.per_site)


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
        missing = [name for name in task.columns if name not in release.manifest["columns"]]
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
    about = [np.any([_is_about(task, table) for task in tasks], axis=0) for table in tables]
    n = sum(int(rows.sum()) for rows in about)
    if limit is not None and limit < n:
        about = _drawn(about, np.random.default_rng(seed).choice(n, limit, replace=False))
    chosen = [np.flatnonzero(rows) for rows in about]
    read = _site_labels if tasks[0].per_site else _labels
    kept = [table.take(places) for table, places in zip(tables, chosen, strict=True)]
    labels = [read(table, tasks, str(release.path)) for table in kept]
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
    """What else there is to learn."""
    return f"numbers that this release has: {', '.join(release.manifest.get('statistics', {})) or 'none'}"


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
    """The labels of rows, (K, T)."""
    labels = np.full((len(table), len(tasks)), np.nan)
    for k, task in enumerate(tasks):
        about = _is_about(task, table)
        label = pc.fill_null(table.column(task.column).cast(pa.float64()), 0.0).to_numpy()
        _refuse(about & ~np.isfinite(label), table, f"{origin}: {task.column} is no finite number")
        labels[about, k] = (1.0 - label if task.negated else label)[about]
    return labels


def _site_labels(table: pa.Table, tasks: Sequence[Task], origin: str) -> NDArray[np.float64]:
    """The labels of the atoms of rows, (n, 1)."""
    column = table.column(tasks[0].column)
    values = pc.list_flatten(column).to_numpy()
    bad = _any_per_row(~np.isfinite(values), _lengths(column))
    _refuse(bad, table, f"{origin}: {tasks[0].column} is no finite number")
    return values.astype(np.float64)[:, None]
