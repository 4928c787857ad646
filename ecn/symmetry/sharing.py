"""Parameter sharing: the colours that make a layer equivariant.

A layer ``m_i = sum_j phi^{col(i, j)}(x_i, x_j)`` is equivariant to a permutation group G iff
the colours are constant on the orbits of G, ``col(g i, g j) = col(i, j)`` (Kaba &
Ravanbakhsh 2022, Claim 6.1). Colours are therefore numbers of orbits, and orbits are found
from generators alone, at a cost linear in generators times edges (section A.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ecn.symmetry.groups import PLANE_POINT_GROUPS, Permutation, cell_group, cell_index, cell_offsets

Colours = NDArray[np.int64]


def orbits(generators: Sequence[Permutation], n: int) -> Colours:
    """Compute the orbit of every point under the group that permutations generate.

    Orbits are the connected components of the graph that joins every point i with every g(i).

    Parameters
    ----------
    generators
        Permutations of ``range(n)``.
    n
        Number of points.

    Returns
    -------
    Array of shape (n,), int64: orbits numbered by their smallest members.

    Raises
    ------
    ValueError
        If a generator is no permutation of ``range(n)``.
    """
    for g in generators:
        if not np.array_equal(np.sort(g), np.arange(n)):
            raise ValueError(f"a generator is no permutation of {n} points")
    images = np.concatenate([*generators, np.arange(n)])
    points = np.tile(np.arange(n), len(generators) + 1)
    joined = coo_array((np.ones(len(points), np.int8), (points, images)), shape=(n, n))
    labels = connected_components(joined, directed=False)[1]
    first = np.unique(labels, return_index=True)[1]
    return np.argsort(np.argsort(first))[labels]


def pair_orbits(generators: Sequence[Permutation], pairs: NDArray[np.integer]) -> Colours:
    """Compute the orbit of every ordered pair, ``g(i, j) = (g i, g j)``.

    Parameters
    ----------
    generators
        Permutations of the points.
    pairs
        Shape (E, 2), all different, and as a set mapped to itself by every generator: all
        ordered pairs, or the edges of a graph that the group leaves as it is.

    Returns
    -------
    Array of shape (E,), int64: orbits numbered by the place of their first pairs.

    Raises
    ------
    ValueError
        If a generator sends a pair to one that is not listed.
    """
    n = 1 + int(pairs.max(initial=0))
    codes = pairs[:, 0].astype(np.int64) * n + pairs[:, 1]
    order = np.argsort(codes)
    induced = []
    for g in generators:
        image = g[pairs[:, 0]] * n + g[pairs[:, 1]]
        place = np.searchsorted(codes, image, sorter=order).clip(max=len(codes) - 1)
        if not np.array_equal(codes[order[place]], image):
            raise ValueError("a generator sends a pair to one that is not listed")
        induced.append(order[place])
    return orbits(induced, len(codes))


def product_colours(first: Colours, second: Colours) -> Colours:
    """Colours under a product of groups: the pair of the two colours (eq. 13 and 14).

    Parameters
    ----------
    first, second
        Colours of the same pairs under either group, broadcast against each other.

    Returns
    -------
    Array of int64: ``first`` counts in strides of the number of colours of ``second``.
    """
    return np.asarray(first) * (1 + int(np.max(second))) + second


def refines(fine: Colours, coarse: Colours) -> bool:
    """Whether every colour of one pattern lies within one colour of another.

    So it is for the patterns of a group and of a larger one (the hierarchy of eq. 6), and a
    pattern that a larger one refines in turn has *collapsed* to it (section A.3).

    Parameters
    ----------
    fine, coarse
        Colours of the same points or pairs, of the same shape.
    """
    joint = np.unique(np.stack([np.ravel(fine), np.ravel(coarse)]), axis=1)
    return joint.shape[1] == len(np.unique(fine))


@dataclass(frozen=True)
class CellPattern:
    """How a group that contains the translations colours pairs of cells of a supercell.

    The translations make the colour of a pair (i, j) depend only on the difference j - i of
    its cells, so the pattern is a partition of the differences, and its colours are the
    relations of an association scheme with *intersection numbers*::

        N[d, s, t] = #{k : col(c_j, k) = s, col(k, c_i) = t}   for any col(c_j, c_i) = d

    They turn a sum over the slots k of a cell-equivariant map into a sum over colours.

    Attributes
    ----------
    name
        Name of the group.
    side
        Side m of the supercell, in unit cells.
    colours
        Shape (m^3,), int64 (m^2 in a plane): colour of every difference, by the index of the
        cell at it; colour 0 is that of the zero alone.
    intersections
        Shape (C, C, C), int64: the intersection numbers.
    """

    name: str
    side: int
    colours: Colours
    intersections: NDArray[np.int64]

    @property
    def n_cells(self) -> int:
        """Number of cells of the supercell."""
        return len(self.colours)

    @property
    def n_colours(self) -> int:
        """Number of colours C."""
        return len(self.intersections)

    @property
    def dimension(self) -> int:
        """3, or 2 in the plane."""
        return 2 if self.name in PLANE_POINT_GROUPS else 3

    def matrix(self) -> Colours:
        """Compute the colour of every ordered pair of cells: shape (cells, cells)."""
        return self.colours[cell_differences(self.side, self.dimension)]


@cache
def cell_differences(m: int = 2, dimension: int = 3) -> NDArray[np.int64]:
    """Find the index of the difference j - i of every pair of cells (i, j).

    Parameters
    ----------
    m
        Side of the supercell, in unit cells.
    dimension
        3, or 2 in the plane.

    Returns
    -------
    Array of shape (cells, cells), int64. For m = 2 it is the exclusive or of the indices.
    """
    offsets = cell_offsets(m, dimension)
    return cell_index(offsets[None, :] - offsets[:, None], m)


def intersection_numbers(colours: Colours, differences: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count ``N[d, s, t] = #{u : col(u) = s, col(d - u) = t}`` of a partition of differences.

    Parameters
    ----------
    colours
        Shape (cells,), int64: colour of every difference of two cells.
    differences
        As `cell_differences` gives them.

    Returns
    -------
    Array of shape (C, C, C), int64; for every d the entries add up to the number of cells.

    Raises
    ------
    ValueError
        If differences of one colour disagree: then the colours are no orbits of a group.
    """
    n_colours = 1 + int(colours.max())
    counts = np.zeros((len(colours), n_colours, n_colours), dtype=np.int64)
    for d in range(len(colours)):
        np.add.at(counts[d], (colours, colours[differences[:, d]]), 1)
    first = np.unique(colours, return_index=True)[1]
    if not np.array_equal(counts, counts[first][colours]):
        raise ValueError(
            f"the colours {colours.tolist()} are not the orbits of a group with the translations"
        )
    return counts[first]


@cache
def cell_pattern(group: str, m: int = 2) -> CellPattern:
    """Find the pattern of a group on the cells of a supercell.

    Parameters
    ----------
    group
        One of `ecn.symmetry.groups.GROUPS` or of `ecn.symmetry.groups.PLANE_POINT_GROUPS`.
    m
        Side of the supercell, in unit cells.

    Raises
    ------
    ValueError
        If the group is unknown.
    """
    generators = cell_group(group, m)
    n = len(generators[0])
    pairs = np.stack(np.divmod(np.arange(n * n), n), axis=1)
    colour = pair_orbits(generators, pairs).reshape(n, n)
    differences = cell_differences(m, 2 if group in PLANE_POINT_GROUPS else 3)
    colours = colour[0]
    assert np.array_equal(colour, colours[differences]), "a group without all translations"
    return CellPattern(group, m, colours, intersection_numbers(colours, differences))


def tie(pattern: CellPattern, finest: CellPattern) -> NDArray[np.float64]:
    """Compute the averages that bring weights of a finer pattern to those of a coarser one.

    The mean over the slots of each colour is the projection (Reynolds operator) of the linear
    maps that are equivariant under the smaller group onto those under the larger.

    Parameters
    ----------
    pattern
        With C colours.
    finest
        A pattern that refines it, with F colours.

    Returns
    -------
    Array of shape (C, F), rows adding up to 1.

    Raises
    ------
    ValueError
        If `finest` does not refine `pattern`.
    """
    if not refines(finest.colours, pattern.colours):
        raise ValueError(f"the pattern of {finest.name} does not refine that of {pattern.name}")
    counts = np.zeros((pattern.n_colours, finest.n_colours))
    np.add.at(counts, (pattern.colours, finest.colours), 1.0)
    return counts / counts.sum(axis=1, keepdims=True)
