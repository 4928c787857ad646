"""Splits that train on what was known first, to see how a model meets what came later."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mpclean.errors import UserError
from mpclean.splits.base import FRACTIONS, Strategy, by_place

#: What can order records by time: the day that the source states, or the number of an id of the
#: Materials Project, which counts up. Those of the contributed mvc-1 do not count with them.
BY = ("date", "id")


def _make(keys: pa.Table, by: str, fractions: Sequence[float]) -> dict[str, pa.Table]:
    """Train is the oldest records, test the newest; a record without a time is left out.

    Records of one day are in the order of their numbers, and then of their ids.

    Raises
    ------
    UserError
        If `by` is neither of `BY`, or too few records have a time.
    """
    if by not in BY:
        raise UserError(f"--by {by}: records are ordered by {' or '.join(BY)}")
    matched = pc.extract_regex(keys["material_id"], "^mp-(?P<n>[0-9]{1,18})$")
    number = pc.struct_field(matched, "n").cast(pa.int64())
    day = keys["date"] if "date" in keys.column_names else pa.nulls(len(keys), pa.string())
    timed = pa.table({"material_id": keys["material_id"], "id": number, "date": day})
    order = [(by, "ascending"), ("id", "ascending"), ("material_id", "ascending")]
    timed = timed.filter(timed[by].is_valid()).sort_by(order)
    ends = [round(share * len(timed)) for share in np.cumsum(fractions)]
    counts = np.diff([0, *ends])
    if not counts.all():
        dates, numbers = (len(column) - column.null_count for column in (day, number))
        raise UserError(
            f"--strategy time: of {len(keys):,} records {dates:,} have a date that the source states and "
            f"{numbers:,} a numeric id of the Materials Project (mp-149), and three parts by {by} need more; "
            "give the other one with --by, or another --strategy"
        )
    return {"": by_place(timed["material_id"], np.repeat(np.arange(3), counts))}


STRATEGY = Strategy("time", _make, {"by": None, "fractions": FRACTIONS}, columns=("date",))
