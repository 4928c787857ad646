"""Layers, chains and molecules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from annotated_types import Ge, Le

from mpclean.rules.base import Partition, Rule, partition

_WORDS = ("zero", "one", "two", "three")


@dataclass(frozen=True)
class Dimensionality(Rule):
    """Exclude crystals whose bonds do not reach through all three dimensions.

    Kaba & Ravanbakhsh 2022, section 8; dimensionality by Larsen et al. 2019,
    doi 10.1103/PhysRevMaterials.3.034003. A crystal whose bonds could not be found has none
    and is left to the rule `graph`.
    """

    name = "dimensionality"
    columns = ("dimensionality",)

    dimensionality: Annotated[int, Ge(0), Le(3)] = 3
    """The one that is kept: 3, or 2 for layers, 1 for chains, 0 for molecules."""

    @property
    def title(self) -> str:
        """What it keeps, for tables."""
        return f"{_WORDS[self.dimensionality]}-dimensional"

    def apply(self, keys: pa.Table) -> Partition:
        """Part the keys; see `Rule.apply`."""
        detail = pc.binary_join_element_wise("dimensionality", keys["dimensionality"].cast(pa.string()), " ")
        other = pc.fill_null(pc.not_equal(keys["dimensionality"], self.dimensionality), False)
        return partition(keys, other, self.name, f"not {self.title}", detail)
