"""What a drawing of a crystal shows: a cube cut out of it, with its bonds and the outline of one cell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from mpclean.crystal.bonding import bond_graph
from mpclean.crystal.bonding.graph import BondGraph, MissingRadiusError
from mpclean.crystal.bonding.radii import COVALENT_RADII
from mpclean.crystal.bonding.voronoi import TessellationError
from mpclean.crystal.crystal import Crystal
from mpclean.vocabulary.elements import SYMBOLS

#: What is drawn is a cube with edges of this length, A, or of one that holds a cell as large, ...
SMALLEST_BLOCK = 10.0

#: ... as long as it holds about this many atoms.
MOST_ATOMS = 120

#: Places of atoms that are looked at for that.
_MOST_PLACES = 1_000_000

#: An atom is drawn with this part of its covalent radius, so that the bonds between atoms are seen.
_SIZE = 0.45

#: Covalent radius of the elements of which none is known, A.
_UNKNOWN_RADIUS = 1.5

_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])

#: Corners that an edge of the cell joins.
CELL_EDGES = [(i, j) for i in range(8) for j in range(i) if np.abs(_CORNERS[i] - _CORNERS[j]).sum() == 1]


@dataclass(frozen=True)
class Scene:
    """A cube cut out of a crystal, as seen by the reader: x to the right, y up, z towards them.

    Attributes
    ----------
    atomic_numbers
        (N,) of the atoms.
    places
        (N, 3) of the atoms, A, from the middle of the cell.
    bonds
        (M, 2) atoms that are bonded, each pair once.
    corners
        (8, 3) of the cell, A; `CELL_EDGES` says which of them an edge joins.
    """

    atomic_numbers: NDArray[np.uint8]
    places: NDArray[np.float64]
    bonds: NDArray[np.int64]
    corners: NDArray[np.float64]

    @property
    def radii(self) -> NDArray[np.float64]:
        """(N,) radii of the drawn balls, A."""
        return _SIZE * np.nan_to_num(COVALENT_RADII, nan=_UNKNOWN_RADIUS)[self.atomic_numbers]

    def to_json(self) -> str:
        """Give the scene as ``crystal_view.js`` reads it, with places to 0.01 A."""
        numbers, element = np.unique(self.atomic_numbers, return_inverse=True)
        radius = dict(zip(self.atomic_numbers.tolist(), self.radii.tolist(), strict=True))
        hexadecimal = ["#" + "".join(f"{round(255 * part):02x}" for part in c) for c in colours()[numbers]]
        return json.dumps(
            {
                "elements": [
                    [SYMBOLS[z], colour, round(radius[z], 2)]
                    for z, colour in zip(numbers.tolist(), hexadecimal, strict=True)
                ],
                "element": element.tolist(),
                "places": np.round(self.places, 2).tolist(),
                "bonds": self.bonds.tolist(),
                "corners": np.round(self.corners, 2).tolist(),
                "edges": CELL_EDGES,
            },
            separators=(",", ":"),
        )


@cache
def colours() -> NDArray[np.float64]:
    """Give the colours of the elements by atomic number, (119, 3), those of VESTA where it has one."""
    from pymatgen.vis.structure_vtk import EL_COLORS

    known = EL_COLORS["VESTA"]
    return np.array([known.get(symbol, (150, 150, 150)) for symbol in SYMBOLS]) / 255


def cut_out(crystal: Crystal) -> Scene:
    """Cut a cube out of a crystal, and turn it so that its shape is seen.

    Layers lie flat and chains stand upright; of all others the third cell vector does. Where no bonds
    are found the scene has none.

    Parameters
    ----------
    crystal
        Any cell, of elements up to oganesson.
    """
    size, middle = _block_size(crystal), np.full(3, 0.5)
    atom, cell, position = _around(crystal, size, middle)
    if not (np.linalg.norm(position, axis=1) <= 0.5 * size).any():  # the cell is long, and empty there
        middle = crystal.frac_coords[0]
        atom, cell, position = _around(crystal, size, middle)
    ends = _bonded(atom, cell, _bonds(crystal))
    upright = _upright(crystal.lattice, position, ends)
    inside = np.abs(position @ upright.T).max(axis=1) <= 0.5 * size + 0.05
    view = _TILTED @ upright
    return Scene(
        atomic_numbers=crystal.atomic_numbers[atom[inside]],
        places=position[inside] @ view.T,
        bonds=(np.cumsum(inside) - 1)[ends[inside[ends].all(axis=1)]],
        corners=(_CORNERS - middle) @ crystal.lattice @ view.T,
    )


def _block_size(crystal: Crystal) -> float:
    """Give the edge of the cube, A."""
    atoms_per_volume = len(crystal) / crystal.volume
    return float(
        min(max(SMALLEST_BLOCK, crystal.volume ** (1 / 3)), (MOST_ATOMS / atoms_per_volume) ** (1 / 3))
    )


def _bonds(crystal: Crystal) -> BondGraph:
    try:
        return bond_graph(crystal)
    except (MissingRadiusError, TessellationError):
        nothing = np.zeros(0, dtype=np.int64)
        return BondGraph(nothing, nothing, np.zeros((0, 3), dtype=np.int64), np.zeros(0), None)


def _around(
    crystal: Crystal, size: float, middle: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Find atom (n,), cell (n, 3) and place (n, 3), A, of all that a turned cube may hold."""
    radius = 0.5 * np.sqrt(3.0) * size + 0.1
    # Planes of the lattice are 1 / |reciprocal vector| apart; coordinates are in or next to the cell.
    reach = np.ceil(radius * np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)) + 1
    # A basis so skew that this is not enough lets the drawing fray at its border.
    reach = np.minimum(reach, 0.5 * (_MOST_PLACES / len(crystal)) ** (1 / 3)).astype(np.int64)
    cells = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    place = (crystal.frac_coords - middle + cells[:, None, :]) @ crystal.lattice
    which, atom = np.nonzero(np.linalg.norm(place, axis=2) <= radius)
    return atom, cells[which], place[which, atom]


def _bonded(atom: NDArray[np.int64], cell: NDArray[np.int64], bonds: BondGraph) -> NDArray[np.int64]:
    """Find the pairs (m, 2) of the listed atoms that are bonded, each pair once."""
    pairs = []
    place = {key: k for k, key in enumerate(zip(atom.tolist(), *cell.T.tolist(), strict=True))}
    for i, j, image in zip(bonds.source.tolist(), bonds.target.tolist(), bonds.image, strict=True):
        for first in np.flatnonzero(atom == i).tolist():
            second = place.get((j, *(cell[first] + image).tolist()))
            if second is not None and first < second:
                pairs.append((first, second))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _upright(
    lattice: NDArray[np.float64], position: NDArray[np.float64], ends: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Find right, up and towards the reader, the rows of a rotation (3, 3)."""
    up = lattice[2]
    graph = coo_array((np.ones(len(ends)), ends.T), shape=(len(position), len(position)))
    _, component = connected_components(graph, directed=False)
    # Where the largest component of the crystal is flat or thin, it tells what is up.
    largest = position[component == np.bincount(component).argmax()]
    if 3 < len(largest) < len(position):
        spread, axes = np.linalg.eigh(np.cov(largest.T))
        if spread[1] < 0.25 * spread[2]:
            up = axes[:, 2]
        elif spread[0] < 0.25 * spread[1]:
            up = axes[:, 0]
    up = up / np.linalg.norm(up)
    up = up * np.sign(up[np.abs(up).argmax()])
    # Of the cell vectors the one that is farthest from the vertical points to the right.
    flat = lattice - np.outer(lattice @ up, up)
    right = flat[np.linalg.norm(flat, axis=1).argmax()]
    right = right / np.linalg.norm(right)
    return np.array([right, up, np.cross(right, up)])


#: The view: the upright crystal turned about its vertical, then tilted forward.
_TILTED = Rotation.from_euler("yx", (-20.0, 10.0), degrees=True).as_matrix()
