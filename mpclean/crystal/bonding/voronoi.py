"""The exact periodic Voronoi tessellation of a crystal, computed on one cell.

Two ways lead to it. `voronoi_faces` cuts the cell of every atom out of a box by the planes halfway to
its neighbours (`mpclean.crystal.bonding.clipping`): fast, and proven right afterwards by the volume. It
leaves out faces below `RESOLUTION`, which rounding makes and unmakes. `qhull_faces` lists those as
well, as Qhull finds them: it is the judge of what is smaller, and of crystals that the first way
does not answer.

Qhull tessellates a finite cloud of points, so the question is which cloud is enough. The
Voronoi cell of an atom is cut out by the bisecting planes to other atoms; a plane can cut
a cell whose farthest vertex lies at distance r only if its atom is nearer than 2 r. Cells
of a cloud that is too small are too large, never too small. So: tessellate a cloud, take
the farthest vertex of the central cells, and accept if the cloud reaches twice as far;
otherwise grow the cloud to exactly that reach, which then must be enough. No point is farther
from an image of an atom than half of the sum of the cell's edges, whatever rounding makes of a
vertex.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import QhullError, Voronoi

from mpclean.crystal.linear import determinant, heights, matmul

#: Coordinates are wrapped into [-WRAP, 1 - WRAP), so that an atom at 1 - 1e-12 is the one at 0.
WRAP = 1e-9

#: Atoms nearer than this coincide, A; Qhull would merge them and give the others wrong faces.
COINCIDENT = 1e-3

#: Areas are told apart to this, A^2: `voronoi_faces` lists no smaller ones.
RESOLUTION = 1e-6

#: Relative difference of volumes that rounding explains; a lost face of 0.01 A^2 makes more.
VOLUME_TOLERANCE = 1e-9

#: Reach of the first cloud in units of the cube root of the volume per atom. Larger costs
#: points, smaller costs a second tessellation.
FIRST_REACH = 2.1

#: A crystal whose cloud would exceed this is given up: work is bounded by points, not by
#: time, so that the verdict does not depend on the machine.
MAX_POINTS = 60_000

#: The same for what Qhull is given, which takes the square of their number where the cells are long and
#: narrow. Of 67,185 crystals of the Materials Project it is given 182 with up to 872 points, and one with
#: 19,978.
MAX_QHULL_POINTS = 20_000


class TessellationError(Exception):
    """The tessellation does not exist or would need too many points."""


@dataclass(frozen=True)
class Faces:
    """Faces of the tessellation, each listed from both sides.

    Attributes
    ----------
    source, target
        (F,) int64; atoms on the two sides.
    image
        (F, 3) int64; cell of the target atom relative to the source atom's.
    length
        (F,) float64, A; distance of the two atoms.
    area
        (F,) float64, A^2; the larger one where rounding gave the two sides different areas.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    image: NDArray[np.int64]
    length: NDArray[np.float64]
    area: NDArray[np.float64]


def wrap(frac_coords: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Split coordinates into a part inside the cell and whole cells.

    Parameters
    ----------
    frac_coords
        (n, 3) fractional coordinates.

    Returns
    -------
    inside
        (n, 3) in [-WRAP, 1 - WRAP).
    cells
        (n, 3) int64 with ``frac_coords = inside + cells``.
    """
    cells = np.floor(frac_coords + WRAP)
    return frac_coords - cells, cells.astype(np.int64)


def images_within(
    lattice: NDArray[np.float64], inside: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Every periodic image of an atom that lies within a distance of an atom of the cell.

    Parameters
    ----------
    lattice
        (3, 3), A; rows are the cell vectors.
    inside
        (n, 3) wrapped fractional coordinates.
    reach
        Distance, A.

    Returns
    -------
    atom
        (P,) int64; the n atoms of the cell itself come first, in their order.
    image
        (P, 3) int64; cell of each point.
    distance
        (P, n) float64, A; to every atom of the cell.

    Raises
    ------
    TessellationError
        If the images to be looked at exceed `MAX_POINTS`.
    """
    n = len(inside)
    # Atoms lie inside the cell, so an image R cells away is at least |R| - 1 heights away.
    spread = inside.max(axis=0) - inside.min(axis=0)
    span = np.floor(reach / heights(lattice) + spread).astype(np.int64)
    if n * np.prod(2.0 * span + 1.0) > MAX_POINTS:
        raise TessellationError(f"more than {MAX_POINTS} points within {reach:.1f} A")
    axes = [np.arange(-s, s + 1) for s in span]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    cells = cells[np.argsort(np.any(cells != 0, axis=1), kind="stable")]
    centres = matmul(inside, lattice)
    points = (matmul(cells, lattice)[:, None, :] + centres).reshape(-1, 3)
    squared = np.zeros((len(points), n))
    for axis in range(3):
        apart = points[:, axis, None] - centres[:, axis]
        squared += apart * apart
    near = squared.min(axis=1) <= reach * reach + 1e-6
    near[:n] = True
    index = np.nonzero(near)[0]
    distance = np.sqrt(squared[index])
    return index % n, cells[index // n], distance


def voronoi_faces(lattice: NDArray[np.float64], frac_coords: NDArray[np.float64]) -> Faces:
    """Compute the faces of the periodic Voronoi tessellation of a crystal that are larger than `RESOLUTION`.

    The cells are accepted where they fill the crystal's cell and every face is there from both of
    its sides; otherwise Qhull is asked, also where the cells would need more than `MAX_POINTS`.

    Parameters
    ----------
    lattice
        (3, 3), A; rows are the cell vectors.
    frac_coords
        (n, 3) fractional coordinates, wrapped or not.

    Returns
    -------
    Faces sorted by source, target and image; images refer to the coordinates as given.

    Raises
    ------
    TessellationError
        If atoms coincide, the cell is flat, or more points would be needed than `MAX_POINTS`, or than
        `MAX_QHULL_POINTS` where it comes to Qhull.
    """
    from mpclean.crystal.bonding import clipping  # compiled: loaded only where it is needed

    if not (np.isfinite(lattice).all() and np.isfinite(frac_coords).all()):
        raise TessellationError("coordinates are not finite")
    inside, cells = wrap(frac_coords)
    volume = abs(float(determinant(lattice)))
    state, reach, neighbours, area, filled = clipping.cells(
        np.ascontiguousarray(lattice),
        heights(lattice),
        inside,
        FIRST_REACH * (volume / len(inside)) ** (1.0 / 3.0),
        MAX_POINTS,
        COINCIDENT,
        RESOLUTION,
    )
    if state == clipping.COINCIDENT:
        raise TessellationError("atoms coincide")
    if state == clipping.WHOLE and abs(filled - volume) <= VOLUME_TOLERANCE * volume:
        source, target = neighbours[:, 0], neighbours[:, 1]
        image = neighbours[:, 2:] + cells[source] - cells[target]
        there, back = _codes(source, target, image), _codes(target, source, -image)
        order, other = np.argsort(there), np.argsort(back)
        if (there[order] == back[other]).all():
            return _faces(
                lattice,
                frac_coords,
                source[order],
                target[order],
                image[order],
                np.maximum(area[order], area[other]),
            )
    # Where they were too many, the reach before that one did not suffice, for Qhull neither.
    too_short = reach / clipping.GROWTH if state == clipping.TOO_MANY_POINTS else 0.0
    faces = qhull_faces(lattice, frac_coords, too_short)
    large = faces.area >= RESOLUTION
    return Faces(*(getattr(faces, field.name)[large] for field in fields(Faces)))


def qhull_faces(
    lattice: NDArray[np.float64], frac_coords: NDArray[np.float64], least_reach: float = 0.0
) -> Faces:
    """All faces of the periodic Voronoi tessellation of a crystal, those of rounding included.

    Parameters
    ----------
    lattice, frac_coords
        As for `voronoi_faces`, which says what is returned too.
    least_reach
        How far the cloud must reach at least, A, where that is known.

    Raises
    ------
    TessellationError
        If Qhull fails (coincident atoms, a flat cell) or the cloud grows beyond `MAX_QHULL_POINTS`.
    """
    inside, cells = wrap(frac_coords)
    n = len(inside)
    farthest = 0.5 * np.linalg.norm(lattice, axis=1).sum()
    reach = max(least_reach, FIRST_REACH * (abs(float(determinant(lattice))) / n) ** (1.0 / 3.0))
    while True:
        atom, image, distance = images_within(lattice, inside, reach)
        if len(atom) > MAX_QHULL_POINTS:
            raise TessellationError(f"more than {MAX_QHULL_POINTS} points within {reach:.1f} A")
        np.fill_diagonal(distance, np.inf)  # the first points are the atoms themselves
        if distance.min(initial=np.inf) < COINCIDENT:
            raise TessellationError("atoms coincide")
        points = matmul(inside[atom] + image, lattice)
        try:
            diagram = Voronoi(points)
        except (QhullError, ValueError) as error:
            reach *= 1.5  # a cloud of a few points may be flat although the crystal is not
            if len(points) > MAX_POINTS // 8:
                raise TessellationError(f"Qhull: {str(error).splitlines()[0]}") from error
            continue
        central = (diagram.ridge_points < n).any(axis=1)
        pairs = diagram.ridge_points[central].astype(np.int64)
        polygons = [diagram.ridge_vertices[k] for k in np.nonzero(central)[0]]
        if not polygons:
            raise TessellationError("no faces")
        corners = np.concatenate(polygons)
        if corners.min() < 0:
            reach *= 1.5
            continue
        sides = np.array([len(polygon) for polygon in polygons])
        corner_points = diagram.vertices[corners]
        # Both atoms of a face are equally far from its corners.
        radius = np.linalg.norm(corner_points - points[np.repeat(pairs[:, 0], sides)], axis=1).max()
        radius = min(radius, farthest)
        if reach >= 2.0 * radius:
            break
        reach = 2.0 * radius + 1e-6
    area = _polygon_areas(corner_points, sides)
    return _both_sides(lattice, frac_coords, cells, pairs, area, atom, image)


def _polygon_areas(corners: NDArray[np.float64], sides: NDArray[np.int64]) -> NDArray[np.float64]:
    """Areas (F,) of plane polygons whose corners (K, 3) follow each other in cyclic order."""
    first = np.cumsum(sides) - sides
    following = np.arange(1, len(corners) + 1)
    following[first + sides - 1] = first
    relative = corners - np.repeat(corners[first], sides, axis=0)
    crossed = np.cross(relative, relative[following])
    return 0.5 * np.linalg.norm(np.add.reduceat(crossed, first, axis=0), axis=1)


def _both_sides(
    lattice: NDArray[np.float64],
    frac_coords: NDArray[np.float64],
    cells: NDArray[np.int64],
    pairs: NDArray[np.int64],
    area: NDArray[np.float64],
    atom: NDArray[np.int64],
    image: NDArray[np.int64],
) -> Faces:
    """List every face that touches a central atom from both of its sides, once each.

    A face between the cell and its surroundings is met twice, as i -> (j, R) and as
    j -> (i, -R), and where it is degenerate rounding may give it to one side only. What one
    side has, both get.
    """
    i, j = atom[pairs].T
    shift = image[pairs[:, 1]] - image[pairs[:, 0]] + cells[i] - cells[j]
    source = np.concatenate([i, j])
    target = np.concatenate([j, i])
    shift = np.concatenate([shift, -shift])
    area = np.concatenate([area, area])
    code = _codes(source, target, shift)
    order = np.lexsort((-area, code))
    keep = order[np.concatenate([[True], np.diff(code[order]) != 0])]
    return _faces(lattice, frac_coords, source[keep], target[keep], shift[keep], area[keep])


def _codes(
    source: NDArray[np.int64], target: NDArray[np.int64], image: NDArray[np.int64]
) -> NDArray[np.int64]:
    """One number for every face (F,), which sorts them by source, target and image."""
    base = 2 * int(np.abs(image).max(initial=0)) + 1
    code = source * (int(max(source.max(initial=0), target.max(initial=0))) + 1) + target
    for axis in range(3):
        code = code * base + (image[:, axis] + base // 2)
    return code


def _faces(
    lattice: NDArray[np.float64],
    frac_coords: NDArray[np.float64],
    source: NDArray[np.int64],
    target: NDArray[np.int64],
    image: NDArray[np.int64],
    area: NDArray[np.float64],
) -> Faces:
    """Faces with the lengths that the coordinates as given say."""
    vectors = matmul(frac_coords[target] + image - frac_coords[source], lattice)
    return Faces(source, target, image, np.linalg.norm(vectors, axis=1), area)
