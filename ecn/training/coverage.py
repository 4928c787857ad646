"""What the crystals of a training were like: kept with the weights, so that predictions know their limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from ecn.data.rows import Rows


@dataclass(frozen=True)
class Coverage:
    """Ranges of the training rows, ends included."""

    elements: list[int]
    """Atomic numbers that occur, ascending."""
    n_atoms: list[int]
    """Fewest and most atoms in a primitive cell."""
    bond_length: list[float]
    """Shortest and longest bond, in A."""
    labels: list[list[float]]
    """Smallest and largest label of every target, in its unit, in the order of the targets."""


def measure_coverage(rows: Rows) -> Coverage:
    """Measure the ranges of training rows, a row group at a time.

    Parameters
    ----------
    rows
        The rows that are trained on.
    """
    elements: set[int] = set()
    sizes, lengths = [], []
    for group, chosen in zip(rows.groups, rows.chosen, strict=True):
        table = group.read(["atomic_numbers", "nsites", "edge_length"]).take(chosen)
        elements.update(pc.unique(pc.list_flatten(table["atomic_numbers"])).to_pylist())
        sizes.append(pc.min_max(table["nsites"]).as_py())
        lengths.append(pc.min_max(pc.list_flatten(table["edge_length"])).as_py())
    labels = np.concatenate(rows.labels)
    return Coverage(
        elements=sorted(elements),
        n_atoms=[min(size["min"] for size in sizes), max(size["max"] for size in sizes)],
        bond_length=[
            min(float(length["min"]) for length in lengths),
            max(float(length["max"]) for length in lengths),
        ],
        labels=[[float(np.nanmin(column)), float(np.nanmax(column))] for column in labels.T],
    )
