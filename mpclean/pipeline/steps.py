"""The work on crystals, a batch at a time, as it runs in the worker processes.

Three passes, because duplicates leave before bonds are worth finding:

1. `prepare`: documents become records in their primitive cell, with space groups.
2. `match`: records of equal formula and space group are compared in structure.
3. `bond`: survivors get their canonical cell, their bond graph and its topology.

A pass is a function of what it is given, which need not be on the machine that asked for it:
files are written by who asked (`mpclean.pipeline.passes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.crystal.bonding import (
    BondGraph,
    MissingRadiusError,
    TessellationError,
    bond_graph,
    radius_graph,
    topology,
)
from mpclean.crystal.cells import (
    PrimitiveCell,
    SymmetryError,
    canonical_cell,
    primitive_cell,
    spacegroup_number,
)
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.formula import formula, reduced_formula
from mpclean.crystal.similarity.matching import first_equals
from mpclean.sources.documents import read_documents
from mpclean.vocabulary import lists
from mpclean.vocabulary.schema import BONDED, COLUMNS, MATCHES, PREPARED

_CELL = ("lattice", "atomic_numbers", "frac_coords", "magnetic_moments")
_FOUND = (*_CELL, "cell_formula", "reduced_formula", "nsites", "bravais_lattice", "spacegroup_computed")
_ROUNDED = ("edge_length", "edge_area")


@dataclass(frozen=True)
class Bonds:
    """How bonds are found.

    Attributes
    ----------
    kind
        ``voronoi`` (`mpclean.crystal.bonding.bond_graph`) or ``radius`` (`radius_graph`).
    min_area
        Smallest face that makes a bond, A^2 (voronoi).
    cutoff
        Longest edge, A (radius).
    """

    kind: str
    min_area: float
    cutoff: float

    def graph(self, crystal: Crystal) -> BondGraph:
        """Find the bond graph of a crystal.

        Raises
        ------
        MissingRadiusError, TessellationError
            As the two functions do; also if images do not fit into the release's integers.
        """
        if self.kind == "radius":
            graph = radius_graph(crystal, self.cutoff)
        else:
            graph = bond_graph(crystal, self.min_area)
        farthest = int(np.abs(graph.image).max(initial=0))
        if farthest > np.iinfo(np.int8).max:
            raise TessellationError(f"a bond reaches {farthest} cells away")
        return graph


@dataclass(frozen=True)
class PrepareTask:
    """A batch of documents, the position of its first one, and the names of the labels asked for."""

    documents: pa.RecordBatch
    position: int
    labels: tuple[str, ...] = ()

    def parts(self) -> list[PrepareTask]:
        """Return the same work as tasks of one record each."""
        return [
            PrepareTask(self.documents.slice(row, 1), self.position + row, self.labels)
            for row in range(self.documents.num_rows)
        ]


@dataclass(frozen=True)
class MatchTask:
    """Records to be compared with one another.

    Attributes
    ----------
    prepared
        A batch of `mpclean.vocabulary.schema.MATCHED`: group by group of equal formula and space group, each
        from the lowest in energy up.
    sizes
        (G,) records of each group.
    """

    prepared: pa.RecordBatch
    sizes: NDArray[np.int64]

    def groups(self) -> list[MatchTask]:
        """Return the same work as tasks of one group each."""
        begins = lists.begins(self.sizes)
        return [
            MatchTask(self.prepared.slice(begin, size), np.array([size]))
            for begin, size in zip(begins.tolist(), self.sizes.tolist(), strict=True)
        ]


@dataclass(frozen=True)
class BondTask:
    """Rows of a batch that `prepare` made, those that survived, and how bonds are found."""

    prepared: pa.RecordBatch
    bonds: Bonds

    def parts(self) -> list[BondTask]:
        """Return the same work as tasks of one record each."""
        return [replace(self, prepared=self.prepared.slice(row, 1)) for row in range(self.prepared.num_rows)]


def prepare(task: PrepareTask) -> pa.RecordBatch:
    """Read a batch of documents and find primitive cells and space groups.

    Returns
    -------
    A batch of `mpclean.vocabulary.schema.PREPARED`, row for row; a record with a reason has no cell.
    """
    records = read_documents(task.documents, task.labels)
    crystals = crystals_of(records.filter(records["reason"].is_null()))
    batch, _ = prepare_records(records, crystals, task.documents["location"].to_pylist(), task.position)
    return batch


def prepare_records(
    records: pa.RecordBatch,
    crystals: Sequence[Crystal],
    location: Sequence[str],
    position: int = 0,
    spacegroups: bool = True,
) -> tuple[pa.RecordBatch, list[PrimitiveCell | None]]:
    """Find primitive cells and space groups of records that have been read.

    Parameters
    ----------
    records
        A batch of `mpclean.vocabulary.schema.RECORD`; its columns of the cell are not looked at.
    crystals
        The crystal of each record without a reason.
    location
        The place of each record in its source.
    position
        Of the first record.
    spacegroups
        Look for space groups, the slowest of all this; without them a record has none.

    Returns
    -------
    batch
        Of `mpclean.vocabulary.schema.PREPARED`, row for row.
    cells
        The primitive cell of each of `crystals`; None where none was found.
    """
    readable = records["reason"].is_null()
    rows = np.nonzero(readable.to_numpy(zero_copy_only=False))[0].tolist()
    cells: list[PrimitiveCell | None] = []
    found: dict[str, list[Any]] = {name: [None] * records.num_rows for name in _FOUND}
    reason, detail = records["reason"].to_pylist(), records["detail"].to_pylist()
    for row, crystal in zip(rows, crystals, strict=True):
        try:
            primitive = primitive_cell(crystal)
        except SymmetryError as error:
            reason[row], detail[row] = "no primitive cell found", f"{location[row]}: {error}"
            cells.append(None)
            continue
        cells.append(primitive)
        cell = primitive.crystal
        name = formula(cell.atomic_numbers)
        found["cell_formula"][row] = name
        found["reduced_formula"][row] = reduced_formula(name)
        found["nsites"][row] = len(cell)
        found["bravais_lattice"][row] = primitive.bravais_lattice
        if spacegroups:
            found["spacegroup_computed"][row] = spacegroup_number(cell, tight=primitive.spacegroup_number)
        found["lattice"][row] = cell.lattice.ravel()
        found["atomic_numbers"][row] = cell.atomic_numbers
        found["frac_coords"][row] = cell.frac_coords.ravel()
        found["magnetic_moments"][row] = cell.magnetic_moments

    columns = {name: records[name] for name in records.schema.names}
    columns |= {name: pa.array(values, COLUMNS[name].type) for name, values in found.items()}
    columns["spacegroup_number"] = pc.coalesce(records["spacegroup_source"], columns["spacegroup_computed"])
    columns["reason"], columns["detail"] = pa.array(reason, pa.string()), pa.array(detail, pa.string())
    if spacegroups:
        nameless = pc.and_(columns["spacegroup_number"].is_null(), columns["reason"].is_null())
        columns["reason"] = pc.if_else(nameless, "no space group found", columns["reason"])
        columns["detail"] = pc.if_else(nameless, pa.array(location, pa.string()), columns["detail"])
    columns["position"] = pa.array(np.arange(position, position + records.num_rows))
    return pa.RecordBatch.from_arrays([columns[name] for name in PREPARED.names], schema=PREPARED), cells


def lost_record(task: PrepareTask, reason: str) -> pa.RecordBatch:
    """Return what `prepare` would return of the one record of a task that could not be finished."""
    row = {"position": task.position, "reason": reason, "detail": task.documents["location"][0].as_py()}
    return pa.RecordBatch.from_pylist([row], schema=PREPARED)


def match(task: MatchTask) -> pa.RecordBatch:
    """Compare the structures of records of equal formula and space group.

    Returns
    -------
    A batch of `mpclean.vocabulary.schema.MATCHES`, row for row.
    """
    crystals = crystals_of(task.prepared)
    place: list[int] = []
    of_the_first: list[bool | None] = []
    for size in task.sizes.tolist():
        begin = len(place)
        first, verdicts = first_equals(crystals[begin : begin + size])
        place += [begin + row for row in first]
        of_the_first += verdicts
    position = task.prepared["position"]
    found = {
        "position": position,
        "structure_class": position.take(pa.array(place, pa.int64())),
        "structures_match": pa.array(of_the_first, pa.bool_()),
    }
    return pa.RecordBatch.from_arrays([found[name] for name in MATCHES.names], schema=MATCHES)


def lost_group(task: MatchTask, reason: str) -> pa.RecordBatch:
    """Return what `match` would of the group of a task that could not be finished: nothing is decided."""
    position = task.prepared["position"]
    undecided = pa.nulls(len(position), pa.bool_())
    return pa.RecordBatch.from_arrays([position, position, undecided], schema=MATCHES)


def bond(task: BondTask) -> pa.RecordBatch:
    """Find canonical cells and bonds of the survivors of one prepared batch.

    Returns
    -------
    A batch of `mpclean.vocabulary.schema.BONDED`, row for row; a crystal with a reason has no bonds.
    """
    prepared = task.prepared
    cells: list[Crystal] = []
    graphs: list[BondGraph] = []
    reason: list[str | None] = []
    detail: list[str | None] = []
    for crystal, bravais_lattice in zip(
        crystals_of(prepared), prepared["bravais_lattice"].to_pylist(), strict=True
    ):
        why: tuple[str | None, str | None] = (None, None)
        try:
            cell = canonical_cell(crystal, bravais_lattice).crystal
            graph = task.bonds.graph(cell)
        except MissingRadiusError as error:
            why = ("no covalent radius", str(error))
        except TessellationError as error:
            why = ("no Voronoi tessellation", str(error))
        else:
            cells.append(cell)
            graphs.append(graph)
        reason.append(why[0])
        detail.append(why[1])

    good = pa.array([r is None for r in reason], pa.bool_())
    rows = prepared.filter(good)
    n_atoms = np.array([len(cell) for cell in cells], dtype=np.int64)
    n_edges = np.array([len(graph.source) for graph in graphs], dtype=np.int64)
    first_atom = np.repeat(lists.begins(n_atoms), n_edges)
    source = _concatenate([graph.source for graph in graphs], (0,))
    target = _concatenate([graph.target for graph in graphs], (0,))
    image = _concatenate([graph.image for graph in graphs], (0, 3))
    length = _concatenate([graph.length for graph in graphs], (0,))
    connected = topology(n_atoms, source + first_atom, target + first_atom, image)

    columns = {name: rows[name] for name in prepared.schema.names}
    columns["lattice"] = _lists("lattice", [cell.lattice.ravel() for cell in cells])
    columns["atomic_numbers"] = _lists("atomic_numbers", [cell.atomic_numbers for cell in cells])
    columns["frac_coords"] = _lists("frac_coords", [cell.frac_coords.ravel() for cell in cells])
    columns["magnetic_moments"] = _lists("magnetic_moments", [cell.magnetic_moments for cell in cells])
    offsets = np.concatenate([[0], np.cumsum(n_edges)])
    edges = {"edge_source": source, "edge_target": target, "edge_image": image.ravel(), "edge_length": length}
    # A build has one kind of bonds: all of its graphs know faces, or none does.
    if areas := [graph.area for graph in graphs if graph.area is not None]:
        edges["edge_area"] = np.concatenate(areas)
    else:
        columns["edge_area"] = pa.nulls(len(cells), COLUMNS["edge_area"].type)
    for name, values in edges.items():
        width = 3 if name == "edge_image" else 1
        item = COLUMNS[name].type.value_type
        columns[name] = pa.ListArray.from_arrays(
            pa.array(offsets * width, pa.int32()), pa.array(values).cast(item, safe=name not in _ROUNDED)
        )
    columns["dimensionality"] = pa.array(connected.dimensionality)
    columns["n_components"] = pa.array(connected.n_components)
    columns["n_isolated"] = pa.array(connected.n_isolated)

    # Crystals without bonds go back to their places, and have nothing but the reason why.
    whole = good.to_numpy(zero_copy_only=False)
    place = pa.array(np.cumsum(whole) - 1, mask=~whole)
    columns = {name: column.take(place) for name, column in columns.items()}
    columns["position"] = prepared["position"]
    columns["reason"], columns["detail"] = pa.array(reason, pa.string()), pa.array(detail, pa.string())
    return pa.RecordBatch.from_arrays([columns[name] for name in BONDED.names], schema=BONDED)


def lost_crystal(task: BondTask, reason: str) -> pa.RecordBatch:
    """Return what `bond` would return of the one crystal of a task that could not be finished."""
    row = {"position": task.prepared["position"][0].as_py(), "reason": reason, "detail": ""}
    return pa.RecordBatch.from_pylist([row], schema=BONDED)


def crystals_of(batch: pa.RecordBatch) -> list[Crystal]:
    """Read the crystals of a batch, whose cell is not null in any row."""
    lattice, atomic_numbers, frac_coords, moments = (lists.rows(batch[name]) for name in _CELL)
    known = batch["magnetic_moments"].is_valid().to_pylist()
    return [
        Crystal(cell.reshape(3, 3), numbers, coords.reshape(-1, 3), moment if has_moments else None)
        for cell, numbers, coords, moment, has_moments in zip(
            lattice, atomic_numbers, frac_coords, moments, known, strict=True
        )
    ]


def _lists(name: str, rows: list[NDArray | None]) -> pa.Array:
    return pa.array(rows, COLUMNS[name].type)


def _concatenate(arrays: list[NDArray], empty: tuple[int, ...]) -> NDArray:
    return np.concatenate(arrays) if arrays else np.zeros(empty, dtype=np.int64)
