"""The random split of the paper's authors."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from random import Random

import pyarrow as pa

from mpclean.splits.base import FRACTIONS, SEED, Strategy
from mpclean.vocabulary.schema import PARTS, SPLIT


def shuffled(
    material_ids: Sequence[str] | pa.ChunkedArray, seed: int = SEED, fractions: Sequence[float] = FRACTIONS
) -> pa.Table:
    """Shuffle ids with Python's generator and cut them, 80 / 10 / 10 if not told otherwise.

    The algorithm that made the published lists of Kaba & Ravanbakhsh 2022: ``random.seed``,
    ``random.shuffle``, then the first ``int(0.8 N)``, the next ``int(0.1 N)``, the rest.

    Parameters
    ----------
    material_ids
        (N,) ids; their order decides, so it must be a fixed one.
    seed
        Seed of `random.Random`.
    fractions
        Share of train, validation and test.

    Returns
    -------
    Table of `mpclean.vocabulary.schema.SPLIT`, N rows in the shuffled order.
    """
    ids = material_ids if isinstance(material_ids, pa.ChunkedArray) else pa.array(material_ids, pa.string())
    order = array("q", range(len(ids)))  # shuffled as the ids themselves would be
    Random(seed).shuffle(order)  # noqa: S311 - reproducibility is the point
    n_train, n_validation = (int(fraction * len(ids)) for fraction in fractions[:2])
    counts = (n_train, n_validation, len(ids) - n_train - n_validation)
    names = pa.concat_arrays([pa.repeat(name, count) for name, count in zip(PARTS, counts, strict=True)])
    return pa.table([ids.take(pa.array(order, pa.int64())), names], schema=SPLIT)


def _make(keys: pa.Table, seed: int, fractions: Sequence[float]) -> dict[str, pa.Table]:
    return {"": shuffled(keys["material_id"], seed, fractions)}


STRATEGY = Strategy("random", _make, {"seed": SEED, "fractions": FRACTIONS})
