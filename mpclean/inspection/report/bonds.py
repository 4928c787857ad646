"""Cells and bonds: how many atoms, how long, how many neighbours, through how many dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.crystal.bonding.graph import MAX_BOND_LENGTH
from mpclean.crystal.bonding.topology import topology
from mpclean.inspection.report.base import Block, Context, Plot
from mpclean.inspection.report.style import BLUE, EXCLUDED, KEPT, axes, whole_numbers
from mpclean.release import Release
from mpclean.vocabulary import lists

#: Width of a bin of bond lengths, A.
LENGTH_BIN = 0.05

#: The last bin of counts per atom takes in all that is above, far beyond what a crystal has at 5 A.
MOST = 200


@dataclass
class Counts:
    """Histograms over a release, added up batch by batch.

    Attributes
    ----------
    atoms
        Crystals by atoms in the cell.
    lengths
        Edges by length, in bins of `LENGTH_BIN` from 0; a bond is two of them.
    degrees
        Atoms by bonds, 0 to `MOST`.
    per_atom
        Crystals by edges per atom, rounded to the next whole number, 0 to `MOST`.
    dimensionality
        Crystals by dimensionality of their bonds, 0 to 3.
    """

    atoms: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    lengths: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(round(MAX_BOND_LENGTH / LENGTH_BIN), dtype=np.int64)
    )
    degrees: NDArray[np.int64] = field(default_factory=lambda: np.zeros(MOST + 1, dtype=np.int64))
    per_atom: NDArray[np.int64] = field(default_factory=lambda: np.zeros(MOST + 1, dtype=np.int64))
    dimensionality: NDArray[np.int64] = field(default_factory=lambda: np.zeros(4, dtype=np.int64))

    def add(self, rows: pa.Table) -> None:
        """Take in more rows, with `COLUMNS`."""
        n_atoms = rows["nsites"].to_numpy().astype(np.int64)
        n_edges = lists.lengths(rows["edge_source"])
        first = np.repeat(lists.begins(n_atoms), n_edges)
        source = lists.flat(rows["edge_source"]) + first
        target = lists.flat(rows["edge_target"]) + first
        image = lists.flat(rows["edge_image"]).reshape(-1, 3).astype(np.int64)
        length = lists.flat(rows["edge_length"])
        atoms = np.bincount(n_atoms, minlength=len(self.atoms))
        atoms[: len(self.atoms)] += self.atoms
        self.atoms = atoms
        bins = np.minimum(length / LENGTH_BIN, len(self.lengths) - 1).astype(np.int64)
        self.lengths += np.bincount(bins, minlength=len(self.lengths))
        degree = np.bincount(source, minlength=int(n_atoms.sum()))
        self.degrees += np.bincount(np.minimum(degree, MOST), minlength=MOST + 1)
        per_atom = np.rint(n_edges / n_atoms).astype(np.int64)
        self.per_atom += np.bincount(np.minimum(per_atom, MOST), minlength=MOST + 1)
        found = topology(n_atoms, source, target, image).dimensionality
        self.dimensionality += np.bincount(found, minlength=4)


COLUMNS = ("nsites", "edge_source", "edge_target", "edge_image", "edge_length")


def count(release: Release) -> Counts:
    """Count the histograms of a release."""
    counts = Counts()
    for rows in release.batches(columns=COLUMNS):
        counts.add(rows)
    return counts


def blocks(context: Context) -> Iterator[Block]:
    """Yield histograms of cells and bonds, those of the paper's appendix A.1, and of dimensionality."""
    release = context.release
    counts = count(release)
    yield _atoms(counts)
    yield _lengths(counts)
    yield _whole_numbers(
        counts.degrees,
        "degree",
        "Bonds of an atom",
        ("bonds of the atom (degree)", "atoms"),
        "Atoms of the primitive cells by the number of their bonds.",
    )
    yield _whole_numbers(
        counts.per_atom,
        "edges-per-atom",
        "Edges per atom of a crystal",
        ("edges per atom, rounded", "crystals"),
        "Crystals by edges in the cell over atoms in the cell; a bond is two edges, one in each direction.",
    )
    yield _dimensionality(counts, release)


def _atoms(counts: Counts) -> Plot:
    n = np.arange(len(counts.atoms))
    figure, axis = axes()
    axis.bar(n, counts.atoms, width=0.85, color=BLUE)
    axis.set(xlabel="atoms in the primitive cell", ylabel="crystals", xlim=(0.3, len(n)))
    whole_numbers(axis.xaxis, axis.yaxis)
    mean = float((n * counts.atoms).sum() / counts.atoms.sum())
    return Plot(
        "atoms",
        "Atoms in the cell",
        (f"Crystals by atoms in the primitive cell; {mean:.1f} on average, {n[-1]} at most.",),
        f"Histogram: mean {mean:.1f}, most frequent {counts.atoms.argmax()}, largest {n[-1]} atoms.",
        figure,
    )


def _lengths(counts: Counts) -> Plot:
    edges = LENGTH_BIN * np.arange(len(counts.lengths) + 1)
    middle = edges[:-1] + LENGTH_BIN / 2
    bonds = counts.lengths / 2
    total = max(bonds.sum(), 1.0)
    mean = float((middle * bonds).sum() / total)
    figure, axis = axes()
    axis.stairs(bonds, edges, fill=True, color=BLUE)
    axis.set(xlabel="bond length (\N{ANGSTROM SIGN})", ylabel="bonds", xlim=(0, MAX_BOND_LENGTH))
    whole_numbers(axis.yaxis)
    return Plot(
        "bond-lengths",
        "Bond lengths",
        (
            f"{total:,.0f} bonds by length, in bins of {LENGTH_BIN:g} \N{ANGSTROM SIGN}; "
            f"{mean:.2f} \N{ANGSTROM SIGN} on average.",
        ),
        f"Histogram: mean {mean:.2f}, most frequent {middle[bonds.argmax()]:.2f} angstrom.",
        figure,
    )


def _whole_numbers(
    counts: NDArray[np.int64], name: str, title: str, labels: tuple[str, str], caption: str
) -> Plot:
    n = np.arange(MOST + 1)
    last = max(int(np.flatnonzero(counts).max(initial=1)), 1)
    mean = float((n * counts).sum() / max(counts.sum(), 1))
    figure, axis = axes()
    axis.bar(n, counts, width=0.85, color=BLUE)
    axis.set(xlabel=labels[0], ylabel=labels[1], xlim=(-0.6, last + 0.6))
    whole_numbers(axis.xaxis, axis.yaxis)
    above = f" {counts[MOST]:,} with {MOST} or more are in the last bar." if counts[MOST] else ""
    average = "" if counts[MOST] else f" {mean:.1f} on average."
    return Plot(
        name,
        title,
        (caption + average + above,),
        f"Histogram: most frequent {counts.argmax()}, largest {last}{' or more' if counts[MOST] else ''}.",
        figure,
    )


def excluded(ledger: pa.Table) -> NDArray[np.int64]:
    """Count the records (4,) that the rule excluded, by dimensionality, where their row says it."""
    details = ledger.filter(pc.equal(ledger["rule"], "dimensionality"))["detail"]
    stated = pc.struct_field(pc.extract_regex(details, "^dimensionality (?P<n>[0-3])$"), "n").drop_null()
    return np.bincount(stated.cast(pa.int64()), minlength=4)


def _dimensionality(counts: Counts, release: Release) -> Plot:
    out = excluded(release.ledger())
    figure, axis = axes()
    place = np.arange(4)
    axis.bar(place - 0.2, counts.dimensionality, width=0.4, color=KEPT, label="kept")
    axis.bar(
        place + 0.2,
        out,
        width=0.4,
        color=EXCLUDED,
        hatch="////",
        edgecolor="white",
        label="excluded by the rule",
    )
    for shift, values in ((-0.2, counts.dimensionality), (0.2, out)):
        for x, value in enumerate(values):
            if value:
                axis.text(x + shift, value, f"{value:,}", ha="center", va="bottom", fontsize=8)
    axis.set_xticks(place, ["0\nmolecules", "1\nchains", "2\nlayers", "3\nframeworks"])
    axis.set(xlabel="dimensions that bonds reach through", ylabel="crystals")
    axis.margins(y=0.12)
    whole_numbers(axis.yaxis)
    axis.legend(loc="upper left")
    return Plot(
        "dimensionality",
        "Dimensionality",
        (
            "Crystals by the number of dimensions that their bonds reach through: of the release, and of "
            "those that the rule about it excluded. Records that an earlier rule excluded are not in it.",
        ),
        f"Bars for 0, 1, 2 and 3 dimensions: kept {', '.join(map(str, counts.dimensionality))}; excluded "
        f"{', '.join(map(str, out))}.",
        figure,
    )
