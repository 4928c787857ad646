"""Layers, chains and molecules."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.rules.base import Partition, Rule, partition


def dimensionality(keys: pa.Table) -> Partition:
    """Drop crystals whose bonds do not reach through all three dimensions.

    Kaba & Ravanbakhsh 2022, section 8; dimensionality by Larsen et al. 2019,
    doi 10.1103/PhysRevMaterials.3.034003. A crystal whose bonds could not be found has none
    and is left to the rule `graph`.

    Parameters
    ----------
    keys
        Table with ``dimensionality`` (0 to 3, nullable).
    """
    detail = pc.binary_join_element_wise("dimensionality", keys["dimensionality"].cast(pa.string()), " ")
    leaves = pc.fill_null(pc.less(keys["dimensionality"], 3), False)
    return partition(keys, leaves, "dimensionality", "not three-dimensional", detail)


RULE = Rule("dimensionality", "three-dimensional", dimensionality, needs_bonds=True)
