"""Groups that act on the cells of a periodic supercell; pure integers, no torch.

A supercell of side m has m^3 cells (m^2 in a plane). Cell ``(b1, b2, b3)``, with centring
vector ``b1 a1 + b2 a2 + b3 a3``, has the index ``(b1 m + b2) m + b3``; for m = 2 this is the
bit code ``4 b1 + 2 b2 + b3``. A permutation is an integer array ``g`` that sends point ``c``
to ``g[c]``, and a group is a list of permutations that generate it.

Source: Kaba & Ravanbakhsh, *Equivariant Networks for Crystal Structures*, NeurIPS 2022
(arXiv 2211.15420), section 5: the symmetries of the lattice; eq. 6: the hierarchy of larger
groups; section A.3: patterns in the plane, and the group that acts on itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpclean.crystal.bravais import BRAVAIS_TYPES, point_group_generators
from mpclean.errors import closest

Permutation = NDArray[np.int64]

#: Names of the cell groups; "P1bar" is the paper's name of the triclinic lattice's group.
GROUPS = ("S8", "P1bar", *BRAVAIS_TYPES)

#: The five Bravais lattices of the plane by their symbols (International Tables A, section
#: 3.1): generators of the holohedry in the primitive basis, as matrices on columns. op and tp
#: have perpendicular axes, oc has (a/2, b/2) and (a/2, -b/2), hp has 60 degrees between them.
PLANE_POINT_GROUPS: dict[str, tuple[tuple[tuple[int, int], tuple[int, int]], ...]] = {
    "mp": (((-1, 0), (0, -1)),),
    "op": (((-1, 0), (0, 1)), ((1, 0), (0, -1))),
    "oc": (((0, -1), (-1, 0)), ((0, 1), (1, 0))),
    "tp": (((0, -1), (1, 0)), ((0, 1), (1, 0))),
    "hp": (((0, -1), (1, 1)), ((0, 1), (1, 0))),
}


def cell_offsets(m: int = 2, dimension: int = 3) -> NDArray[np.int64]:
    """Return the integer coordinates of every cell, by index.

    Parameters
    ----------
    m
        Side of the supercell, in unit cells.
    dimension
        3, or 2 in the plane.

    Returns
    -------
    Array of shape (m^dimension, dimension), int64.
    """
    return np.stack(np.unravel_index(np.arange(m**dimension), (m,) * dimension), axis=1).astype(np.int64)


def cell_index(offsets: NDArray[np.integer], m: int = 2) -> NDArray[np.int64]:
    """Find the index of the cell in the supercell that integer coordinates are equivalent to.

    Parameters
    ----------
    offsets
        Integer coordinates, shape (..., dimension); taken modulo `m`.
    m
        Side of the supercell, in unit cells.

    Returns
    -------
    Array of shape (...,), int64.
    """
    offsets = np.mod(offsets, m).astype(np.int64)
    return offsets @ m ** np.arange(offsets.shape[-1])[::-1]


def translations(m: int = 2, dimension: int = 3) -> list[Permutation]:
    """Return generators of the translations, ``b -> b + a_k mod m``.

    Parameters
    ----------
    m
        Side of the supercell, in unit cells.
    dimension
        3, or 2 in the plane.

    Returns
    -------
    As many permutations of the cells as dimensions.
    """
    steps = np.eye(dimension, dtype=np.int64)
    return [cell_index(cell_offsets(m, dimension) + step, m) for step in steps]


def point_permutations(lattice: str, m: int = 2) -> list[Permutation]:
    """Return the holohedry of a Bravais lattice on the cells, ``b -> W b mod m``.

    Parameters
    ----------
    lattice
        One of `mpclean.crystal.bravais.BRAVAIS_TYPES` or of `PLANE_POINT_GROUPS`; the basis is the
        primitive one of its type.
    m
        Side of the supercell, in unit cells.

    Returns
    -------
    A permutation of the cells for every generator. The origin cell stays in place.

    Raises
    ------
    KeyError
        If the type is unknown.
    """
    in_plane = lattice in PLANE_POINT_GROUPS
    generators = PLANE_POINT_GROUPS[lattice] if in_plane else point_group_generators(lattice)
    return [cell_index(cell_offsets(m, len(W)) @ np.transpose(W), m) for W in generators]


def symmetric_group(n: int) -> list[Permutation]:
    """Return generators of all permutations of n points: a cycle and a swap."""
    cycle, swap = np.roll(np.arange(n), 1), np.arange(n)
    swap[:2] = swap[:2][::-1]
    return [cycle, swap]


def cell_group(name: str, m: int = 2) -> list[Permutation]:
    """Return generators of a group that acts on the cells of the supercell.

    Parameters
    ----------
    name
        A Bravais type of space or of the plane, for the symmetries of its lattice
        (translations and holohedry); "P1bar" for aP, as the paper calls it; "S8" for all
        permutations of the m^3 cells.
    m
        Side of the supercell, in unit cells.

    Returns
    -------
    Permutations of the cells.

    Raises
    ------
    ValueError
        If the group is unknown.
    """
    if name not in (*GROUPS, *PLANE_POINT_GROUPS):
        raise ValueError(closest("group", name, (*GROUPS, *PLANE_POINT_GROUPS)))
    if name == "S8":
        return symmetric_group(m**3)
    dimension = 2 if name in PLANE_POINT_GROUPS else 3
    return translations(m, dimension) + point_permutations("aP" if name == "P1bar" else name, m)


def group_elements(generators: Sequence[Permutation]) -> Permutation:
    """All permutations that some of them generate.

    Parameters
    ----------
    generators
        At least one permutation of ``range(n)``.

    Returns
    -------
    Array of shape (order, n), int64, in lexicographic order: the identity comes first.
    """
    steps = np.stack(generators)
    n = steps.shape[1]
    found = frontier = np.arange(n)[None]
    while len(frontier):
        products = np.unique(steps[:, frontier].reshape(-1, n), axis=0)  # g after p, for all g and p
        together, places = np.unique(np.concatenate([found, products]), axis=0, return_index=True)
        frontier, found = together[places >= len(found)], together
    return found


def is_subgroup(generators: Sequence[Permutation], of: Sequence[Permutation]) -> bool:
    """Whether one group lies within another (the hierarchy of eq. 6).

    Parameters
    ----------
    generators, of
        Generators of either group, on the same points.
    """
    larger = {element.tobytes() for element in group_elements(of)}
    return all(np.ascontiguousarray(g, np.int64).tobytes() in larger for g in generators)


def regular_action(generators: Sequence[Permutation]) -> list[Permutation]:
    """Let the group act on itself, ``g: h -> g h`` (the end of section A.3).

    No element but the identity leaves a point in place, so the ordered pairs fall into as many
    orbits as the group has elements: the pattern never collapses to that of a larger group, as
    that of few cells may (the hexagonal lattice on 2 x 2 cells has the pattern of S_4). Features
    on cells are lifted to it by ``f(h) = x[h(0)]``.

    Parameters
    ----------
    generators
        Permutations of some points.

    Returns
    -------
    For every generator a permutation of the elements, as `group_elements` numbers them.
    """
    elements = group_elements(generators)
    place = {element.tobytes(): k for k, element in enumerate(elements)}
    return [np.array([place[g[h].tobytes()] for h in elements]) for g in np.asarray(generators, np.int64)]
