"""Sharing patterns to look at: as text, and as the figures of the paper's appendix (7 and 8)."""

from __future__ import annotations

from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits

import numpy as np

from ecn.symmetry.groups import GROUPS, PLANE_POINT_GROUPS, cell_group, cell_offsets, group_elements
from ecn.symmetry.sharing import CellPattern, cell_pattern
from mpclean.errors import UserError, closest
from mpclean.release.atomic import replace_file

#: One sign for each colour, as far as they go.
_SIGNS = digits + ascii_lowercase + ascii_uppercase


def find_pattern(lattice: str, side: int) -> CellPattern:
    """Find the pattern of a group by its name on the command line.

    Parameters
    ----------
    lattice
        One of `ecn.symmetry.groups.GROUPS` or of `ecn.symmetry.groups.PLANE_POINT_GROUPS`.
    side
        Side of the supercell, in unit cells.

    Raises
    ------
    UserError
        If there is no such lattice, or if the supercell has too many cells to draw.
    """
    if lattice not in (*GROUPS, *PLANE_POINT_GROUPS):
        raise UserError(closest("lattice", lattice, (*GROUPS, *PLANE_POINT_GROUPS)))
    n_cells = side ** (2 if lattice in PLANE_POINT_GROUPS else 3)
    if n_cells > len(_SIGNS):
        raise UserError(
            f"--side {side}: {n_cells} cells are too many to show; 3 is the largest in space, 7 in the plane"
        )
    return cell_pattern(lattice, side)


def describe(pattern: CellPattern) -> str:
    """Return a pattern in words and signs: its order, its orbits, and the coloured matrix.

    Parameters
    ----------
    pattern
        Of at most 62 cells.

    Returns
    -------
    Several lines. In the matrix the rows are the cells i, the columns the cells j.
    """
    cells = ["".join(map(str, cell)) for cell in cell_offsets(pattern.side, pattern.dimension).tolist()]
    lines = [
        f"{pattern.name}, {' x '.join([str(pattern.side)] * pattern.dimension)} cells: "
        f"{pattern.n_colours} colours{_order(pattern)}",
        "",
        "colour  differences of cells",
    ]
    for colour in range(pattern.n_colours):
        members = (cells[d] for d in np.flatnonzero(pattern.colours == colour))
        lines.append(f"{_SIGNS[colour]:>6}  {' '.join(members)}")
    lines.append("")
    for cell, row in zip(cells, pattern.matrix(), strict=True):
        lines.append(f"{cell:>6}  " + " ".join(_SIGNS[colour] for colour in row))
    return "\n".join(lines)


def _order(pattern: CellPattern) -> str:
    if pattern.name == "S8" and pattern.n_cells > 8:
        return f", {pattern.n_cells}! permutations"
    return f", {len(group_elements(cell_group(pattern.name, pattern.side)))} permutations"


def draw(pattern: CellPattern, path: Path) -> None:
    """Draw a pattern as a coloured matrix, the colour of a pair of cells in its square (figure 7).

    Parameters
    ----------
    pattern
        What to draw.
    path
        File to write; its ending says of which kind.

    Raises
    ------
    UserError
        If the kind of file is none that can be drawn.
    OSError
        If it cannot be written.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    matrix, n = pattern.matrix(), pattern.n_cells
    palette = colormaps["tab20" if pattern.n_colours > 10 else "tab10"]
    cells = ["".join(map(str, cell)) for cell in cell_offsets(pattern.side, pattern.dimension).tolist()]
    size = max(4.2, 0.25 * n)  # so that the names of 27 cells do not touch
    figure = Figure(figsize=(size, size + 0.4), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(palette(matrix % palette.N))
    axes.set(xticks=range(n), yticks=range(n), xlabel="cell j", ylabel="cell i")
    axes.set_xticklabels(cells, rotation=90)
    axes.set_yticklabels(cells)
    for (row, column), colour in np.ndenumerate(matrix):  # a palette repeats, and not everybody sees it alike
        axes.text(column, row, _SIGNS[colour], ha="center", va="center", fontsize="small", color="white")
    figure.suptitle(f"{pattern.name}: {pattern.n_colours} colours")
    kind = path.suffix.removeprefix(".") or "png"
    try:
        replace_file(path, lambda partial: figure.savefig(partial, dpi=150, format=kind))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
