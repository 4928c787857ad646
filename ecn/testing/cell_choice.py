"""How far predictions depend on the way in which a crystal is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import SupportsFloat

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mpclean.crystal.crystal import Crystal


def equivalent_cells(crystal: Crystal, n: int = 20, seed: int = 0) -> list[Crystal]:
    """Write the same crystal as others might have written it.

    Each has another basis of the lattice (a random unimodular matrix, right- or left-handed),
    another origin and another orientation; its atoms are in another order, each in a random
    image.

    Parameters
    ----------
    crystal
        Of n_a atoms, in any cell, whose lattice is kept: a primitive one stays primitive.
    n
        How many.
    seed
        Seed of everything.

    Returns
    -------
    n crystals of n_a atoms.
    """
    rng = np.random.default_rng(seed)
    return [_rewritten(crystal, rng) for _ in range(n)]


def _rewritten(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    basis = np.eye(3, dtype=np.int64) * rng.choice([-1, 1])
    for _ in range(4):
        i, j = rng.permutation(3)[:2]
        basis[i] += rng.choice([-1, 1]) * basis[j]
    order = rng.permutation(len(crystal))
    moved = (crystal.frac_coords[order] + rng.random(3)) @ np.linalg.inv(basis)
    moments = crystal.magnetic_moments
    return Crystal(
        basis @ crystal.lattice @ Rotation.random(random_state=rng).as_matrix(),
        crystal.atomic_numbers[order],
        moved + rng.integers(-2, 3, moved.shape),
        None if moments is None else moments[order],
    )


def cell_choice_spread(
    predict: Callable[[list[Crystal]], Iterable[SupportsFloat]],
    crystals: Sequence[Crystal],
    n: int = 20,
    seed: int = 0,
) -> NDArray[np.float64]:
    """How far the predictions of a model depend on how a crystal is written.

    Parameters
    ----------
    predict
        Any model: called once with crystals, it gives a number for each, in their order; the
        method of `ecn.inference.predict.Predictor` of that name is one.
    crystals
        K crystals.
    n
        Equivalent cells of each, from `equivalent_cells`.
    seed
        Seed of the first crystal's cells, the next integers of those that follow.

    Returns
    -------
    Array of shape (K,): largest minus smallest prediction, in the model's unit; NaN where a
    prediction is.

    Raises
    ------
    ValueError
        If `predict` does not give one number for each crystal.
    """
    cells = [cell for k, crystal in enumerate(crystals) for cell in equivalent_cells(crystal, n, seed + k)]
    values = np.array([float(value) for value in predict(cells)])
    if len(values) != len(cells):
        raise ValueError(f"{len(values)} predictions for {len(cells)} crystals")
    return np.ptp(values.reshape(len(crystals), n), axis=1)
