"""Crystals to look at: for every reason of the ledger a few of the records that it took.

The ledger says what was found in a record; a release holds no more of those that left. These few
stay with their crystals, so that a reader can see what a rule does.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.vocabulary.schema import EXAMPLE

#: Records that stand for a reason.
PER_REASON = 4

#: Records that are alike in these have examples in common.
_ALIKE = ("rule", "reason", "structures_match")

#: What is kept of a record.
COLUMNS = tuple(name for name in EXAMPLE.names if name not in ("rule", "reason"))


def chosen(ledger: pa.Table) -> pa.Table:
    """Find the records that stand for the reasons of a ledger.

    Of each reason the first `PER_REASON` in the order of the ledger. Of duplicates, for each verdict
    on their structures, those that are farthest in energy from what stayed, which are the ones to
    doubt. Records that the rule ``record`` took have no crystal, or share their id with one that
    stayed.

    Parameters
    ----------
    ledger
        Table with the columns of `mpclean.vocabulary.schema.LEDGER`.

    Returns
    -------
    ``material_id``, ``rule`` and ``reason``.
    """
    # Places only: a ledger is as long as what leaves, and texts in another order are its texts once more.
    order = pc.sort_indices(
        ledger,
        sort_keys=[*((name, "ascending") for name in _ALIKE), ("energy_difference", "descending")],
    ).to_numpy()
    same = np.ones(len(order), dtype=bool)
    same[:1] = False
    for name in _ALIKE:
        code = _codes(ledger[name])[order]
        same[1:] &= code[1:] == code[:-1]
    place = np.arange(len(order), dtype=np.int32)
    rank = place - np.maximum.accumulate(np.where(same, np.int32(0), place))
    stands = np.zeros(len(order), dtype=bool)
    stands[order[rank < PER_REASON]] = True
    few = ledger.select(["material_id", "rule", "reason"]).filter(pa.array(stands))
    return few.filter(pc.not_equal(few["rule"], "record"))


def _codes(column: pa.ChunkedArray) -> NDArray[np.int32]:
    """(N,) equal numbers for equal values, null among them."""
    pieces = column.dictionary_encode("encode").chunks  # of one dictionary
    return np.concatenate([np.empty(0, np.int32), *(piece.indices.to_numpy() for piece in pieces)])


def examples(ledger: pa.Table, prepared: Iterable[pa.RecordBatch]) -> pa.Table:
    """Return the chosen records with their crystals.

    Parameters
    ----------
    ledger
        As for `chosen`.
    prepared
        Batches of readable records with `COLUMNS`, in the order of the source.

    Returns
    -------
    Table with the columns of `mpclean.vocabulary.schema.EXAMPLE`, in the order of the source.
    """
    records = chosen(ledger)
    ids = records["material_id"].combine_chunks()
    found = []
    for batch in prepared:
        place = pc.index_in(batch["material_id"], value_set=ids)
        if place.null_count == len(place):
            continue  # as in nearly all batches
        held = place.is_valid()
        columns = {name: batch[name].filter(held) for name in COLUMNS}
        columns |= {name: records[name].take(place.filter(held)) for name in ("rule", "reason")}
        found.append(pa.table([columns[name] for name in EXAMPLE.names], schema=EXAMPLE))
    table = pa.concat_tables([EXAMPLE.empty_table(), *found])
    # Of records that share an id the first is the one that the rules saw.
    _, first = np.unique(table["material_id"].to_numpy(zero_copy_only=False).astype(str), return_index=True)
    return table.take(pa.array(np.sort(first)))
