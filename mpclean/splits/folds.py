"""Splits for cross-validation: every record is test in one of k."""

from __future__ import annotations

from random import Random

import numpy as np
import pyarrow as pa

from mpclean.errors import UserError
from mpclean.splits.base import SEED, Strategy, by_place

#: Folds if not told otherwise.
FOLDS = 5

#: More folds make files of rows whose names, which say the part in every fold, are too long.
MAX_FOLDS = 30


def _make(keys: pa.Table, seed: int, folds: int) -> dict[str, pa.Table]:
    """One split per fold, ``-1`` to ``-k``: the fold is test, the next is validation, the rest is train.

    Raises
    ------
    UserError
        If there are fewer than three folds or too many, or fewer records than folds.
    """
    if not 3 <= folds <= min(MAX_FOLDS, len(keys)):
        raise UserError(
            f"--folds {folds}: at least 3, at most {MAX_FOLDS} and one per record ({len(keys):,})"
        )
    order = list(range(len(keys)))
    Random(seed).shuffle(order)  # noqa: S311 - reproducibility is the point
    fold = np.empty(len(keys), dtype=np.int64)
    fold[order] = np.arange(len(keys)) * folds // len(keys)
    # Counted from the fold that is test: 0 is test, 1 validation.
    return {
        f"-{k + 1}": by_place(keys["material_id"], np.array([2, 1, *[0] * (folds - 2)])[(fold - k) % folds])
        for k in range(folds)
    }


STRATEGY = Strategy("k-fold", _make, {"seed": SEED, "folds": FOLDS})
