"""Voronoi cells cut out of a box, atom by atom, compiled.

The cell of an atom is what the planes halfway to its neighbours leave of a box. Neighbours come
from the nearest on: one farther than twice the farthest corner can cut nothing off, so there the
cell is whole, and where the neighbours at hand end before, more are fetched.

A face is a set of directed segments, its sides, in no order. That is enough: a plane shortens each
side by itself, a convex face is left and entered once, and the side that closes it is, turned round,
a side of the new face in the plane. Areas are sums over sides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Faces of a cell, and sides of a face, that there is room for; the cells of real crystals have
#: some 14 faces with 5 sides.
MAX_FACES, MAX_SIDES = 128, 48

#: What `cells` has to say.
WHOLE, TOO_MANY_POINTS, COINCIDENT, NO_ROOM = range(4)

#: Largest factor from a reach that did not suffice to the next one.
GROWTH = 1.5

# Distances that a reach is to be longer than are rounded, A.
_MARGIN = 1e-6


def _compiled(function: Callable) -> Any:
    """Compile a function when it is first called; the code is kept where there is a place for it."""
    try:
        return njit(cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(function)


@_compiled
def cells(
    lattice: NDArray[np.float64],
    heights: NDArray[np.float64],
    inside: NDArray[np.float64],
    first_reach: float,
    max_points: int,
    min_distance: float,
    min_area: float,
) -> tuple[int, float, NDArray[np.int64], NDArray[np.float64], float]:
    """Cut the Voronoi cell of every atom of a crystal.

    Parameters
    ----------
    lattice
        (3, 3), A; rows are the cell vectors.
    heights
        (3,), A; distances of opposite sides of the cell.
    inside
        (n, 3) fractional coordinates that lie in one cell.
    first_reach
        How far neighbours are fetched at first, A.
    max_points
        Images of atoms that are looked at for an atom; where more are needed, it is given up.
    min_distance
        Atoms nearer than this coincide, A.
    min_area
        Smallest face that is listed, A^2.

    Returns
    -------
    state
        `WHOLE`, or why there are no cells.
    reach
        The longest reach that an atom needed, A; at `TOO_MANY_POINTS` the one that it took too many for.
    neighbours
        (F, 5) int64: atom, atom on the other side of the face, and its cell relative to the
        first one's. Each face is met from both of its sides.
    area
        (F,), A^2.
    volume
        Of all cells together, A^3. No cell is cut by other planes than those of its neighbours,
        so none is too small, and all are right where this is the volume of the crystal's cell.
    """
    n = len(inside)
    spread = np.empty(3)
    box = 0.0
    for k in range(3):
        low = high = inside[0, k]
        for i in range(n):
            low, high = min(low, inside[i, k]), max(high, inside[i, k])
        spread[k] = high - low
        a, b, c = lattice[k, 0], lattice[k, 1], lattice[k, 2]
        box += np.sqrt(a * a + b * b + c * c)
    box *= 0.5 * (1.0 + 1e-9)  # no point is farther from an image of an atom than half of the sum

    start = np.empty((MAX_FACES, MAX_SIDES, 3))
    end = np.empty((MAX_FACES, MAX_SIDES, 3))
    beyond = np.empty((MAX_FACES, MAX_SIDES))
    n_sides = np.empty(MAX_FACES, np.int64)
    owner = np.empty(MAX_FACES, np.int64)
    room = 32 * n
    neighbours = np.empty((room, 5), np.int64)
    areas = np.empty(room)
    found = 0
    volume = 0.0
    longest = 0.0
    for i in range(n):
        reach = first_reach
        while True:
            looked_at = float(n)
            for k in range(3):
                looked_at *= 2.0 * np.floor(reach / heights[k] + spread[k]) + 1.0
            if not looked_at <= max_points:  # or it is not a number
                return TOO_MANY_POINTS, reach, neighbours[:0], areas[:0], 0.0
            names, vectors, squared = _near(lattice, heights, inside, i, reach, int(looked_at))
            order = np.argsort(squared)
            if len(order) and squared[order[0]] < min_distance * min_distance:
                return COINCIDENT, reach, neighbours[:0], areas[:0], 0.0
            faces = _box(start, end, n_sides, owner, box)
            farthest = 3.0 * box * box
            for neighbour in order:
                if squared[neighbour] > 4.0 * farthest:
                    break
                before = faces
                faces = _cut(
                    start,
                    end,
                    beyond,
                    n_sides,
                    owner,
                    faces,
                    vectors[neighbour],
                    squared[neighbour],
                    neighbour,
                )
                if faces < 0:
                    return NO_ROOM, reach, neighbours[:0], areas[:0], 0.0
                if faces != before or owner[faces - 1] == neighbour:
                    farthest = 0.0
                    for f in range(faces):
                        for s in range(n_sides[f]):
                            p = start[f, s]
                            farthest = max(farthest, p[0] * p[0] + p[1] * p[1] + p[2] * p[2])
            if reach * reach >= 4.0 * farthest:
                break
            # The farthest corner may be one that nothing has cut off yet.
            reach = min(2.0 * np.sqrt(farthest) + _MARGIN, GROWTH * reach)
        longest = max(longest, reach)
        if found + faces > room:
            room *= 2
            neighbours = np.concatenate((neighbours, np.empty_like(neighbours)))
            areas = np.concatenate((areas, np.empty_like(areas)))
        for f in range(faces):
            area = _area(start[f], end[f], n_sides[f])
            neighbour = owner[f]
            volume += area * np.sqrt(squared[neighbour]) / 6.0
            if area >= min_area:
                neighbours[found, 0] = i
                for k in range(4):
                    neighbours[found, k + 1] = names[neighbour, k]
                areas[found] = area
                found += 1
    return WHOLE, longest, neighbours[:found], areas[:found], volume


@_compiled
def _near(
    lattice: NDArray[np.float64],
    heights: NDArray[np.float64],
    inside: NDArray[np.float64],
    i: int,
    reach: float,
    room: int,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Images within a reach of an atom: atom and cell (P, 4), vector (P, 3) and squared length (P,)."""
    names = np.empty((room, 4), np.int64)
    vectors = np.empty((room, 3))
    squared = np.empty(room)
    found = 0
    low, high, apart = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3)
    for j in range(len(inside)):
        for k in range(3):
            apart[k] = inside[j, k] - inside[i, k]
            low[k] = int(np.ceil(-reach / heights[k] - apart[k]))
            high[k] = int(np.floor(reach / heights[k] - apart[k]))
        for a in range(low[0], high[0] + 1):
            for b in range(low[1], high[1] + 1):
                for c in range(low[2], high[2] + 1):
                    if j == i and a == 0 and b == 0 and c == 0:
                        continue
                    total = 0.0
                    for k in range(3):
                        x = (
                            (apart[0] + a) * lattice[0, k]
                            + (apart[1] + b) * lattice[1, k]
                            + (apart[2] + c) * lattice[2, k]
                        )
                        vectors[found, k] = x
                        total += x * x
                    if total <= reach * reach:
                        squared[found] = total
                        names[found, 0], names[found, 1], names[found, 2], names[found, 3] = j, a, b, c
                        found += 1
    return names[:found], vectors[:found], squared[:found]


@_compiled
def _box(
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    n_sides: NDArray[np.int64],
    owner: NDArray[np.int64],
    half: float,
) -> int:
    """Write the faces of a cube around the origin, and say how many they are."""
    turns = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
    for f in range(6):
        axis, sign = f // 2, 1.0 - 2.0 * (f % 2)
        for s in range(4):
            u, v = turns[s]
            start[f, s, axis] = end[f, (s + 3) % 4, axis] = sign * half
            start[f, s, (axis + 1) % 3] = end[f, (s + 3) % 4, (axis + 1) % 3] = u * half
            # Seen from outside all faces run the same way round.
            start[f, s, (axis + 2) % 3] = end[f, (s + 3) % 4, (axis + 2) % 3] = sign * v * half
        n_sides[f] = 4
        owner[f] = -1
    return 6


@_compiled
def _cut(
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    beyond: NDArray[np.float64],
    n_sides: NDArray[np.int64],
    owner: NDArray[np.int64],
    faces: int,
    vector: NDArray[np.float64],
    squared: float,
    neighbour: int,
) -> int:
    """Cut off what lies beyond the plane halfway to a neighbour; the number of faces after, or -1."""
    x, y, z = vector
    half = 0.5 * squared
    cuts = False
    for f in range(faces):
        for s in range(n_sides[f]):
            p = start[f, s]
            beyond[f, s] = p[0] * x + p[1] * y + p[2] * z - half
            cuts |= beyond[f, s] > 0.0
    if not cuts:
        return faces
    if faces == MAX_FACES:
        return -1
    new = 0
    kept = 0
    left, entered = np.empty(3), np.empty(3)
    for f in range(faces):
        whole, gone = True, True
        for s in range(n_sides[f]):
            whole &= beyond[f, s] <= 0.0
            gone &= beyond[f, s] > 0.0
        if gone:
            continue
        sides = 0
        crossings = 0
        for s in range(n_sides[f]):
            p, q = start[f, s], end[f, s]
            a = beyond[f, s]
            b = 0.0 if whole else q[0] * x + q[1] * y + q[2] * z - half
            if a > 0.0 and b > 0.0 and not whole:
                continue
            if not whole and (a > 0.0) != (b > 0.0):
                # From the corner that stays, so that both faces of a side find the same point.
                crossings += 1
                if a > 0.0:
                    t = b / (b - a)
                    for k in range(3):
                        entered[k] = q[k] + t * (p[k] - q[k])
                    p = entered
                else:
                    t = a / (a - b)
                    for k in range(3):
                        left[k] = p[k] + t * (q[k] - p[k])
                    q = left
            for k in range(3):
                start[kept, sides, k], end[kept, sides, k] = p[k], q[k]
            sides += 1
        if crossings:
            if sides == MAX_SIDES or new == MAX_SIDES or crossings != 2:
                return -1
            for k in range(3):
                start[kept, sides, k], end[kept, sides, k] = left[k], entered[k]
                start[MAX_FACES - 1, new, k], end[MAX_FACES - 1, new, k] = entered[k], left[k]
            sides += 1
            new += 1
        n_sides[kept] = sides
        owner[kept] = owner[f]
        kept += 1
    for s in range(new):
        for k in range(3):
            start[kept, s, k], end[kept, s, k] = start[MAX_FACES - 1, s, k], end[MAX_FACES - 1, s, k]
    n_sides[kept] = new
    owner[kept] = neighbour
    return kept + 1


@_compiled
def _area(start: NDArray[np.float64], end: NDArray[np.float64], sides: int) -> float:
    """Area of a plane face from its directed sides."""
    x = y = z = 0.0
    for s in range(sides):
        a, b = start[s] - start[0], end[s] - start[0]
        x += a[1] * b[2] - a[2] * b[1]
        y += a[2] * b[0] - a[0] * b[2]
        z += a[0] * b[1] - a[1] * b[0]
    return 0.5 * np.sqrt(x * x + y * y + z * z)
