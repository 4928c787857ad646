"""Drawings of crystals: atoms and bonds of a few cells, seen from the side."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

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
from mpclean.inspection.report.base import Plot
from mpclean.inspection.report.style import INK
from mpclean.release.reader import CRYSTAL
from mpclean.vocabulary.elements import SYMBOLS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What is drawn is a cube with edges of this length, A, or of one that holds a cell as large, ...
SMALLEST_BLOCK = 10.0

#: ... as long as it holds about this many atoms.
MOST_ATOMS = 120

#: Places of atoms that are looked at for that.
_MOST_PLACES = 1_000_000

#: Side of a drawing, inches.
SIDE = 2.4

#: An atom is drawn with this part of its covalent radius.
_SIZE = 0.45

#: Slices from back to front, each drawn over those before it.
_SLICES = 10

#: What the last slice has of white: what is far is pale.
_HAZE = 0.55


def draw(crystal: Crystal) -> Figure:
    """A cube cut out of a crystal, with bonds, the outline of one cell, and a key of elements.

    Layers lie flat and chains stand upright; of all others the third cell vector does. Where no bonds
    are found there are none in the drawing.

    Parameters
    ----------
    crystal
        Any cell, of elements up to oganesson.
    """
    from matplotlib.figure import Figure

    size, middle = _block_size(crystal), np.full(3, 0.5)
    atom, cell, position = _around(crystal, size, middle)
    if not (np.linalg.norm(position, axis=1) <= 0.5 * size).any():  # the cell is long, and empty there
        middle = crystal.frac_coords[0]
        atom, cell, position = _around(crystal, size, middle)
    ends = _bonded(atom, cell, _bonds(crystal))
    upright = _upright(crystal.lattice, position, ends)
    inside = np.abs(position @ upright.T).max(axis=1) <= 0.5 * size + 0.05
    ends = (np.cumsum(inside) - 1)[ends[inside[ends].all(axis=1)]]
    view = _TILTED @ upright
    seen = position[inside] @ view.T
    corners = (_CORNERS - middle) @ crystal.lattice @ view.T

    figure = Figure(figsize=(SIDE, SIDE + 0.25))
    axis = figure.add_axes((0.0, 0.25 / (SIDE + 0.25), 1.0, SIDE / (SIDE + 0.25)))
    _draw_block(axis, crystal.atomic_numbers[atom[inside]], seen, ends)
    for i, j in _EDGES:
        axis.plot(*corners[[i, j], :2].T, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=_SLICES)
    reach = 1.5 + np.abs(seen[:, :2]).max(initial=1.0)
    reach = max(reach, min(0.3 + np.abs(corners[:, :2]).max(), 1.3 * reach))
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axis.axis("off")
    _key(figure, np.unique(crystal.atomic_numbers))
    return figure


_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])

#: Corners that an edge of the cell joins.
_EDGES = [(i, j) for i in range(8) for j in range(i) if np.abs(_CORNERS[i] - _CORNERS[j]).sum() == 1]


def plot(name: str, row: dict[str, Any], *lines: str) -> Plot:
    """The drawing of a record, under its formula.

    Parameters
    ----------
    name
        Name of the PNG file, without ending.
    row
        ``material_id``, ``reduced_formula``, ``spacegroup_number`` and the columns
        `mpclean.release.reader.CRYSTAL`.
    lines
        What is to be said of it, after its id and its space group.
    """
    crystal = Crystal.from_row(row)
    group = f"{space_group_symbol(row['spacegroup_number'])} ({row['spacegroup_number']})"
    return Plot(
        name,
        row["reduced_formula"],
        (row["material_id"], group, *lines),
        f"Drawing of {row['reduced_formula']}, {row['material_id']}, space group {group}, with "
        f"{len(crystal)} atoms in the primitive cell.",
        draw(crystal),
        "crystal",
    )


def space_group_symbol(number: int) -> str:
    """Hermann-Mauguin symbol of a space group, its screw axes with subscripts."""
    from pymatgen.symmetry.groups import sg_symbol_from_int_number

    subscripts = {f"_{k}": chr(ord("\N{SUBSCRIPT ZERO}") + k) for k in range(1, 6)}
    return re.sub("_[1-5]", lambda found: subscripts[found[0]], str(sg_symbol_from_int_number(number)))


#: Columns that `plot` needs.
COLUMNS = ("material_id", "reduced_formula", "spacegroup_number", *CRYSTAL)


def _block_size(crystal: Crystal) -> float:
    """Edge of the cube, A."""
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
    """Atom (n,), cell (n, 3) and place (n, 3), A, of all that a turned cube may hold."""
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
    """Pairs (m, 2) of the listed atoms that are bonded, each pair once."""
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
    """Right, up and towards the reader, the rows of a rotation (3, 3)."""
    up = lattice[2]
    graph = coo_array((np.ones(len(ends)), ends.T), shape=(len(position), len(position)))
    _, part = connected_components(graph, directed=False)
    # Where the largest piece of the crystal is flat or thin, it tells what is up.
    piece = position[part == np.bincount(part).argmax()]
    if 3 < len(piece) < len(position):
        spread, axes = np.linalg.eigh(np.cov(piece.T))
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


def _draw_block(
    axis: Axes, numbers: NDArray[np.uint8], seen: NDArray[np.float64], ends: NDArray[np.int64]
) -> None:
    from matplotlib.collections import EllipseCollection, LineCollection

    radius = _SIZE * np.nan_to_num(COVALENT_RADII, nan=1.5)[numbers]
    colour = _colours()[numbers]
    depth = seen[:, 2]
    span = max(np.ptp(depth), 1e-9)

    def slices(z: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.clip(((z - depth.min()) / span * _SLICES).astype(np.int64), 0, _SLICES - 1)

    atom_slice, bond_slice = slices(depth), slices(depth[ends].mean(axis=1))
    for k in range(_SLICES):
        haze = _HAZE * (1 - (k + 0.5) / _SLICES)
        lines = seen[ends[bond_slice == k]][:, :, :2]
        grey = 0.42 * (1 - haze) + haze
        axis.add_collection(LineCollection(list(lines), colors=[(grey,) * 3], linewidths=1.6, zorder=k))
        chosen = atom_slice == k
        size = 2 * radius[chosen]
        axis.add_collection(
            EllipseCollection(
                size, size, np.zeros(len(size)), units="xy", offsets=seen[chosen, :2],
                offset_transform=axis.transData, facecolors=colour[chosen] * (1 - haze) + haze,
                edgecolors=[(0.25 * (1 - haze) + haze,) * 3], linewidths=0.6, zorder=k + 0.5,
            )
        )  # fmt: skip


def _key(figure: Figure, elements: NDArray[np.uint8]) -> None:
    """Symbols of the elements beside dots of their colours, under the drawing."""
    axis = figure.add_axes((0.0, 0.0, 1.0, 0.25 / (SIDE + 0.25)))
    step = min(0.19, 0.96 / len(elements))
    x = 0.5 + (np.arange(len(elements)) - len(elements) / 2) * step + 0.02
    axis.scatter(x, np.full(len(x), 0.5), s=42, color=_colours()[elements], edgecolor="0.25", linewidth=0.6)
    for place, z in zip(x, elements, strict=True):
        axis.text(place + 0.03, 0.48, SYMBOLS[z], va="center", fontsize=11 if step > 0.12 else 8)
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.axis("off")


@cache
def _colours() -> NDArray[np.float64]:
    """Colours of the elements by atomic number, (119, 3), those of VESTA where it has one."""
    from pymatgen.vis.structure_vtk import EL_COLORS

    known = EL_COLORS["VESTA"]
    return np.array([known.get(symbol, (150, 150, 150)) for symbol in SYMBOLS]) / 255
