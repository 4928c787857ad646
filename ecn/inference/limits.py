"""Where a prediction leaves what its model was trained on: elements, sizes, bonds and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ecn.targets.tasks import Task
from mpclean.vocabulary import lists
from mpclean.vocabulary.elements import SYMBOLS

#: Columns that cannot be negative: a smaller number is reported as zero, with a warning.
NON_NEGATIVE = ("band_gap", "e_above_hull")

#: Bonds may be shorter or longer than those of the training by so much, in A: lengths are single precision.
_LENGTH_TOLERANCE = 1e-3


def joint_coverage(coverages: Sequence[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Give the ranges that any of several trainings covered; None where one of them is not known.

    Parameters
    ----------
    coverages
        Of the members of an ensemble, see `ecn.training.coverage.Coverage`.
    """
    known = [coverage for coverage in coverages if coverage is not None]
    if len(known) < len(coverages):
        return None
    labels = np.array([coverage["labels"] for coverage in known])  # (members, T, 2)
    return {
        "elements": sorted(set().union(*(coverage["elements"] for coverage in known))),
        "labels": np.stack([labels[:, :, 0].min(0), labels[:, :, 1].max(0)], axis=1).tolist(),
        **{
            name: [min(c[name][0] for c in known), max(c[name][1] for c in known)]
            for name in ("n_atoms", "bond_length")
        },
    }


def crystal_warnings(rows: pa.Table, coverage: dict[str, Any] | None) -> list[str]:
    """Say how crystals differ from all that a model was trained on.

    Parameters
    ----------
    rows
        K crystals, with the columns of atoms and bonds of a release; null where there is no graph.
    coverage
        Of the model; None where it is not known, and nothing can be said.

    Returns
    -------
    K sentences, several of one crystal joined by semicolons, empty where nothing differs.
    """
    found: list[list[str]] = [[] for _ in range(len(rows))]
    if coverage is None:
        return [""] * len(rows)
    owner, element = _flat(rows, "atomic_numbers")
    pairs = np.unique(np.stack([owner, element.astype(np.int64)]), axis=1)
    new = pairs[:, ~np.isin(pairs[1], coverage["elements"])]
    for row in np.unique(new[0]):
        symbols = ", ".join(SYMBOLS[z] for z in new[1][new[0] == row])
        found[row].append(f"elements not in the training set: {symbols}")
    least, most = coverage["n_atoms"]
    n_atoms = np.bincount(owner, minlength=len(rows))
    for row in np.flatnonzero((n_atoms > 0) & ((n_atoms < least) | (n_atoms > most))):
        found[row].append(
            f"cell of another size than in the training set: {n_atoms[row]} atoms ({least} to {most})"
        )
    shortest, longest = _bond_ranges(rows)
    low, high = coverage["bond_length"]
    for row in np.flatnonzero((shortest < low - _LENGTH_TOLERANCE) | (longest > high + _LENGTH_TOLERANCE)):
        length = shortest[row] if shortest[row] < low - _LENGTH_TOLERANCE else longest[row]
        found[row].append(
            f"bonds outside the range of the training set: {length:.2f} A ({low:.2f} to {high:.2f} A)"
        )
    return ["; ".join(warnings) for warnings in found]


def _flat(rows: pa.Table, name: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Give the values of a list column, and the row of each."""
    return lists.owners(lists.lengths(rows[name])), lists.flat(rows[name])


def _bond_ranges(rows: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the shortest and the longest bond of every crystal, in A; (inf, -inf) without bonds."""
    owner, length = _flat(rows, "edge_length")
    shortest, longest = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    np.minimum.at(shortest, owner, length)
    np.maximum.at(longest, owner, length)
    return shortest, longest


def limit_values(
    values: NDArray[np.float64], tasks: Sequence[Task], coverage: dict[str, Any] | None
) -> tuple[NDArray[np.float64], list[str]]:
    """Bring predictions to what they can be, and say which ones leave the labels of the training.

    Parameters
    ----------
    values
        (R,), those of the T targets of a crystal one after another; NaN where there is no number.
    tasks
        The T targets.
    coverage
        As for `crystal_warnings`.

    Returns
    -------
    The values, in which none that cannot be negative is, and R sentences, empty where nothing is to be said.
    """
    result, said = values.copy(), [""] * len(values)
    for k, task in enumerate(tasks):
        if task.is_classifier or task.per_site:  # a probability, or a number whose sign means nothing
            continue
        of_task = values[k :: len(tasks)]
        places = np.arange(len(values))[k :: len(tasks)]
        if task.column in NON_NEGATIVE:
            for row in places[of_task < 0]:
                said[row] = f"{task.name} cannot be negative: the model gave {values[row]:.4g} {task.unit}"
                result[row] = 0.0
        if coverage is not None:
            low, high = coverage["labels"][k]
            outside = (of_task < low) | (of_task > high)
            for row in places[outside]:
                if not said[row]:
                    said[row] = (
                        f"outside the labels of the training set: {values[row]:.4g} {task.unit} "
                        f"({low:.4g} to {high:.4g} {task.unit})"
                    )
    return result, said
