"""Which atoms of a crystal are bonded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpclean.crystal.bonding.radii import COVALENT_RADII
from mpclean.crystal.bonding.voronoi import RESOLUTION, Faces, images_within, qhull_faces, voronoi_faces, wrap
from mpclean.crystal.crystal import Crystal
from mpclean.vocabulary.elements import SYMBOLS

if TYPE_CHECKING:
    from pymatgen.core import Structure

#: A bond is at most this much longer than the sum of the covalent radii, A.
BOND_TOLERANCE = 0.5

#: No bond is longer than this, A.
MAX_BOND_LENGTH = 6.0

#: Faces smaller than this are no bonds in a production build, A^2. Cells that touch along an edge
#: or at a corner get faces of rounding, which grow with the noise of the coordinates, linearly where
#: they touch along an edge: in simple cubic, 6e-5 A^2 at 1e-5 A. So coordinates of some 1e-5 A of
#: noise, as written with six digits or more, give the bonds of the ideal crystal.
MIN_AREA = 1e-4


class MissingRadiusError(Exception):
    """An element has no covalent radius, so its bonds cannot be told."""


@dataclass(frozen=True)
class BondGraph:
    """Directed edges of a crystal; both directions of every bond are listed.

    Attributes
    ----------
    source, target
        (E,) int64; atoms, in the order of the crystal's sites.
    image
        (E, 3) int64; cell of the target atom relative to the source atom's.
    length
        (E,) float64, A.
    area
        (E,) float64, A^2; face that the two atoms share, equal in both directions of a bond. None of a
        graph of all neighbours within a radius, which knows no faces.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    image: NDArray[np.int64]
    length: NDArray[np.float64]
    area: NDArray[np.float64] | None


def bond_graph(crystal: Crystal | Structure, min_area: float = MIN_AREA) -> BondGraph:
    """Bonds of a crystal: faces of the Voronoi tessellation between atoms that are close.

    Two atoms are bonded through an image if they share a face of the periodic Voronoi
    tessellation with an area of at least `min_area`, and if their distance is at most the
    sum of their covalent radii + `BOND_TOLERANCE` and at most `MAX_BOND_LENGTH`
    (Kaba & Ravanbakhsh 2022, section 8, after Isayev et al. 2017, doi 10.1038/ncomms15679).

    Parameters
    ----------
    crystal
        A `Crystal` or a pymatgen structure; edges refer to its sites in their order.
    min_area
        Smallest area of a face that makes a bond, A^2. 0 takes every face that Qhull finds,
        those of rounding included, as pymatgen's `IsayevNN` does; Qhull also decides where the
        area of a face is within `RESOLUTION` of the limit.

    Raises
    ------
    MissingRadiusError
        If an element has no covalent radius.
    TessellationError
        If the tessellation fails.
    """
    if not isinstance(crystal, Crystal):
        crystal = Crystal.from_pymatgen(crystal)
    radii = COVALENT_RADII[crystal.atomic_numbers]
    if np.isnan(radii).any():
        missing = sorted({SYMBOLS[z] for z in crystal.atomic_numbers[np.isnan(radii)]})
        raise MissingRadiusError(f"no covalent radius is known for {', '.join(missing)}")
    if min_area > 2.0 * RESOLUTION:
        faces = voronoi_faces(crystal.lattice, crystal.frac_coords)
        near = _near(faces, radii)
        if not (near & (np.abs(faces.area - min_area) < RESOLUTION)).any():
            return _bonds(faces, near & (faces.area >= min_area))
    faces = qhull_faces(crystal.lattice, crystal.frac_coords)
    return _bonds(faces, _near(faces, radii) & (faces.area >= min_area))


def _near(faces: Faces, radii: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the two atoms of each face (F,) are close enough for a bond."""
    longest = np.minimum(radii[faces.source] + radii[faces.target] + BOND_TOLERANCE, MAX_BOND_LENGTH)
    return faces.length <= longest


def _bonds(faces: Faces, bonded: NDArray[np.bool_]) -> BondGraph:
    return BondGraph(
        faces.source[bonded],
        faces.target[bonded],
        faces.image[bonded],
        faces.length[bonded],
        faces.area[bonded],
    )


def radius_graph(crystal: Crystal | Structure, cutoff: float) -> BondGraph:
    """Every pair of atoms nearer than a cutoff, through every image.

    Parameters
    ----------
    crystal
        A `Crystal` or a pymatgen structure; edges refer to its sites in their order.
    cutoff
        Longest edge, A.

    Raises
    ------
    TessellationError
        If the cell is so small or flat that the images to look at exceed their bound.
    """
    if not isinstance(crystal, Crystal):
        crystal = Crystal.from_pymatgen(crystal)
    inside, cells = wrap(crystal.frac_coords)
    atom, image, distance = images_within(crystal.lattice, inside, cutoff)
    itself = np.arange(len(crystal))
    distance[itself, itself] = np.inf
    point, source = np.nonzero(distance <= cutoff)
    target = atom[point]
    shift = image[point] + cells[source] - cells[target]
    order = np.lexsort((*shift.T[::-1], target, source))
    return BondGraph(source[order], target[order], shift[order], distance[point, source][order], None)
