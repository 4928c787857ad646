"""One fixed primitive cell per crystal, however its source happened to write it.

Sharing patterns on a supercell, and with them the predictions of a network, are tied to
the basis of the cell, to the images in which its atoms are written and to their order. So
each of these is fixed:

1. *Lattice*: the primitive lattice at a tight tolerance, without moving an atom.
2. *Basis*: the primitive basis of the crystal's Bravais type (`mpclean.crystal.bravais`). Of all
   such bases the one with the smallest metric: shortest vectors first, then the most obtuse
   angles. For aP that is a Buerger-reduced cell; for oP it orders a <= b <= c.
3. *Origin*: an atom of the rarest element.
4. *Ties*: bases with the same metric (the proper operations of the lattice) and atoms of the
   rarest element are all tried; the one whose sorted list of atoms comes first wins.

What steps 2 to 4 leave open are operations of the crystal's own symmetry, which change
nothing. Handedness is kept: the two mirror images of a chiral crystal, 7 % of all, have different
cells. They are different crystals (often of different space groups, as P4_1 and P4_3), a source says
which one it means, and a network on the cell may tell them apart although their energies are equal; a
cell in common would be that of neither. Where the tolerance of step 1 decides about the lattice, a crystal
that differs hardly at all has another cell: `pearson_symbols` tells.

No last bit of a cell depends on the processor (`mpclean.crystal.linear`), nor does a choice between cells.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import product

import moyopy
import numpy as np
import spglib
from numpy.typing import NDArray

from mpclean.crystal.bravais import IntMatrix, point_group, primitive_basis
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.linear import determinant, inverse, matmul, standard_orientation

#: Tolerance with which the primitive cell and the Bravais type are found, A.
CELL_TOLERANCE = 0.01

#: Tolerance with which the space group is found, A: that of the Materials Project.
SPACEGROUP_TOLERANCE = 0.1

# The share of a tolerance by which a shear must change a length, twice of where a search was seen not to end.
_SHEARED = 0.2

# The first tetragonal space group.
_HIGH_SYMMETRY = 75

# Coordinates in files are short decimals, and so are sums and differences of them. What decides
# by a limit or on a grid would meet them exactly there, where rounding tells the sides apart, so
# every limit has this factor, the square root of 5 less one: no decimal is a multiple of it.
_IRRATIONAL = 5.0**0.5 - 1.0

#: Difference below which two metrics count as equal, in units of their trace. Like the next one
#: it is wide enough for the last digits of a file, and far below `CELL_TOLERANCE`.
METRIC_TOLERANCE = 1e-4 * _IRRATIONAL

#: Coordinates within this of 1 are written as the atom at 0, slightly negative.
IMAGE_TOLERANCE = 1e-3 * _IRRATIONAL

#: Moments of atoms that fold onto one primitive atom may differ by this, muB.
MOMENT_TOLERANCE = 0.1

# Atoms are compared on a grid of this many steps; the shift keeps the simple fractions that
# crystals are made of, and all decimals, away from the rounding boundaries.
_GRID = 10_000
_GRID_SHIFT = _IRRATIONAL - 1.0

# The last comparison: A^2 for metrics, cell vectors for coordinates. Rounding stays below it.
_FINEST = 1e-8

# What both report changes no crystal: moyopy logs inputs that are not primitive, and atoms that it moves far
# to idealise positions that are not used here; spglib writes a tolerance that it lowers to standard error,
# and finds the number at that one, as for the Materials Project.
logging.getLogger("moyo").setLevel(logging.ERROR)
os.environ.setdefault("SPGLIB_WARNING", "OFF")


class SymmetryError(Exception):
    """The symmetry search failed: atoms overlap, or the cell is degenerate."""


@dataclass(frozen=True)
class PrimitiveCell:
    """A primitive cell in a basis of its Bravais type.

    Attributes
    ----------
    crystal
        The cell.
    bravais_lattice
        Bravais type of the crystal, aP to cF.
    spacegroup_number
        International number at the tolerance of the cell; None where it was not looked for.
    pearson_symbol
        Bravais type and number of atoms in the conventional cell, as ``tP5``, at that tolerance; likewise.
    """

    crystal: Crystal
    bravais_lattice: str
    spacegroup_number: int | None = None
    pearson_symbol: str | None = None


def primitive_cell(crystal: Crystal, tolerance: float = CELL_TOLERANCE) -> PrimitiveCell:
    """Find a primitive cell of a crystal in a basis of its Bravais type.

    Atoms that fold onto one another are averaged over the at most `tolerance` by which they
    differ; nothing else moves. The choice among equivalent bases, origins and orders is
    left to `canonical_cell`.

    Parameters
    ----------
    crystal
        Any cell.
    tolerance
        Distance up to which atoms count as equivalent, A.

    Raises
    ------
    SymmetryError
        If the symmetry search fails.
    """
    symmetry = _symmetry(crystal, tolerance)
    pearson_symbol = symmetry.pearson_symbol.replace("S", "C")  # S: one face, whichever it is
    bravais_lattice = pearson_symbol[:2]
    conventional = matmul(np.array(symmetry.std_linear).T, crystal.lattice)
    if 38 <= symmetry.number <= 41:  # the A-centred groups: rename the axes so that C is centred
        conventional = conventional[[1, 2, 0]]
    basis = matmul(primitive_basis(bravais_lattice), conventional)
    if determinant(basis) < 0:  # inversion belongs to every lattice; handedness must stay
        basis = -basis
    cell = _fold(crystal, basis, 4.0 * tolerance)
    return PrimitiveCell(cell, bravais_lattice, int(symmetry.number), pearson_symbol)


def pearson_symbols(
    crystal: Crystal, tolerance: float = CELL_TOLERANCE, known: str | None = None
) -> tuple[str, ...]:
    """Find the Pearson symbols that a crystal has from half to twice the tolerance.

    More than one says that its Bravais type, or how many atoms its primitive cell has, is in
    doubt: a slightly different tolerance, or slightly different coordinates, give another
    canonical cell, and with it another prediction of a network that knows cells. A crystal
    further than twice the tolerance from a higher symmetry, and closer than half of it to its
    own, has one.

    Parameters
    ----------
    crystal
        Any cell.
    tolerance
        Distance up to which atoms count as equivalent, A.
    known
        The symbol at the tolerance itself, where `primitive_cell` has found it already.

    Returns
    -------
    Bravais type and number of atoms in the conventional cell, as ``tP5``; from the tight
    tolerance to the loose one, each once. Types are those of `primitive_cell`. A tolerance at
    which the symmetry search fails, since atoms are too close for it, has none.
    """
    symbols: dict[str, None] = {}
    for factor in (0.5, 1.0, 2.0):
        if factor == 1.0 and known is not None:
            symbols[known] = None
            continue
        with suppress(SymmetryError):
            symbols[_symmetry(crystal, factor * tolerance).pearson_symbol.replace("S", "C")] = None
    return tuple(symbols)


def _symmetry(crystal: Crystal, tolerance: float) -> moyopy.MoyoDataset:
    """Find the symmetry of a crystal; what differs by exactly the tolerance is within it.

    Raises
    ------
    SymmetryError
        If the search fails, or the cell is so long and thin that it would not end.
    """
    _require_no_shears(crystal.lattice, tolerance)
    cell = moyopy.Cell(
        crystal.lattice.tolist(), crystal.frac_coords.tolist(), crystal.atomic_numbers.tolist()
    )
    within = tolerance * (1.0 + 1e-6)  # or rounding would decide about a cell of 4.00, 4.00, 4.01 A
    try:
        return moyopy.MoyoDataset(cell, symprec=within, setting=moyopy.Setting.spglib())
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of Rust is no Exception
        raise SymmetryError(str(error)) from error


def _require_no_shears(lattice: NDArray[np.float64], tolerance: float) -> None:
    """Refuse a cell whose shears are symmetries within the tolerance.

    A shear that adds the shortest vector c to the longest one a makes this longer by c^2 / 2a. Shears are a
    group without an end, and moyo looks for all of it: where that is less than a tenth of the tolerance.

    Raises
    ------
    SymmetryError
        If it is less than `_SHEARED` of it.
    """
    width = np.linalg.svd(lattice, compute_uv=False)  # no shortest vector is shorter, no longest one longer
    if width[-1] ** 2 > 2.0 * _SHEARED * tolerance * width[0]:
        return
    from pymatgen.core import Lattice  # hardly a cell comes here

    lengths = Lattice(lattice).get_lll_reduced_lattice().lengths
    shortest, longest = min(lengths), max(lengths)
    if shortest**2 < 2.0 * _SHEARED * tolerance * longest:
        raise SymmetryError(f"a cell of {longest:.4g} A by {shortest:.3g} A is too long and thin")


def _fold(crystal: Crystal, basis: NDArray[np.float64], tolerance: float) -> Crystal:
    """Rewrite a crystal in a basis of a finer or equal lattice, atoms that coincide merged.

    Raises
    ------
    SymmetryError
        If the atoms do not fall into groups of the size that the volumes ask for.
    """
    frac_coords = matmul(crystal.frac_coords, matmul(crystal.lattice, inverse(basis)))
    multiplicity = round(crystal.volume / abs(float(determinant(basis))))
    if multiplicity == 1:
        return Crystal(basis, crystal.atomic_numbers, frac_coords, crystal.magnetic_moments)
    difference = frac_coords[:, None] - frac_coords[None]
    cells = np.rint(difference)
    near = np.linalg.norm(matmul(difference - cells, basis), axis=-1) < tolerance
    near &= crystal.atomic_numbers[:, None] == crystal.atomic_numbers[None]
    if (near.sum(axis=1) != multiplicity).any():
        raise SymmetryError(f"atoms do not fold {multiplicity} to one onto the primitive cell")
    first = near.argmax(axis=1) == np.arange(len(near))
    members = near[first] / multiplicity
    offsets = (members.T[:, :, None] * (difference - cells)[:, first]).sum(axis=0)
    moments = crystal.magnetic_moments
    if moments is not None:
        mean = (members * moments).sum(axis=1)
        spread = np.abs(np.where(near[first], moments - mean[:, None], 0.0)).max()
        moments = mean if spread <= MOMENT_TOLERANCE else None
    return Crystal(basis, crystal.atomic_numbers[first], frac_coords[first] + offsets, moments)


def spacegroup_number(
    crystal: Crystal, tolerance: float = SPACEGROUP_TOLERANCE, tight: int | None = None
) -> int | None:
    """Find the number of a crystal's space group by spglib, as the Materials Project does.

    spglib is slow where symmetry is high: it takes 20 ms for a face-centred cubic crystal, 30 times
    what it takes for others. So there moyopy's number is taken if it does not depend on the
    tolerance. Of 67,185 crystals of the Materials Project it then was spglib's for each from
    `_HIGH_SYMMETRY` on; below, it was another for some.

    Parameters
    ----------
    crystal
        Any cell.
    tolerance
        Distance up to which atoms count as equivalent, A.
    tight
        The number at `CELL_TOLERANCE`, where it is known.

    Returns
    -------
    1 to 230; None where spglib finds none.
    """
    if tight is not None and tight >= _HIGH_SYMMETRY:
        with suppress(SymmetryError):
            if _symmetry(crystal, tolerance).number == tight:
                return tight
    cell = (crystal.lattice.tolist(), crystal.frac_coords.tolist(), crystal.atomic_numbers.tolist())
    try:
        symmetry = spglib.get_symmetry_dataset(cell, symprec=tolerance)
    except spglib.SpglibError:
        return None
    return None if symmetry is None else int(symmetry.number)


def canonical_cell(crystal: Crystal, bravais_lattice: str | None = None) -> PrimitiveCell:
    """Find the one primitive cell by which a crystal is known here.

    Parameters
    ----------
    crystal
        Any cell; with `bravais_lattice` given, one that `primitive_cell` returned.
    bravais_lattice
        The Bravais type where the primitive cell is already in its basis.

    Returns
    -------
    The canonical cell: lattice with a along x and b in the xy plane, right-handed;
    fractional coordinates in [-`IMAGE_TOLERANCE`, 1 - `IMAGE_TOLERANCE`); atoms by atomic
    number, then by coordinates.

    Raises
    ------
    SymmetryError
        If the symmetry search fails.
    """
    if bravais_lattice is None:
        primitive = primitive_cell(crystal)
        crystal, bravais_lattice = primitive.crystal, primitive.bravais_lattice
    bases = _reduced_bases(crystal.lattice, bravais_lattice)
    counts = np.bincount(crystal.atomic_numbers)
    rarest = np.argmin(np.where(counts > 0, counts, np.iinfo(np.int64).max))
    origins = crystal.frac_coords[crystal.atomic_numbers == rarest]

    inverses = inverse(bases)
    relative = crystal.frac_coords[None] - origins[:, None]
    candidates = matmul(relative[None], inverses[:, None]).reshape(-1, len(crystal), 3)
    candidates -= np.floor(candidates + IMAGE_TOLERANCE)
    steps = np.floor(candidates * _GRID + _GRID_SHIFT).astype(np.int64)
    codes = crystal.atomic_numbers.astype(np.int64)[None]
    for axis in range(3):
        codes = codes * (_GRID + 1) + steps[:, :, axis]  # a cell is _GRID steps long
    orders = np.argsort(codes, axis=1, kind="stable")
    tied = _first_rows(np.take_along_axis(codes, orders, axis=1))
    # Equal on the grid: related by a symmetry that holds to the grid only. The bond graph is the
    # same for all of them; a finer look makes the last digits independent of the input as well.
    lattices = matmul(bases[tied // len(origins)], crystal.lattice)
    metrics = matmul(lattices, lattices.transpose(0, 2, 1))
    sites = np.take_along_axis(candidates[tied], orders[tied, :, None], axis=1)
    digits = np.concatenate([metrics.reshape(len(tied), -1), sites.reshape(len(tied), -1)], axis=1)
    chosen = tied[_first_rows(np.floor(digits / _FINEST + _GRID_SHIFT).astype(np.int64))[0]]
    order = orders[chosen]

    basis = matmul(bases[chosen // len(origins)], crystal.lattice)
    moments = crystal.magnetic_moments
    return PrimitiveCell(
        Crystal(
            standard_orientation(basis),
            crystal.atomic_numbers[order],
            candidates[chosen, order],
            None if moments is None else moments[order],
        ),
        bravais_lattice,
    )


def _first_rows(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the indices of the lexicographically smallest rows, one or several that are equal."""
    # The bytes of whole numbers, the highest first, are in the order of the numbers.
    data = (rows - rows.min()).astype(">i8").tobytes()
    width = len(data) // len(rows)
    keys = [data[begin : begin + width] for begin in range(0, len(data), width)]
    first = min(keys)
    return np.array([k for k, key in enumerate(keys) if key == first])


def _reduced_bases(lattice: NDArray[np.float64], bravais_lattice: str) -> IntMatrix:
    """Every basis of the type with the smallest metric, as integer combinations (K, 3, 3) of the rows."""
    changes = _changes_of_basis(bravais_lattice)
    total = np.eye(3, dtype=np.int64)
    scale = METRIC_TOLERANCE * (lattice * lattice).sum()
    while True:
        bases = changes @ total
        vectors = matmul(bases, lattice)
        metric = matmul(vectors, vectors.transpose(0, 2, 1))
        keys = metric[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        keys = np.concatenate([keys[:, :3].sum(axis=1, keepdims=True), keys], axis=1)
        left = np.arange(len(keys))
        for column in range(keys.shape[1]):
            values = keys[left, column]
            left = left[values <= values.min() + scale]
        # The first change is the identity: once it is among the best, nothing is left to gain.
        if left[0] == 0:
            return bases[left]
        total = bases[left[0]]


@cache
def _changes_of_basis(bravais_lattice: str) -> IntMatrix:
    """Proper changes of basis that keep the form of the type's primitive basis, identity first.

    A change T (rows: new vectors in terms of the old ones) turns an operation W into
    ``T^-T W T^T``; the form is kept if that maps the holohedry onto itself. Entries are at
    most 1: further changes are reached in several steps.
    """
    matrices = np.array(list(product((-1, 0, 1), repeat=9)), dtype=np.int64).reshape(-1, 3, 3)
    matrices = matrices[np.rint(np.linalg.det(matrices)) == 1]
    transposed = matrices.transpose(0, 2, 1)
    inverses = np.rint(np.linalg.inv(transposed)).astype(np.int64)
    # A matrix as one number: entries of the products stay below 32.
    digits = 64 ** np.arange(9).reshape(3, 3)
    group = point_group(bravais_lattice)
    codes = (group * digits).sum(axis=(1, 2))
    keeps = np.ones(len(matrices), dtype=bool)
    for operation in group:
        moved = inverses @ operation @ transposed
        keeps &= np.isin((moved * digits).sum(axis=(1, 2)), codes)
    kept = matrices[keeps]
    return kept[np.argsort((kept != np.eye(3)).any(axis=(1, 2)), kind="stable")]
