"""Crystal systems, Bravais lattices and space groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.inspection.report.base import Block, Context, Heading, Plot, Text
from mpclean.inspection.report.crystals import COLUMNS, plot, space_group_symbol
from mpclean.inspection.report.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PANEL,
    PURPLE,
    RED,
    SKY,
    axes,
    whole_numbers,
)
from mpclean.release import Release

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Crystal systems with the first of their space groups (International Tables A) and a colour.
SYSTEMS = (
    ("triclinic", 1, GREY),
    ("monoclinic", 3, SKY),
    ("orthorhombic", 16, ORANGE),
    ("tetragonal", 75, GREEN),
    ("trigonal", 143, PURPLE),
    ("hexagonal", 168, BLUE),
    ("cubic", 195, RED),
)

_BEGINS = np.array([first for _, first, _ in SYSTEMS])


def _system(numbers: NDArray[np.integer]) -> NDArray[np.int64]:
    """Give the place in `SYSTEMS` of space groups."""
    return np.searchsorted(_BEGINS, numbers, side="right") - 1


#: Bravais types by the letter of their crystal family, with the place of its colour in `SYSTEMS`.
_FAMILIES = {"a": 0, "m": 1, "o": 2, "t": 3, "h": 5, "c": 6}

#: Space groups that are named.
NAMED = 12


def blocks(context: Context) -> Iterator[Block]:
    """Yield bars of crystal systems, Bravais lattices and space groups, and a crystal of each system."""
    release = context.release
    counts = np.zeros(231, dtype=np.int64)
    for rows in release.batches(columns=["spacegroup_number"]):
        counts += np.bincount(rows["spacegroup_number"].to_numpy(), minlength=231)
    yield _systems(counts)
    yield _bravais(release)
    yield _frequent(counts)
    yield _all(counts)
    yield Heading("A crystal of each system: the first of the release")
    yield from _first_of_each_system(release)
    stated = release.manifest.spacegroups
    if stated.stated:
        tolerance = release.manifest.parameters.spacegroup_tolerance
        yield Text(
            f"Of {stated.stated:,} space groups that the source states, {len(stated.differ):,} differ "
            f"from the one found at a tolerance of {tolerance:g} \N{ANGSTROM SIGN}; the source's counts."
        )


def _bars(names: Sequence[str], values: NDArray[np.int64], colours: list[str]) -> Figure:
    """Draw bars that lie, each with its value."""
    figure, axis = axes()
    axis.barh(names, values, color=colours, height=0.75)
    for place, value in enumerate(values):
        axis.text(value, place, f" {value:,}", va="center", fontsize=8.5)
    axis.invert_yaxis()
    axis.grid(visible=False)
    axis.set(xlabel="crystals", xlim=(0, 1.22 * max(values.max(), 1)))
    axis.tick_params(axis="y", length=0)
    whole_numbers(axis.xaxis)
    return figure


def _listed(names: Sequence[str], values: NDArray[np.int64]) -> str:
    return ", ".join(f"{name} {value:,}" for name, value in zip(names, values, strict=True))


def _systems(counts: NDArray[np.int64]) -> Plot:
    values = np.add.reduceat(counts, _BEGINS)
    names = [name for name, _, _ in SYSTEMS]
    return Plot(
        "crystal-systems",
        "Crystal systems",
        ("Crystals of each system, by their space group.",),
        f"Bars: {_listed(names, values)}.",
        _bars(names, values, [colour for _, _, colour in SYSTEMS]),
    )


def _bravais(release: Release) -> Plot:
    types = ["aP", "mP", "mC", "oP", "oC", "oI", "oF", "tP", "tI", "hP", "hR", "cP", "cI", "cF"]
    values = np.zeros(len(types), dtype=np.int64)
    for rows in release.batches(columns=["bravais_lattice"]):
        for place, name in enumerate(types):
            values[place] += pc.sum(pc.equal(rows["bravais_lattice"], name)).as_py() or 0
    return Plot(
        "bravais-lattices",
        "Bravais lattices",
        ("Crystals of each Bravais type, as found by the metric and the symmetry of the stored cell.",),
        f"Bars: {_listed(types, values)}.",
        _bars(types, values, [SYSTEMS[_FAMILIES[name[0]]][2] for name in types]),
    )


def _frequent(counts: NDArray[np.int64]) -> Plot:
    order = np.argsort(-counts, kind="stable")[:NAMED]
    order = order[counts[order] > 0]
    names = [f"{space_group_symbol(int(number))} ({number})" for number in order]
    return Plot(
        "frequent-space-groups",
        "Most frequent space groups",
        (f"The {len(order)} most frequent of {np.count_nonzero(counts)} space groups, coloured by system.",),
        f"Bars: {_listed(names, counts[order])}.",
        _bars(names, counts[order], [SYSTEMS[k][2] for k in _system(order)]),
    )


def _all(counts: NDArray[np.int64]) -> Plot:
    figure, axis = axes(2.15 * PANEL, 3.0)
    numbers = np.arange(231)
    system = _system(numbers)
    for k, (name, _, colour) in enumerate(SYSTEMS):
        chosen = system == k
        axis.bar(numbers[chosen], counts[chosen], width=1.0, color=colour, label=name)
    axis.set(xlim=(0, 231), xlabel="space group (international number)", ylabel="crystals", yscale="log")
    axis.set_ylim(bottom=0.7)
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.set_xticks([1, *range(20, 221, 20), 230])
    axis.legend(ncols=7, loc="lower center", bbox_to_anchor=(0.5, 1.0), columnspacing=1.0, handlelength=1.0)
    return Plot(
        "space-groups",
        "Space groups",
        ("Crystals of each of the 230 space groups, on a logarithmic scale.",),
        f"Histogram over the 230 space groups, of which {np.count_nonzero(counts)} occur.",
        figure,
        "wide",
    )


def _first_of_each_system(release: Release) -> Iterator[Plot]:
    found: dict[int, pa.Table] = {}
    for rows in release.batches(columns=COLUMNS):
        systems, first = np.unique(_system(rows["spacegroup_number"].to_numpy()), return_index=True)
        for system, place in zip(systems.tolist(), first.tolist(), strict=True):
            found.setdefault(system, rows.slice(place, 1))
        if len(found) == len(SYSTEMS):
            break
    for system, row in sorted(found.items()):
        name = SYSTEMS[system][0]
        yield plot(f"kept-{name}", row.to_pylist()[0], name)
