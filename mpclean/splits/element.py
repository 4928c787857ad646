"""Splits that hold every record with an element back, to see how a model meets chemistry it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pyarrow as pa

from mpclean.errors import UserError
from mpclean.splits.base import FRACTIONS, SEED, Strategy, by_place
from mpclean.vocabulary.elements import ATOMIC_NUMBERS


def _make(keys: pa.Table, element: str | None, seed: int, fractions: Sequence[float]) -> dict[str, pa.Table]:
    """Test is every record with the element; the others are shuffled into train and validation.

    Raises
    ------
    UserError
        If there is no such element, or no record or every record has it.
    """
    if element not in ATOMIC_NUMBERS:
        raise UserError("--strategy leave-element-out needs --element with a symbol, as in --element Fe")
    has = np.array([element in system.split("-") for system in keys["group"].to_pylist()])
    if has.all() or not has.any():
        raise UserError(f"--element {element}: {'every' if has.all() else 'no'} record has it; give another")
    rest = np.flatnonzero(~has).tolist()
    Random(seed).shuffle(rest)  # noqa: S311 - reproducibility is the point
    place = np.where(has, 2, 1)
    place[rest[: round(fractions[0] / (fractions[0] + fractions[1]) * len(rest))]] = 0
    return {"": by_place(keys["material_id"], place)}


STRATEGY = Strategy(
    "leave-element-out",
    _make,
    {"element": None, "seed": SEED, "fractions": FRACTIONS},
    "chemical-system",
)
