"""What differs between the ledgers of two sides: which records were excluded, and by which rule."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mpclean.inspection.diff.values import unequal
from mpclean.vocabulary.schema import COLUMNS

#: Columns of a ledger that are not compared: ids join its rows, and what was found in a record is told
#: in words, with its place in the source, which is another wherever a record came before it.
_NOT_COMPARED = ("material_id", "detail")


def fates(ids: pa.ChunkedArray, ledger: pa.Table) -> pa.Table:
    """Find by which rule records were excluded, and why; null where the ledger does not know them.

    Parameters
    ----------
    ids
        (N,) ids.
    ledger
        Table of `mpclean.vocabulary.schema.LEDGER`. Rules write it in their order, so the last row of an id
        is that of its own record and not of a namesake.

    Returns
    -------
    ``material_id, rule, reason``, N rows.
    """
    backwards = ledger.take(pa.array(np.arange(ledger.num_rows)[::-1]))
    place = pc.index_in(ids, value_set=backwards["material_id"])
    columns = [ids, *(backwards[name].take(place) for name in ("rule", "reason"))]
    return pa.table(columns, names=["material_id", "rule", "reason"])


def ledger_difference(
    a: pa.Table,
    b: pa.Table,
    kept_a: pa.ChunkedArray,
    kept_b: pa.ChunkedArray,
    tolerance: Mapping[str, float],
) -> tuple[pa.Table, pa.Table, dict[str, pa.Table]]:
    """Compare two ledgers.

    Parameters
    ----------
    a, b
        Tables of `mpclean.vocabulary.schema.LEDGER`.
    kept_a, kept_b
        Ids of the records that were kept.
    tolerance
        By unit, the difference up to which numbers are the same.

    Returns
    -------
    came, went
        ``material_id, rule, reason`` of rows of which only `b`, or only `a`, has one like it. Records
        that the other side keeps are not among them.
    changed
        By column ``material_id, a, b`` of records that left in both, where it differs.
    """
    keys_a, keys_b = _keys(a, kept_a), _keys(b, kept_b)
    only_b = _only(b, keys_b, keys_a, kept_a)
    only_a = _only(a, keys_a, keys_b, kept_b)
    place = pc.index_in(keys_a, value_set=keys_b)
    a, b = a.filter(place.is_valid()), b.take(place.drop_null())
    changed = {}
    for name in a.column_names:
        if name in b.column_names and name not in _NOT_COMPARED:
            differs = unequal(a[name], b[name], tolerance[COLUMNS[name].unit])
            columns = [a["material_id"], a[name], b[name]]
            changed[name] = pa.table(columns, names=["material_id", "a", "b"]).filter(differs)
    return only_b, only_a, {name: table for name, table in changed.items() if table.num_rows}


def _keys(ledger: pa.Table, kept: pa.ChunkedArray) -> pa.ChunkedArray:
    """Name every row so that its like is found in another ledger.

    The id, or the reason of a record without one, and which of the rows with this id it is: 0 for the
    record itself, 1 and more for namesakes, from the last one backwards.
    """
    names = pc.coalesce(ledger["material_id"], pc.binary_join_element_wise("", ledger["reason"], "\n"))
    codes = names.combine_chunks().dictionary_encode().indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    counts = np.bincount(codes) if len(codes) else np.zeros(0, dtype=np.int64)
    number = np.empty(len(codes), dtype=np.int64)
    number[order] = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(codes))
    stays = pc.is_in(ledger["material_id"], value_set=kept)
    number += stays.to_numpy()
    return pc.binary_join_element_wise(names, pa.chunked_array([pa.array(number).cast(pa.string())]), "\n")


def _only(
    ledger: pa.Table, keys: pa.ChunkedArray, others: pa.ChunkedArray, kept: pa.ChunkedArray
) -> pa.Table:
    """Rows that have no like in the other ledger, but for records (number 0) that the other side keeps."""
    own = pc.ends_with(keys, "\n0")
    elsewhere = pc.or_(
        pc.is_in(keys, value_set=others), pc.and_(own, pc.is_in(ledger["material_id"], value_set=kept))
    )
    return ledger.select(["material_id", "rule", "reason"]).filter(pc.invert(elsewhere))
