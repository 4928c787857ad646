"""What a crystal must keep to before anything is computed of it.

A search for symmetry or for neighbours in an absurd cell may take minutes or all memory, so each bound is
tested here, before the work.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.linear import heights, inverse, matmul
from mpclean.errors import RecordError

#: Atoms nearer than this stand for one that was written twice, A; no bond is half as short as H-H, 0.74.
MIN_DISTANCE = 0.1

#: Shortest vector of a lattice, A; none is known below 1 A. A search for symmetry to 0.1 A does not end, and
#: takes all memory, where a long cell repeats after 0.2 A.
MIN_PERIOD = 0.5

#: Cells beyond this are not looked at; the largest of the Materials Project has some 450 atoms.
MAX_SITES = 2_000

#: Thickest layer without an atom, A; slabs are computed with less than half as much vacuum. A search for
#: neighbours reaches as far as the emptiness around an atom, and takes minutes where a short cell repeats.
MAX_GAP = 100.0

#: Smallest volume of an atom, A^3: a third of the least that hydrogen takes at a million atmospheres.
MIN_VOLUME = 0.1


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # of absurd cells, which are found out
def require_bounds(crystal: Crystal) -> None:
    """Refuse a crystal that no one can have meant.

    Parameters
    ----------
    crystal
        Any cell.

    Raises
    ------
    RecordError
        If it has no atoms or no volume, is not finite or out of all range, or if atoms coincide.
    """
    if not len(crystal):
        raise RecordError("no atoms")
    if not np.isfinite(crystal.lattice).all():
        raise RecordError("cell is not finite")
    if len(crystal) > MAX_SITES:
        raise RecordError("too many atoms", f"{len(crystal)} atoms, at most {MAX_SITES} are looked at")
    edges = np.linalg.norm(crystal.lattice, axis=1)
    # Before the coordinates: Cartesian ones are not finite in a cell without volume.
    if crystal.volume <= 1e-6 * edges.prod() or crystal.volume < MIN_VOLUME * len(crystal):
        raise RecordError("cell has no volume", f"{crystal.volume:.3g} A^3 for {len(crystal)} atoms")
    if not np.isfinite(crystal.frac_coords).all():
        raise RecordError("coordinates are not finite")
    if np.abs(crystal.frac_coords).max() > 1e6 or edges.max() > 1e4:
        raise RecordError("cell or coordinates out of range", f"cell edges {edges.round(1).tolist()} A")
    reduced = _reduced(crystal.lattice)
    lengths = np.linalg.norm(reduced, axis=1)
    if lengths.min() < MIN_PERIOD:
        raise RecordError("atoms coincide", f"every atom and an image of it are {lengths.min():.3g} A apart")
    if lengths.max() > MAX_GAP and (gap := _gap(crystal, reduced)) > MAX_GAP:
        raise RecordError(
            "cell or coordinates out of range", f"no atom in a layer of {gap:.0f} A; at most {MAX_GAP:.0f} A"
        )
    inside = crystal.frac_coords % 1.0 % 1.0  # the first one rounds -1e-17 to 1
    near = cKDTree(inside, boxsize=1.0).query_pairs(
        MIN_DISTANCE / heights(crystal.lattice).min(), p=np.inf, output_type="ndarray"
    )
    apart = inside[near[:, 0]] - inside[near[:, 1]]
    distance = np.linalg.norm(matmul(apart - np.rint(apart), crystal.lattice), axis=1)
    if distance.min(initial=np.inf) < MIN_DISTANCE:
        first, second = near[distance.argmin()]
        raise RecordError("atoms coincide", f"sites {first} and {second} are {distance.min():.3g} A apart")


def _gap(crystal: Crystal, basis: NDArray[np.float64]) -> float:
    """Return the thickness of the thickest empty layer between planes of a basis of the lattice, A."""
    places = matmul(crystal.frac_coords, matmul(crystal.lattice, inverse(basis)))
    places = np.sort(places % 1.0, axis=0)
    gaps = np.diff(places, axis=0, append=places[:1] + 1.0).max(axis=0)
    return float((gaps * heights(basis)).max())


def _reduced(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return three short vectors of a lattice, (3, 3) in A, of which no pair makes a shorter one.

    Its volume is above a millionth of that of a box with its edges, so this ends after a few rounds.
    """
    vectors = lattice.copy()
    for _ in range(100):
        before = vectors.copy()
        for i, j in permutations(range(3), 2):
            along = (vectors[i] * vectors[j]).sum() / (vectors[j] * vectors[j]).sum()
            vectors[i] -= np.rint(along) * vectors[j]
        if np.array_equal(vectors, before):
            break
    return vectors
