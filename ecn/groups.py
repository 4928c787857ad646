"""Groups that act on the cells of a periodic supercell; pure integers, no torch.

An m x m x m supercell has m^3 cells. Cell ``(b1, b2, b3)``, with centring vector
``b1 a1 + b2 a2 + b3 a3``, has the index ``(b1 m + b2) m + b3``; for m = 2 this is the bit
code ``4 b1 + 2 b2 + b3``, and the difference of two cells is the exclusive or of their
indices. A permutation is an integer array ``g`` that sends cell ``c`` to ``g[c]``.

Source: Kaba & Ravanbakhsh, *Equivariant Networks for Crystal Structures*, NeurIPS 2022
(arXiv 2211.15420), section 5: the symmetries of the lattice, and the hierarchy of larger
groups of eq. 6.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpclean.bravais import BRAVAIS_TYPES, point_group_generators

Permutation = NDArray[np.int64]

#: Names of the cell groups; "P1bar" is the paper's name of the triclinic lattice's group.
GROUPS = ("S8", "P1bar", *BRAVAIS_TYPES)


def cell_offsets(m: int = 2) -> NDArray[np.int64]:
    """The integer coordinates ``(b1, b2, b3)`` of every cell, by index.

    Parameters
    ----------
    m
        Side of the supercell, in unit cells.

    Returns
    -------
    Array of shape (m^3, 3), int64.
    """
    return np.stack(np.unravel_index(np.arange(m**3), (m, m, m)), axis=1).astype(np.int64)


def cell_index(offsets: NDArray[np.integer], m: int = 2) -> NDArray[np.int64]:
    """The index of the cell in the supercell that integer coordinates are equivalent to.

    Parameters
    ----------
    offsets
        Integer coordinates, shape (..., 3); taken modulo `m`.
    m
        Side of the supercell, in unit cells.

    Returns
    -------
    Array of shape (...,), int64.
    """
    b1, b2, b3 = np.moveaxis(np.mod(offsets, m), -1, 0).astype(np.int64)
    return (b1 * m + b2) * m + b3


def translations(m: int = 2) -> list[Permutation]:
    """Generators of the translations, ``b -> b + a_k mod m``.

    Parameters
    ----------
    m
        Side of the supercell, in unit cells.

    Returns
    -------
    Three permutations of the m^3 cells.
    """
    return [cell_index(cell_offsets(m) + step, m) for step in np.eye(3, dtype=np.int64)]


def point_permutations(bravais_lattice: str, m: int = 2) -> list[Permutation]:
    """The holohedry of a Bravais lattice on the cells, ``b -> W b mod m``.

    Parameters
    ----------
    bravais_lattice
        One of `mpclean.bravais.BRAVAIS_TYPES`; the basis is the primitive one of its type.
    m
        Side of the supercell, in unit cells.

    Returns
    -------
    A permutation of the m^3 cells for every generator. The origin cell stays in place.

    Raises
    ------
    KeyError
        If the type is unknown.
    """
    return [cell_index(cell_offsets(m) @ W.T, m) for W in point_group_generators(bravais_lattice)]


def cell_group(name: str, m: int = 2) -> list[Permutation]:
    """Generators of a group that acts on the cells of the supercell.

    Parameters
    ----------
    name
        A Bravais type, for the symmetries of its lattice (translations and holohedry);
        "P1bar" for aP, as the paper calls it; "S8" for all permutations of the cells.
    m
        Side of the supercell, in unit cells.

    Returns
    -------
    Permutations of the m^3 cells.

    Raises
    ------
    ValueError
        If the group is unknown.
    """
    if name not in GROUPS:
        raise ValueError(f"unknown group {name!r}; known: {', '.join(GROUPS)}")
    if name == "S8":
        cycle = np.roll(np.arange(m**3), 1)
        swap = np.arange(m**3)
        swap[[0, 1]] = [1, 0]
        return [cycle, swap]
    return translations(m) + point_permutations("aP" if name == "P1bar" else name, m)
