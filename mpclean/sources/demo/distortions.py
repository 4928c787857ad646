"""The same crystal, changed: its lengths, its symmetry, or the cell that it is written in."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.linear import inverse, matmul


def breathed(crystal: Crystal, rng: np.random.Generator, amount: float) -> Crystal:
    """All lengths changed by the same random part of at most `amount`."""
    return replace(crystal, lattice=crystal.lattice * (1.0 + amount * _symmetric(rng)))


def strained(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Draw a random strain of at most 2 % in every component."""
    strain = 0.02 * _symmetric(rng, 3, 3)
    return replace(crystal, lattice=matmul(crystal.lattice, np.eye(3) + (strain + strain.T) / 2))


def rattled(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """Every atom displaced by at most 0.15 A along each axis."""
    displacement = 0.15 * _symmetric(rng, len(crystal), 3)
    return replace(crystal, frac_coords=crystal.frac_coords + matmul(displacement, inverse(crystal.lattice)))


def _symmetric(rng: np.random.Generator, *shape: int) -> Any:
    """Uniform in [-1, 1). Only `random` and `permutation` are drawn, whose streams numpy keeps stable."""
    return 2.0 * rng.random(shape) - 1.0


#: A supercell, the cell of a face-centred lattice, and another basis of the same cell.
OTHER_CELLS = (
    np.diag([1, 1, 2]),
    np.array([[1, 1, -1], [1, -1, 1], [-1, 1, 1]]),
    np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1]]),
)


def recell(crystal: Crystal, basis: NDArray[np.int64], origin: NDArray[np.float64] | float = 0.0) -> Crystal:
    """Write the same crystal in another cell.

    Parameters
    ----------
    crystal
        Any crystal.
    basis
        (3, 3) integers; row i is new cell vector i in units of the old ones.
    origin
        (3,) shift of all atoms, in units of the old cell vectors.
    """
    new = inverse(basis)
    reach = int(np.abs(basis).sum())
    cells = np.array(list(product(range(-reach, reach + 1), repeat=3)))
    place = matmul(cells, new)
    cells = cells[np.all((place > -1e-9) & (place < 1.0 - 1e-9), axis=1)]
    moved = (crystal.frac_coords + origin)[:, None, :] + cells
    return Crystal(
        matmul(basis, crystal.lattice),
        np.repeat(crystal.atomic_numbers, len(cells)),
        matmul(moved.reshape(-1, 3), new) % 1.0,
    )
