"""Cells that are too large."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.rules.base import Partition, Rule, partition

#: Most atoms in a primitive cell (Kaba & Ravanbakhsh 2022, section 8).
MAX_ATOMS = 50


def size(keys: pa.Table) -> Partition:
    """Drop crystals of more than `MAX_ATOMS` atoms in the primitive cell.

    Parameters
    ----------
    keys
        Table with ``nsites``.
    """
    atoms = pc.binary_join_element_wise(keys["nsites"].cast(pa.string()), "atoms", " ")
    return partition(
        keys,
        pc.greater(keys["nsites"], MAX_ATOMS),
        "size",
        f"more than {MAX_ATOMS} atoms in the primitive cell",
        atoms,
    )


RULE = Rule("size", f"at most {MAX_ATOMS} atoms", size)
