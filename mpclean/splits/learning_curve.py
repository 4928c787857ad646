"""Splits with less to train on, to see what more data would bring."""

from __future__ import annotations

from random import Random

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.splits.base import SEED, Strategy

#: Shares of train; each part is part of the one before it.
SHARES = (0.5, 0.25, 0.125)


def _make(keys: pa.Table, seed: int, of: str) -> dict[str, pa.Table]:
    """One split per share, ``-0.5`` and so on: a part of train, validation and test as they are."""
    train = keys.filter(pc.equal(keys["split"], "train"))
    rest = keys.filter(pc.is_in(keys["split"], pa.array(["validation", "test"])))
    order = list(range(len(train)))
    Random(seed).shuffle(order)  # noqa: S311 - reproducibility is the point
    return {
        f"-{share}": pa.concat_tables(
            [train.take(pa.array(sorted(order[: round(share * len(train))]), pa.int64())), rest]
        )
        for share in SHARES
    }


STRATEGY = Strategy("learning-curve", _make, {"seed": SEED, "of": None})
