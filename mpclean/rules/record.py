"""Records that cannot be read leave first, and ids that come a second time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mpclean.rules.base import Partition, Rule, partition


def record(keys: pa.Table) -> Partition:
    """Drop records with a reason, and all but the first readable record of each id.

    Parameters
    ----------
    keys
        Table with the columns of `mpclean.schema.KEY`, in the order of the source.
    """
    readable = keys["reason"].is_null().to_numpy()
    position = np.nonzero(readable)[0]
    ids = (
        keys["material_id"].filter(pa.array(readable)).combine_chunks().dictionary_encode().indices.to_numpy()
    )
    _, first = np.unique(ids, return_index=True)
    again = readable.copy()
    again[position[first]] = False
    reason = pc.if_else(pa.array(again), "id seen twice", keys["reason"])
    detail = pc.if_else(
        pa.array(again),
        pc.binary_join_element_wise("record", keys["position"].cast(pa.string()), "of the source", " "),
        keys["detail"],
    )
    kept_id = pc.if_else(pa.array(again), keys["material_id"], pa.scalar(None, pa.string()))
    return partition(keys, again | ~readable, "record", reason, detail, kept_id)


RULE = Rule("record", "readable", record)
