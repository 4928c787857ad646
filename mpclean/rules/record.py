"""Records that cannot be read, and ids that come a second time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mpclean.rules.base import Partition, Rule, partition


@dataclass(frozen=True)
class Record(Rule):
    """Exclude records with a reason, and all but the first readable record of each id.

    It runs first in every build: nothing is known of what cannot be read.
    """

    name = "record"
    columns = ("reason", "detail")
    of_one = False

    @property
    def title(self) -> str:
        """What it keeps, for tables."""
        return "readable"

    def apply(self, keys: pa.Table) -> Partition:
        """Part the keys; see `Rule.apply`."""
        readable = keys["reason"].is_null().to_numpy()
        position = np.nonzero(readable)[0]
        ids = keys["material_id"].filter(pa.array(readable))
        order = pc.sort_indices(ids)  # stable, so the first of each id is kept
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
        return partition(keys, again | ~readable, self.name, reason, detail, kept_id)
