"""Which elements are in the crystals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpclean.inspection.report.base import Block, Context, Plot
from mpclean.inspection.report.style import INK, PANEL, SEQUENTIAL, axes
from mpclean.release import Release
from mpclean.vocabulary import lists
from mpclean.vocabulary.elements import SYMBOLS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def blocks(context: Context) -> Iterator[Block]:
    """Yield the periodic table, coloured by the number of crystals with each element."""
    counts = crystals_with(context.release)
    present = np.flatnonzero(counts)
    order = present[np.argsort(-counts[present], kind="stable")]
    top = ", ".join(f"{SYMBOLS[z]} {counts[z]:,}" for z in order[:10])
    yield Plot(
        "elements",
        "Elements",
        (
            f"Number of crystals that contain each element; the colour goes with its square root. "
            f"{len(present)} elements occur, blank ones do not.",
        ),
        f"Periodic table of {len(present)} elements by number of crystals. Most frequent: {top}.",
        _periodic_table(counts),
        "wide",
    )


def crystals_with(release: Release) -> NDArray[np.int64]:
    """Count the crystals that contain each element, by atomic number from 0."""
    counts = np.zeros(len(SYMBOLS), dtype=np.int64)
    for rows in release.batches(columns=["atomic_numbers"]):
        column = rows["atomic_numbers"]
        crystal = lists.owners(lists.lengths(column))
        atoms = lists.flat(column).astype(np.int64)
        pairs = np.unique(crystal * len(SYMBOLS) + atoms)
        counts += np.bincount(pairs % len(SYMBOLS), minlength=len(SYMBOLS))
    return counts


def _places() -> dict[int, tuple[float, float]]:
    """Give column and row of every element of the table up to lawrencium, f elements below the rest."""
    from pymatgen.core import Element

    places = {}
    for z in range(1, 104):
        element = Element(SYMBOLS[z])
        if 57 <= z <= 71:
            places[z] = (3.0 + z - 57, 8.4)
        elif z >= 89:
            places[z] = (3.0 + z - 89, 9.4)
        else:
            places[z] = (float(element.group), float(element.row))
    return places


def _periodic_table(counts: NDArray[np.int64]) -> Figure:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import PowerNorm
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import MaxNLocator

    figure, axis = axes(2.15 * PANEL, 5.3)
    norm = PowerNorm(0.5, 0, counts.max())
    palette = colormaps[SEQUENTIAL]
    for z, (x, y) in _places().items():
        # Without paper where there are none, so that a dark page stays dark.
        colour = palette(norm(counts[z])) if counts[z] else (0.0, 0.0, 0.0, 0.0)
        axis.add_patch(
            Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, facecolor=colour, edgecolor="#b5bbc2", lw=0.6)
        )
        ink = INK if not counts[z] else "white" if sum(colour[:3]) < 1.5 else "black"
        axis.text(x, y - 0.12, SYMBOLS[z], ha="center", va="center", color=ink, fontsize=10, weight="bold")
        if counts[z]:
            axis.text(x, y + 0.28, f"{counts[z]:,}", ha="center", va="center", color=ink, fontsize=6.5)
    axis.set(xlim=(0.4, 18.6), ylim=(10.0, 0.4), aspect="equal")
    axis.axis("off")
    place = axis.inset_axes((0.17, 0.93, 0.42, 0.025))
    scale = figure.colorbar(ScalarMappable(norm, palette), cax=place, orientation="horizontal")
    scale.set_ticks(MaxNLocator(4, integer=True))
    scale.ax.xaxis.set_major_formatter("{x:,.0f}")
    scale.set_label("crystals with the element")
    return figure
