"""What differs between two tables of the same records: values, structures, bonds.

Columns are compared whole, and lists of them end to end, so that no loop runs over records.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.vocabulary import lists
from mpclean.vocabulary.schema import COLUMNS

#: Differences up to this are none, by unit: above the last digits of a file and of another machine, below
#: what a new calculation changes. Lengths and moments have more room, since last digits decide which of the
#: cells that a symmetry relates is the canonical one, and that symmetry holds within a tolerance itself:
#: of 1,169 real cells moved by 1e-6 A two then differ by more than 1e-4 A, none by more than 1e-3 A.
TOLERANCES: dict[str, float] = {
    "A": 1e-3,
    "eV": 1e-6,
    "eV/atom": 1e-6,
    "eV per cell": 1e-6,
    "muB": 0.01,
    "muB/atom": 1e-6,
    "": 1e-6,
}

#: The columns of a crystal and of a bond graph, each compared as one.
STRUCTURE = ("lattice", "atomic_numbers", "frac_coords")
BONDS = ("edge_source", "edge_target", "edge_image", "edge_length")


def differing(a: pa.Table, b: pa.Table, tolerance: Mapping[str, float]) -> dict[str, pa.Table]:
    """Say what differs between two tables.

    Parameters
    ----------
    a, b
        The same N records in the same order, with ``material_id`` and columns of the vocabulary;
        those that both have are compared.
    tolerance
        By unit, as `TOLERANCES`.

    Returns
    -------
    For each column ``material_id, a, b`` of the records where it differs; for ``structure`` and
    ``magnetic_moments`` their ``difference``, the longest way of an atom or a cell vector (A) and the
    largest change of a moment (muB); for ``bonds`` their numbers ``a, b`` and the largest
    ``difference`` of lengths (A). A difference is null where there is none to state: other atoms,
    another number of moments, bonds between other atoms.
    """
    shared = [name for name in a.column_names if name in b.column_names and name != "material_id"]
    ids = a["material_id"]
    found = {}
    for name in shared:
        if not pa.types.is_list(a[name].type):
            unit = COLUMNS[name].unit if name in COLUMNS else ""  # of one's own only equal values are equal
            differs = unequal(a[name], b[name], tolerance[unit])
            found[name] = pa.table([ids, a[name], b[name]], names=["material_id", "a", "b"]).filter(differs)
    if "magnetic_moments" in shared:
        change = _list_difference(a["magnetic_moments"], b["magnetic_moments"])
        found["magnetic_moments"] = _beyond(ids, change, tolerance["muB"])
    if set(STRUCTURE) <= set(shared):
        found["structure"] = _beyond(ids, displacement(a, b), tolerance["A"])
    if set(BONDS) <= set(shared):
        numbers = [pc.divide(pc.list_value_length(table["edge_source"]), 2) for table in (a, b)]
        found["bonds"] = _beyond(ids, _bond_difference(a, b), tolerance["A"], *numbers)
    return {name: table for name, table in found.items() if table.num_rows}


def unequal(a: pa.ChunkedArray, b: pa.ChunkedArray, tolerance: float) -> pa.ChunkedArray:
    """(N,) true where two columns differ: numbers by more than the tolerance, null from any value."""
    if pa.types.is_floating(a.type):
        away = pc.greater(pc.abs(pc.subtract(a, b)), tolerance)
        # Not a number is greater than nothing, and equals another one here.
        differs = pc.or_(away, pc.not_equal(pc.is_nan(a), pc.is_nan(b)))
    else:
        differs = pc.not_equal(a, b)
    return pc.fill_null(differs, pc.not_equal(a.is_valid(), b.is_valid()))


def displacement(a: pa.Table, b: pa.Table) -> NDArray[np.float64]:
    """(N,) longest way, A, that an atom or a cell vector of a canonical cell has gone.

    Infinite where the atoms are others. Atoms go to the nearest image, in the cell of `a`.
    """
    same = _list_difference(a["atomic_numbers"], b["atomic_numbers"]) == 0
    way = np.full(len(same), np.inf)
    a, b = (table.filter(pa.array(same)) for table in (a, b))
    n_atoms = lists.lengths(a["atomic_numbers"])
    cells, others = (lists.flat(table["lattice"]).reshape(-1, 3, 3) for table in (a, b))
    moved = (lists.flat(b["frac_coords"]) - lists.flat(a["frac_coords"])).reshape(-1, 3)
    moved -= np.rint(moved)
    steps = np.linalg.norm(np.einsum("ni,nij->nj", moved, np.repeat(cells, n_atoms, axis=0)), axis=1)
    vectors = np.linalg.norm(cells - others, axis=2).max(axis=1, initial=0.0)
    way[same] = np.maximum(vectors, _largest(steps, n_atoms))
    return way


def _bond_difference(a: pa.Table, b: pa.Table) -> NDArray[np.float64]:
    """(N,) largest difference of lengths, A, of bonds in their one order; infinite between other atoms."""
    ends = [_list_difference(a[name], b[name]) for name in BONDS[:3]]
    lengths = _list_difference(a["edge_length"], b["edge_length"])
    return np.where(np.max(ends, axis=0) > 0, np.inf, lengths)


def _list_difference(a: pa.ChunkedArray, b: pa.ChunkedArray) -> NDArray[np.float64]:
    """(N,) largest difference of two columns of lists; infinite where there is no list, or a longer one."""
    lengths = [pc.fill_null(pc.list_value_length(column), -1).to_numpy() for column in (a, b)]
    alike = lengths[0] == lengths[1]
    difference = np.where(alike, 0.0, np.inf)
    first, second = (lists.flat(column.filter(pa.array(alike))).astype(np.float64) for column in (a, b))
    with np.errstate(invalid="ignore"):  # what is no number differs from everything but itself
        change = np.where(first == second, 0.0, np.abs(first - second))
    change[np.isnan(first) != np.isnan(second)] = np.inf
    difference[alike] = _largest(np.nan_to_num(change, nan=0.0, posinf=np.inf), lengths[0][alike])
    return difference


def _largest(values: NDArray[np.float64], lengths: NDArray[np.integer]) -> NDArray[np.float64]:
    """(K,) largest of the consecutive values of each row, 0 of none."""
    lengths = np.maximum(lengths, 0)
    largest = np.zeros(len(lengths))
    np.maximum.at(largest, lists.owners(lengths), values)
    return largest


def _beyond(
    ids: pa.ChunkedArray,
    difference: NDArray[np.float64],
    tolerance: float,
    a: pa.ChunkedArray | None = None,
    b: pa.ChunkedArray | None = None,
) -> pa.Table:
    columns = {"material_id": ids, "a": a, "b": b}
    columns["difference"] = pa.array(difference, mask=np.isinf(difference))
    table = pa.table({name: column for name, column in columns.items() if column is not None})
    return table.filter(pa.array(difference > tolerance))
