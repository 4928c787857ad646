"""What is connected to what, for many crystals at once, in integer arithmetic.

A bond graph with integer images is a graph on a torus. Give every atom of a component an
offset along a spanning tree; an edge s -> (t, R) then closes the lattice translation
``offset[s] + R - offset[t]``. The translations that a component's edges close generate all
that connect it with its own images, and

* their rank over the rationals is its dimensionality (Larsen et al. 2019,
  doi 10.1103/PhysRevMaterials.3.034003);
* their rank r over the field with two elements says that the component falls into
  2^(3 - r) pieces on the 2 x 2 x 2 supercell.

Crystals are laid side by side into one graph, so no loop runs over crystals.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class Topology:
    """Connectivity of every crystal of a batch.

    Attributes
    ----------
    dimensionality
        (B,) int8; the largest over the components, 0 to 3.
    n_components
        (B,) int32; connected components of the 2 x 2 x 2 supercell graph.
    n_isolated
        (B,) int32; atoms of the cell without an edge.
    """

    dimensionality: NDArray[np.int8]
    n_components: NDArray[np.int32]
    n_isolated: NDArray[np.int32]


def topology(
    n_atoms: NDArray[np.int64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    image: NDArray[np.int64],
) -> Topology:
    """Dimensionality and connectivity of a batch of bond graphs.

    Parameters
    ----------
    n_atoms
        (B,) atoms of each crystal, at least one each.
    source, target
        (E,) atoms, numbered through the whole batch; both directions of a bond are listed.
    image
        (E, 3) integer images.
    """
    total = int(n_atoms.sum())
    crystal = np.repeat(np.arange(len(n_atoms)), n_atoms)
    adjacency = coo_array((np.ones(len(source), dtype=np.int8), (source, target)), shape=(total, total))
    n_parts, part = connected_components(adjacency, directed=False)
    offset = _spanning_offsets(part, n_parts, source, target, image)
    closed = offset[source] + image - offset[target]

    first_atom = np.full(n_parts, total)
    np.minimum.at(first_atom, part, np.arange(total))
    crystal_of_part = crystal[first_atom]
    edge_part = part[source]
    dimensionality = np.zeros(len(n_atoms), dtype=np.int8)
    np.maximum.at(dimensionality, crystal_of_part, _rational_rank(closed, edge_part, n_parts))
    pieces = 2 ** (3 - _rank_mod_2(closed, edge_part, n_parts))
    degree = np.bincount(source, minlength=total)
    return Topology(
        dimensionality,
        np.bincount(crystal_of_part, weights=pieces, minlength=len(n_atoms)).astype(np.int32),
        np.bincount(crystal, weights=degree == 0, minlength=len(n_atoms)).astype(np.int32),
    )


def _spanning_offsets(
    part: NDArray[np.int32],
    n_parts: int,
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    image: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Cell offset (N, 3) of every atom along a breadth-first tree of its component."""
    offset = np.zeros((len(part), 3), dtype=np.int64)
    reached = np.zeros(len(part), dtype=bool)
    root = np.full(n_parts, len(part))
    np.minimum.at(root, part, np.arange(len(part)))
    reached[root] = True
    open_edges = np.arange(len(source))
    while True:
        open_edges = open_edges[~reached[target[open_edges]]]
        step = open_edges[reached[source[open_edges]]]
        if not len(step):
            return offset
        # Where several edges reach an atom in one step, the last one written wins for both arrays.
        offset[target[step]] = offset[source[step]] + image[step]
        reached[target[step]] = True


def _rational_rank(vectors: NDArray[np.int64], group: NDArray[np.int32], n_groups: int) -> NDArray[np.int8]:
    """Rank (n_groups,) of each group of integer vectors, from its Gram matrix.

    The Gram matrix M = sum of v v^T is positive semidefinite and has the rank of the
    vectors; its rank is the number of its elementary symmetric functions that do not vanish.
    """
    gram = np.zeros((n_groups, 3, 3), dtype=np.int64)
    np.add.at(gram, group, vectors[:, :, None] * vectors[:, None, :])
    (a, b, c), (_, d, e), (_, _, f) = np.moveaxis(gram, 0, -1)
    minors = (a * d - b * b) + (a * f - c * c) + (d * f - e * e)
    determinant = a * (d * f - e * e) - b * (b * f - c * e) + c * (b * e - c * d)
    return ((a + d + f > 0) * 1 + (minors > 0) * 1 + (determinant > 0) * 1).astype(np.int8)


def _rank_table() -> NDArray[np.int64]:
    """Rank over the field with two elements of every set of vectors of {0, 1}^3.

    A set is a bit mask over the 8 vectors, a vector the number 4 x + 2 y + z.
    """
    table = np.zeros(256, dtype=np.int64)
    for mask in range(256):
        spanned = {0}
        for vector in range(8):
            if mask >> vector & 1:
                spanned |= {a ^ b for a, b in product(spanned, (vector,))}
        table[mask] = len(spanned).bit_length() - 1
    return table


_RANK_OF_MASK = _rank_table()


def _rank_mod_2(vectors: NDArray[np.int64], group: NDArray[np.int32], n_groups: int) -> NDArray[np.int64]:
    """Rank (n_groups,) of each group of integer vectors over the field with two elements."""
    mask = np.zeros(n_groups, dtype=np.int64)
    np.bitwise_or.at(mask, group, 1 << ((vectors % 2) @ np.array([4, 2, 1])))
    return _RANK_OF_MASK[mask]
