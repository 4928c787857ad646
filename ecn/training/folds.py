"""Cross-validation within a run: members of an ensemble that learn from different folds of the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ecn.data.rows import Rows
from mpclean.errors import UserError

#: Below so many labelled rows a run is an ensemble over folds by default: a single validation part of a tenth
#: of them would choose the epoch, and measure the error, by chance.
FEW_ROWS = 1000

#: Folds of such a run.
FOLDS = 5


def fold_rows(train: Rows, validation: Rows, fold: int, folds: int, seed: int) -> tuple[Rows, Rows]:
    """Deal training and validation rows out to folds, and hold one of them back.

    Parameters
    ----------
    train, validation
        The rows of the two parts; those of the test part stay out of it.
    fold
        The fold that is held back for validation, from 1 to `folds`.
    folds
        How many there are.
    seed
        Seed of the shuffle; equal for all members of an ensemble, so that every row is held back once.

    Returns
    -------
    The rows to train on, and those of the fold.

    Raises
    ------
    UserError
        If there are fewer rows than twice the folds.
    """
    n = len(train) + len(validation)
    if n < 2 * folds:
        raise UserError(f"--folds {folds}: {n} labelled rows are too few; use --folds 1 or more data")
    of_row = np.random.default_rng(seed).permutation(n) % folds
    held_back = of_row == fold - 1
    together = replace(
        train,
        groups=[*train.groups, *validation.groups],
        chosen=[*train.chosen, *validation.chosen],
        labels=[*train.labels, *validation.labels],
        n_excluded=train.n_excluded + validation.n_excluded,
    )
    return _take(together, ~held_back), _take(together, held_back)


def _take(rows: Rows, kept: NDArray[np.bool_]) -> Rows:
    """Keep the marked rows, (K,); row groups without any are excluded: feeds read none."""
    parts = np.split(kept, np.cumsum([len(chosen) for chosen in rows.chosen])[:-1])
    full = [k for k, part in enumerate(parts) if part.any()]
    labels = [_labels(rows, k, parts[k]) for k in full]
    return replace(
        rows,
        groups=[rows.groups[k] for k in full],
        chosen=[rows.chosen[k][parts[k]] for k in full],
        labels=labels,
    )


def _labels(rows: Rows, k: int, kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Read the labels of the marked rows of a group; of sites, those of the atoms of the marked crystals."""
    if not rows.per_site:
        return rows.labels[k][kept]
    n_atoms = rows.groups[k].read(["nsites"])["nsites"].to_numpy()[rows.chosen[k]]
    return rows.labels[k][np.repeat(kept, n_atoms)]
