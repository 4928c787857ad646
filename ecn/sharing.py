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

from ecn.groups import Permutation, cell_group, cell_index, cell_offsets

Colours = NDArray[np.int64]


def orbits(generators: Sequence[Permutation], n: int) -> Colours:
    """The orbit of every point under the group that permutations generate.

    Union-find over the pairs ``(i, g(i))``, all pairs at once: every root is hooked to the
    smallest root it meets, and paths are halved until they are flat.

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
    parent = np.arange(n)
    images = np.concatenate([*generators, parent]).astype(np.int64)
    points = np.tile(np.arange(n), len(generators) + 1)
    while True:
        low = np.minimum(parent[points], parent[images])
        high = np.maximum(parent[points], parent[images])
        if np.array_equal(low, high):
            return np.unique(parent, return_inverse=True)[1].astype(np.int64)
        np.minimum.at(parent, high, low)
        while not np.array_equal(parent, parent[parent]):
            parent = parent[parent]


def pair_orbits(generators: Sequence[Permutation], pairs: NDArray[np.integer]) -> Colours:
    """The orbit of every ordered pair, ``g(i, j) = (g i, g j)``.

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


@dataclass(frozen=True)
class CellPattern:
    """How a group that contains the translations colours pairs of cells of a 2x2x2 supercell.

    The translations make the colour of a pair depend only on the difference of its cells,
    so the pattern is a partition of the eight differences, and its colours are the relations
    of an association scheme with *intersection numbers*::

        N[d, s, t] = #{k : col(k - c_j) = s, col(k - c_i) = t}   for any c_i - c_j of colour d

    They turn a sum over the slots k of a cell-equivariant map into a sum over colours.

    Attributes
    ----------
    name
        Name of the group.
    colours
        Shape (8,), int64: colour of every difference; colour 0 is that of the zero alone.
    intersections
        Shape (C, C, C), int64: the intersection numbers.
    """

    name: str
    colours: Colours
    intersections: NDArray[np.int64]

    @property
    def n_colours(self) -> int:
        """Number of colours C."""
        return len(self.intersections)


def intersection_numbers(colours: Colours) -> NDArray[np.int64]:
    """Count ``N[d, s, t] = #{k : col(k) = s, col(k xor d) = t}`` of a partition of differences.

    Parameters
    ----------
    colours
        Shape (8,), int64: colour of every difference of two cells.

    Returns
    -------
    Array of shape (C, C, C), int64; for every d the entries add up to 8.

    Raises
    ------
    ValueError
        If differences of one colour disagree: then the colours are no orbits of a group.
    """
    n_colours = 1 + int(colours.max())
    cells = np.arange(len(colours))
    counts = np.zeros((len(colours), n_colours, n_colours), dtype=np.int64)
    for d in cells:
        np.add.at(counts[d], (colours[cells], colours[cells ^ d]), 1)
    first = np.unique(colours, return_index=True)[1]
    if not np.array_equal(counts, counts[first][colours]):
        raise ValueError(
            f"the colours {colours.tolist()} are not the orbits of a group with the translations"
        )
    return counts[first]


@cache
def cell_pattern(group: str) -> CellPattern:
    """The pattern of one of the `ecn.groups.GROUPS` on the 2x2x2 supercell.

    Parameters
    ----------
    group
        Name of the group.

    Raises
    ------
    ValueError
        If the group is unknown.
    """
    cells = np.arange(8)
    pairs = np.stack([np.repeat(cells, 8), np.tile(cells, 8)], axis=1)
    colour = pair_orbits(cell_group(group), pairs).reshape(8, 8)
    colours = colour[0]
    offsets = cell_offsets()
    difference = cell_index(offsets[None, :, :] - offsets[:, None, :])
    assert np.array_equal(colour, colours[difference]), "a group without all translations"
    return CellPattern(group, colours, intersection_numbers(colours))
