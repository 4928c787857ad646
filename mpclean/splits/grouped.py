"""Splits that keep a group of records together: those of a formula, a chemical system, a prototype."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.crystal.similarity.levels import LEVELS
from mpclean.splits.base import FRACTIONS, SEED, Strategy, by_place


def grouped(groups: pa.Array | pa.ChunkedArray, seed: int, fractions: Sequence[float]) -> NDArray[np.int64]:
    """Deal whole groups out, so that the sizes come as near to the shares as groups allow.

    The groups are shuffled. Each goes to test if it still fits there, else to validation if it
    fits there, else to train: what is held back is a random choice of the groups that are
    not larger than its share, and small ones fill the last gaps.

    Parameters
    ----------
    groups
        (N,) key of the group of every record; a null is a group of its own.
    seed
        Seed of the shuffle of the groups, which are put in the order of their keys before.
    fractions
        Share of train, validation and test.

    Returns
    -------
    (N,) place of every record in `mpclean.vocabulary.schema.PARTS`; a share that every group is larger
    than has none.
    """
    encoded = numbered(groups)
    sizes = np.bincount(encoded)
    order = list(range(len(sizes)))
    Random(seed).shuffle(order)  # noqa: S311 - reproducibility is the point
    left = {place: round(fractions[place] * len(encoded)) for place in (2, 1)}
    place_of = np.zeros(len(sizes), dtype=np.int64)
    for group in order:
        for place in left:
            if sizes[group] <= left[place]:
                left[place] -= sizes[group]
                place_of[group] = place
                break
    return place_of[encoded]


def numbered(groups: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """(N,) number of the group of every record, from its key; a null is a group of its own.

    Groups are numbered from 0 in the order of their keys, those of one record after them.
    """
    keys = sorted(pc.unique(groups.drop_null()).to_pylist())
    encoded = pc.fill_null(pc.index_in(groups, value_set=pa.array(keys, pa.string())), -1).to_numpy()
    alone = encoded < 0
    return np.where(alone, len(keys) + np.cumsum(alone) - 1, encoded)


def _make(keys: pa.Table, seed: int, fractions: Sequence[float]) -> dict[str, pa.Table]:
    return {"": by_place(keys["material_id"], grouped(keys["group"], seed, fractions))}


def kept_apart(level: str) -> tuple[str, ...]:
    """Find the levels at which a split leaks nothing that keeps the groups of a level together."""
    return (level, *LEVELS[level].implies)


#: Levels that a split can be grouped by.
GROUPS = ("formula", "prototype", "chemical-system")

STRATEGIES = tuple(
    Strategy(
        name,
        _make,
        {"seed": SEED, "fractions": FRACTIONS},
        level=name,
        keeps_apart=kept_apart(name),
    )
    for name in GROUPS
)
