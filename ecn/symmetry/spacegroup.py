"""The space group of a crystal as permutations of the atoms of its supercell.

For data in which all crystals share one structure, and differ only in what sits on its sites,
the group to be equivariant to is the space group of that structure (Kaba & Ravanbakhsh 2022, eq.
4): larger than the lattice's translations and inversion on each atom alone, and smaller than
(cell group) x S_n, which forgets that atoms on different sites differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from moyopy import Cell, MoyoDataset
from numpy.typing import NDArray

from ecn.symmetry.groups import Permutation, cell_index, cell_offsets, translations
from ecn.symmetry.sharing import Colours, orbits, pair_orbits
from mpclean.crystal.crystal import Crystal
from mpclean.errors import closest

#: How well an operation must map atoms to atoms, A.
_TOLERANCE = 1e-3

#: Structures that a data set may share, by name: any elements that tell the sites apart, in the
#: primitive basis of their Bravais type. Adding one is adding an entry.
PROTOTYPES = {
    "perovskite": Crystal(  # ABX3, Pm-3m: A in the centre, B at the corners, X on the edges
        lattice=4.0 * np.eye(3),
        atomic_numbers=np.array([20, 22, 8, 8, 8], np.uint8),
        frac_coords=np.array(
            [[0.5, 0.5, 0.5], [0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]]
        ),
    ),
}


def space_group_permutations(crystal: Crystal, m: int = 2) -> list[Permutation]:
    """Find the space group of a crystal on the atoms of its supercell.

    Parameters
    ----------
    crystal
        A primitive cell with n atoms.
    m
        Side of the supercell, in unit cells.

    Returns
    -------
    Permutations of the m^3 n nodes ``m^3 a + c`` (atom a in cell c): the translations, and one
    for every operation of the group in a unit cell.
    """
    n, cells = len(crystal), cell_offsets(m)
    numbers = crystal.atomic_numbers.astype(int).tolist()
    cell = Cell(crystal.lattice.tolist(), crystal.frac_coords.tolist(), numbers)
    found = MoyoDataset(cell, symprec=_TOLERANCE).operations
    first = m**3 * np.arange(n)[:, None]
    nodes = [(first + t).ravel() for t in translations(m)]
    for rotation, shift in zip(np.array(found.rotations), np.array(found.translations), strict=True):
        moved = crystal.frac_coords @ rotation.T + shift
        # To which atom b each atom goes, and through how many lattice vectors.
        steps = moved[:, None] - crystal.frac_coords[None]
        off = np.linalg.norm((steps - np.rint(steps)) @ crystal.lattice, axis=-1)
        off[crystal.atomic_numbers[:, None] != crystal.atomic_numbers[None]] = np.inf
        image = off.argmin(axis=1)
        lattice_vectors = np.rint(steps[np.arange(n), image]).astype(np.int64)
        to = cell_index((cells @ rotation.T.astype(np.int64))[None] + lattice_vectors[:, None], m)
        nodes.append((m**3 * image[:, None] + to).ravel())
    return nodes


@dataclass(frozen=True)
class SitePattern:
    """How a space group colours the atoms of a supercell and their ordered pairs.

    Attributes
    ----------
    site_colours
        Shape (n,), int64: colour of every atom of the unit cell; the translations make it the
        same in all cells.
    edge_colours
        Shape (m^3, n, n), int64: colour of an edge by the difference of its cells, the atom it
        enters and the atom it leaves.
    """

    site_colours: Colours
    edge_colours: NDArray[np.int64]


@cache
def site_pattern(prototype: str, m: int = 2) -> SitePattern:
    """Find the pattern of the space group of one of the `PROTOTYPES`.

    Parameters
    ----------
    prototype
        Its name.
    m
        Side of the supercell, in unit cells.

    Raises
    ------
    ValueError
        If there is no such prototype.
    """
    if prototype not in PROTOTYPES:
        raise ValueError(closest("prototype", prototype, PROTOTYPES))
    crystal = PROTOTYPES[prototype]
    generators = space_group_permutations(crystal, m)
    n_cells, n = m**3, len(crystal)
    pairs = np.stack(np.divmod(np.arange((n_cells * n) ** 2), n_cells * n), axis=1)
    colours = pair_orbits(generators, pairs).reshape(n, n_cells, n, n_cells)
    # Into atom a of cell d from atom b of the origin cell: target's cell minus source's is d.
    edge_colours = colours[:, :, :, 0].transpose(1, 0, 2)
    return SitePattern(orbits(generators, n_cells * n)[::n_cells], edge_colours)
