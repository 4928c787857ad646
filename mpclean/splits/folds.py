"""Splits for cross-validation: every record is test in one of k."""

from __future__ import annotations

from heapq import heapreplace
from random import Random

import numpy as np
import pyarrow as pa

from mpclean.errors import UserError
from mpclean.splits.base import SEED, Strategy, by_place
from mpclean.splits.grouped import numbered

#: Folds if not told otherwise.
FOLDS = 5

#: More folds make files of rows whose names, which say the part in every fold, are too long.
MAX_FOLDS = 30


def _make(keys: pa.Table, seed: int, folds: int, group: str | None) -> dict[str, pa.Table]:
    """One split per fold, ``-1`` to ``-k``: the fold is test, the next is validation, the rest is train.

    The groups are shuffled and dealt out, the largest first, each to the fold that is smallest then. So
    folds differ by at most the largest group; without `group` every record is one of its own.

    Raises
    ------
    UserError
        If there are fewer than three folds or too many, or fewer groups than folds.
    """
    alone = pa.nulls(len(keys), pa.string())
    encoded = numbered(alone if group is None else keys["group"])
    sizes = np.bincount(encoded)
    if not 3 <= folds <= min(MAX_FOLDS, len(sizes)):
        one = "record" if group is None else group
        raise UserError(
            f"--folds {folds}: at least 3, at most {MAX_FOLDS} and one per {one} ({len(sizes):,})"
        )
    order = list(range(len(sizes)))
    Random(seed).shuffle(order)  # noqa: S311 - reproducibility is the point
    fold_of = np.empty(len(sizes), dtype=np.int64)
    smallest = [(0, fold) for fold in range(folds)]
    for number in sorted(order, key=lambda number: -sizes[number]):
        size, fold_of[number] = smallest[0]
        heapreplace(smallest, (size + int(sizes[number]), int(fold_of[number])))
    fold = fold_of[encoded]
    # Counted from the fold that is test: 0 is test, 1 validation.
    return {
        f"-{k + 1}": by_place(keys["material_id"], np.array([2, 1, *[0] * (folds - 2)])[(fold - k) % folds])
        for k in range(folds)
    }


STRATEGY = Strategy("k-fold", _make, {"seed": SEED, "folds": FOLDS, "group": None})
