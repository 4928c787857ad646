"""Whether predictions jump: what happens to them when atoms move by very little."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import SupportsFloat

import numpy as np
from numpy.typing import NDArray

from mpclean.crystal.crystal import Crystal

#: Displacements of atoms that are tried, in A: from rounding to the noise of a relaxation.
STEPS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


def displaced(crystal: Crystal, step: float, seed: int = 0) -> Crystal:
    """Move every atom of a crystal by one length, each in a random direction.

    Parameters
    ----------
    crystal
        Of n atoms.
    step
        How far, in A.
    seed
        Seed of the directions, which do not depend on `step`.
    """
    direction = np.random.default_rng(seed).normal(size=(len(crystal), 3))
    move = step * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    moved = crystal.frac_coords + move @ np.linalg.inv(crystal.lattice)
    return Crystal(crystal.lattice, crystal.atomic_numbers, moved, crystal.magnetic_moments)


def largest_changes(
    predict: Callable[[list[Crystal]], Iterable[SupportsFloat]],
    crystals: Sequence[Crystal],
    steps: Sequence[float] = STEPS,
    n: int = 3,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Measure how much a prediction changes when atoms move by little, per Angstrom that they move.

    A prediction that is smooth changes in proportion, so that the figures for all steps are alike: they
    are a slope. One that jumps, as where a face between two Voronoi cells comes into being, has figures
    that grow as the step becomes smaller.

    Parameters
    ----------
    predict
        Any model: called once with crystals, it gives a number for each, in their order; the
        method of `ecn.inference.predict.Predictor` of that name is one.
    crystals
        K crystals.
    steps
        S lengths that atoms move by, in A.
    n
        Displacements of each crystal.
    seed
        Seed of the first displacement of the first crystal; the next integers are those that follow.

    Returns
    -------
    Array of shape (K, S): the largest change over the displacements divided by the step, in the
    model's unit per A; NaN where a prediction is. Times the step it is the change itself.

    Raises
    ------
    ValueError
        If `predict` does not give one number for each crystal.

    Examples
    --------
    >>> slopes = largest_changes(ecn.load("formation-energy").predict, crystals)  # doctest: +SKIP
    >>> slopes.max(axis=0) * STEPS  # eV/atom, one for each step  # doctest: +SKIP
    """
    moved = [
        displaced(crystal, step, seed + n * k + draw)
        for k, crystal in enumerate(crystals)
        for step in steps
        for draw in range(n)
    ]
    values = np.array([float(value) for value in predict([*crystals, *moved])])
    if len(values) != len(crystals) + len(moved):
        raise ValueError(f"{len(values)} predictions for {len(crystals) + len(moved)} crystals")
    at_rest, there = np.split(values, [len(crystals)])
    change = np.abs(there.reshape(len(crystals), len(steps), n) - at_rest[:, None, None])
    return change.max(axis=2) / np.asarray(steps)
