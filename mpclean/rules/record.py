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
        Table with the columns of `mpclean.vocabulary.schema.KEY`, in the order of the source.
    """
    readable = keys["reason"].is_null().to_numpy()
    position = np.nonzero(readable)[0]
    ids = keys["material_id"].filter(pa.array(readable))
    order = pc.sort_indices(ids)  # stable, so the first of each id stays
    ids = ids.take(order)
    again = np.zeros(len(keys), dtype=bool)
    again[position[order.to_numpy()[1:][pc.equal(ids[1:], ids[:-1]).to_numpy()]]] = True
    reason, detail, kept_id = keys["reason"], keys["detail"], None
    if again.any():
        mask = pa.array(again)
        place = pc.binary_join_element_wise(
            "record", keys["position"].cast(pa.string()), "of the source", " "
        )
        reason = pc.if_else(mask, "id seen twice", reason)
        detail = pc.if_else(mask, place, detail)
        kept_id = pc.if_else(mask, keys["material_id"], pa.scalar(None, pa.string()))
    return partition(keys, again | ~readable, "record", reason, detail, kept_id)


RULE = Rule("record", "readable", record, of_one=False)
