"""Drawings of crystals: atoms and bonds of a few cells, seen from the side."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mpclean.crystal.crystal import Crystal
from mpclean.inspection.report.base import Plot
from mpclean.inspection.report.scene import CELL_EDGES, Scene, colours, cut_out
from mpclean.inspection.report.style import INK
from mpclean.release.reader import CRYSTAL
from mpclean.vocabulary.elements import SYMBOLS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Columns that `plot` needs.
COLUMNS = ("material_id", "reduced_formula", "spacegroup_number", *CRYSTAL)

#: Side of a drawing, inches.
_SIDE = 2.4

#: Slices from back to front, each drawn over those before it.
_SLICES = 10

#: What the last slice has of white: what is far is pale.
_HAZE = 0.55

#: A cell that reaches farther than the atoms by this factor is cut, or the atoms would be dots.
_LONGEST_CELL = 2.2


def plot(name: str, row: dict[str, Any], *lines: str) -> Plot:
    """Draw a record, under its formula.

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
    scene = cut_out(crystal)
    group = f"{space_group_symbol(row['spacegroup_number'])} ({row['spacegroup_number']})"
    return Plot(
        name,
        row["reduced_formula"],
        (row["material_id"], group, *filter(None, lines)),
        f"Drawing of {row['reduced_formula']}, {row['material_id']}, space group {group}, with "
        f"{len(crystal)} atoms in the primitive cell.",
        draw(scene),
        "crystal",
        scene.to_json(),
    )


def space_group_symbol(number: int) -> str:
    """Give the Hermann-Mauguin symbol of a space group, its screw axes with subscripts."""
    from pymatgen.symmetry.groups import sg_symbol_from_int_number

    subscripts = {f"_{k}": chr(ord("\N{SUBSCRIPT ZERO}") + k) for k in range(1, 6)}
    return re.sub("_[1-5]", lambda found: subscripts[found[0]], str(sg_symbol_from_int_number(number)))


def draw(scene: Scene) -> Figure:
    """Draw a scene with a key of its elements: the picture of a page that is printed or runs no script."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_SIDE, _SIDE + 0.25))
    axis = figure.add_axes((0.0, 0.25 / (_SIDE + 0.25), 1.0, _SIDE / (_SIDE + 0.25)))
    _draw_block(axis, scene)
    for i, j in CELL_EDGES:
        ends = scene.corners[[i, j], :2].T
        axis.plot(*ends, color=INK, linewidth=0.9, linestyle=(0, (4, 2)), zorder=_SLICES)
    reach = 1.5 + np.abs(scene.places[:, :2]).max(initial=1.0)
    reach = max(reach, min(0.3 + np.abs(scene.corners[:, :2]).max(), _LONGEST_CELL * reach))
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axis.axis("off")
    _key(figure, np.unique(scene.atomic_numbers))
    return figure


def _draw_block(axis: Axes, scene: Scene) -> None:
    from matplotlib.collections import EllipseCollection, LineCollection

    seen, ends, radius = scene.places, scene.bonds, scene.radii
    colour = colours()[scene.atomic_numbers]
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
    """Put symbols of the elements beside dots of their colours, under the drawing."""
    axis = figure.add_axes((0.0, 0.0, 1.0, 0.25 / (_SIDE + 0.25)))
    step = min(0.19, 0.96 / len(elements))
    x = 0.5 + (np.arange(len(elements)) - len(elements) / 2) * step + 0.02
    axis.scatter(x, np.full(len(x), 0.5), s=42, color=colours()[elements], edgecolor="0.25", linewidth=0.6)
    for place, z in zip(x, elements, strict=True):
        axis.text(place + 0.03, 0.48, SYMBOLS[z], va="center", fontsize=11 if step > 0.12 else 8)
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.axis("off")
