"""The 14 three-dimensional Bravais lattices as pure integers.

For each type: the primitive basis in terms of the conventional one, and the point group
of the lattice (its holohedry) as integer matrices acting on fractional coordinates of
that primitive basis. Everything that depends on a choice of cell (the canonical
primitive cell, the sharing patterns of a network) refers to this page.

Conventions. A *basis* is a 3 x 3 matrix whose ROWS are the vectors. A point operation is
a matrix ``W`` acting on COLUMNS of fractional coordinates, ``x' = W x``. Types carry
their Pearson letters (aP, mP, mC, ...), monoclinic cells have the unique axis b, and
one-face centred cells are C-centred (International Tables for Crystallography A, 2016,
sections 1.3 and 3.1).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
from numpy.typing import NDArray

IntMatrix = NDArray[np.int64]

_HALF = Fraction(1, 2)

#: Rows: primitive basis vectors in units of the conventional ones. For hR the conventional
#: cell is the hexagonal one, 120 degrees between a and b, obverse setting. For hP the
#: primitive basis has 60 degrees between a1 and a2.
PRIMITIVE_BASES: dict[str, tuple[tuple[Fraction | int, ...], ...]] = {
    "P": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "C": ((_HALF, _HALF, 0), (_HALF, -_HALF, 0), (0, 0, 1)),
    "I": ((_HALF, _HALF, -_HALF), (_HALF, -_HALF, _HALF), (-_HALF, _HALF, _HALF)),
    "F": ((_HALF, _HALF, 0), (_HALF, 0, _HALF), (0, _HALF, _HALF)),
    "R": (
        (Fraction(2, 3), Fraction(1, 3), Fraction(1, 3)),
        (Fraction(-1, 3), Fraction(1, 3), Fraction(1, 3)),
        (Fraction(-1, 3), Fraction(-2, 3), Fraction(1, 3)),
    ),
    "hP": ((1, 0, 0), (1, 1, 0), (0, 0, 1)),
}

# Generators in the conventional basis, acting on columns of fractional coordinates.
_INVERSION = ((-1, 0, 0), (0, -1, 0), (0, 0, -1))
_MIRROR_X = ((-1, 0, 0), (0, 1, 0), (0, 0, 1))
_MIRROR_Y = ((1, 0, 0), (0, -1, 0), (0, 0, 1))
_MIRROR_Z = ((1, 0, 0), (0, 1, 0), (0, 0, -1))
_SWAP_XY = ((0, 1, 0), (1, 0, 0), (0, 0, 1))
_CYCLE = ((0, 0, 1), (1, 0, 0), (0, 1, 0))
_SIXFOLD = ((1, -1, 0), (1, 0, 0), (0, 0, 1))  # hexagonal axes, 120 degrees
_THREEFOLD = ((0, -1, 0), (1, -1, 0), (0, 0, 1))
_TWOFOLD_HEX = ((0, 1, 0), (1, 0, 0), (0, 0, -1))  # the twofold axis of R32 on hexagonal axes

_CONVENTIONAL_GENERATORS: dict[str, tuple[tuple[tuple[int, ...], ...], ...]] = {
    "a": (_INVERSION,),
    "m": (_MIRROR_Y, _INVERSION),
    "o": (_MIRROR_X, _MIRROR_Y, _MIRROR_Z),
    "t": (_MIRROR_Z, _SWAP_XY, _MIRROR_X),
    "hP": (_SIXFOLD, _SWAP_XY, _MIRROR_Z),
    "hR": (_INVERSION, _THREEFOLD, _TWOFOLD_HEX),
    "c": (_MIRROR_Z, _SWAP_XY, _CYCLE),
}

#: The 14 types, from the lowest symmetry to the highest.
BRAVAIS_TYPES = (
    *("aP", "mP", "mC", "oP", "oC", "oI", "oF"),
    *("tP", "tI", "hR", "hP", "cP", "cI", "cF"),
)

_FAMILY_LETTERS = ((2, "a"), (15, "m"), (74, "o"), (142, "t"), (194, "h"), (230, "c"))


def primitive_basis(bravais_lattice: str) -> NDArray[np.float64]:
    """Return the primitive basis of a Bravais type in units of its conventional basis.

    Parameters
    ----------
    bravais_lattice
        One of `BRAVAIS_TYPES`.

    Returns
    -------
    Array of shape (3, 3), dimensionless; rows are the primitive vectors.

    Raises
    ------
    KeyError
        If the type is unknown.
    """
    centring = "hP" if bravais_lattice == "hP" else bravais_lattice[1]
    return np.array(PRIMITIVE_BASES[centring], dtype=np.float64)


@cache
def point_group_generators(bravais_lattice: str) -> tuple[IntMatrix, ...]:
    """Return generators of the holohedry as integer matrices in the primitive basis.

    With ``C`` the primitive basis (rows) and ``W`` a conventional operation, the operation
    in the primitive basis is ``C^-T W C^T``.

    Parameters
    ----------
    bravais_lattice
        One of `BRAVAIS_TYPES`.

    Returns
    -------
    Matrices of shape (3, 3), int64, acting on columns of fractional coordinates.

    Raises
    ------
    KeyError
        If the type is unknown.
    """
    family = bravais_lattice if bravais_lattice[0] == "h" else bravais_lattice[0]
    basis = primitive_basis(bravais_lattice)
    inverse = np.linalg.inv(basis)
    conventional = np.array(_CONVENTIONAL_GENERATORS[family], dtype=np.float64)
    primitive = np.rint(inverse.T @ conventional @ basis.T).astype(np.int64)
    return tuple(primitive)


@cache
def point_group(bravais_lattice: str) -> IntMatrix:
    """All operations of the holohedry, closed from its generators.

    Parameters
    ----------
    bravais_lattice
        One of `BRAVAIS_TYPES`.

    Returns
    -------
    Array of shape (order, 3, 3), int64, the identity first.

    Raises
    ------
    KeyError
        If the type is unknown.
    """
    generators = point_group_generators(bravais_lattice)
    members = {np.eye(3, dtype=np.int64).tobytes(): np.eye(3, dtype=np.int64)}
    frontier = list(members.values())
    while frontier:
        products = [g @ w for w in frontier for g in generators]
        frontier = [w for w in {p.tobytes(): p for p in products}.values() if w.tobytes() not in members]
        members.update({w.tobytes(): w for w in frontier})
    return np.stack(list(members.values()))


def bravais_type(spacegroup_number: int, centring: str) -> str:
    """Find the Bravais type of a space group.

    Parameters
    ----------
    spacegroup_number
        International number, 1 to 230.
    centring
        First letter of the Hermann-Mauguin symbol; A and B centrings count as C, since the
        choice of the centred face is a choice of axes.

    Returns
    -------
    One of `BRAVAIS_TYPES`.

    Raises
    ------
    ValueError
        If the number is outside 1 to 230.
    """
    if not 1 <= spacegroup_number <= 230:
        raise ValueError(f"space group number {spacegroup_number} is outside 1 to 230")
    family = next(letter for last, letter in _FAMILY_LETTERS if spacegroup_number <= last)
    return family + ("C" if centring in "AB" else centring)
