"""Cells of the prototypes, and what the radii of elements make of them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from mpclean.crystal.bonding.graph import radius_graph
from mpclean.crystal.bonding.radii import COVALENT_RADII
from mpclean.crystal.bravais import PRIMITIVE_BASES
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.linear import inverse, matmul
from mpclean.sources.demo.prototypes import Prototype
from mpclean.vocabulary.elements import ATOMIC_NUMBERS


def decorate(prototype: Prototype, elements: tuple[str, ...]) -> Crystal:
    """Make the primitive cell of a prototype with elements on its sites.

    Its scale is the smallest at which atoms of different sites keep the sum of their
    covalent radii; on a prototype with one site, any two atoms.

    Parameters
    ----------
    prototype
        The structure type.
    elements
        Symbols, one per site.
    """
    lattice, frac_coords, site, _ = _geometry(prototype)
    numbers = np.array([ATOMIC_NUMBERS[symbol] for symbol in elements], dtype=np.uint8)
    return Crystal(lattice * contacts(prototype, elements)[0], numbers[site], frac_coords)


def contacts(prototype: Prototype, elements: tuple[str, ...]) -> tuple[float, float]:
    """Find the scale at which a decorated prototype touches, and how loose its loosest site then is, A."""
    radii = COVALENT_RADII[[ATOMIC_NUMBERS[symbol] for symbol in elements]]
    touching = radii[:, None] + radii
    nearest = _geometry(prototype)[3]
    scale = (touching / nearest).max()
    return float(scale), float((nearest * scale - touching).min(axis=1).max())


@cache
def _geometry(
    prototype: Prototype,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Primitive cell of a prototype: lattice (A), coordinates, site of each atom, (S, S) distances.

    The distances set its scale, A: the shortest between different sites, infinite on the
    diagonal; that within the site where there is only one.
    """
    from moyopy import Setting, SpaceGroupType, operations_from_number

    operations = operations_from_number(prototype.spacegroup, setting=Setting.standard())
    rotations, translations = np.array(operations.rotations), np.array(operations.translations)
    centring = SpaceGroupType(prototype.spacegroup).hm_short[0]
    basis = np.array(PRIMITIVE_BASES[centring], dtype=np.float64)
    orbits = [
        (
            _unique(
                matmul(matmul(rotations, np.array(position)[:, None])[..., 0] + translations, inverse(basis))
            ),
            index,
        )
        for index, site in enumerate(prototype.sites)
        for position in site.positions
    ]
    lattice = matmul(basis, _cell_vectors(prototype))
    frac_coords = np.concatenate([orbit for orbit, _ in orbits])
    site = np.repeat([index for _, index in orbits], [len(orbit) for orbit, _ in orbits])

    graph = radius_graph(Crystal(lattice, np.ones(len(site), dtype=np.uint8), frac_coords), 6.0)
    nearest = np.full((len(prototype.sites), len(prototype.sites)), np.inf)
    counts = (site[graph.source] != site[graph.target]) | (len(prototype.sites) == 1)
    np.minimum.at(nearest, (site[graph.source][counts], site[graph.target][counts]), graph.length[counts])
    return lattice, frac_coords, site, nearest


def _cell_vectors(prototype: Prototype) -> NDArray[np.float64]:
    """Rows a, b, c of the conventional cell, A."""
    number, cell = prototype.spacegroup, prototype.cell
    if number >= 195:  # cubic
        return cell[0] * np.eye(3)
    if number >= 143:  # trigonal and hexagonal, on hexagonal axes
        a, c = cell
        return np.array([[a, 0.0, 0.0], [-a / 2, a * np.sqrt(3.0) / 2, 0.0], [0.0, 0.0, c]])
    if number >= 75:  # tetragonal
        return np.diag([cell[0], cell[0], cell[1]])
    return np.diag(cell)


def _unique(frac_coords: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows that differ modulo 1, in [0, 1), in an order that does not depend on rounding."""
    inside = np.round(frac_coords % 1.0, 6) % 1.0
    _, first = np.unique(inside, axis=0, return_index=True)
    return frac_coords[first] % 1.0
