"""Cells that are too large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from annotated_types import Ge

from mpclean.rules.base import Partition, Rule, partition


@dataclass(frozen=True)
class Size(Rule):
    """Exclude crystals of many atoms (Kaba & Ravanbakhsh 2022, section 8)."""

    name = "size"
    columns = ("nsites",)

    max_atoms: Annotated[int, Ge(1)] = 50
    """Most atoms in the primitive cell."""

    @property
    def title(self) -> str:
        """What it keeps, for tables."""
        return f"at most {self.max_atoms} atoms"

    def apply(self, keys: pa.Table) -> Partition:
        """Part the keys; see `Rule.apply`."""
        return partition(
            keys,
            pc.greater(keys["nsites"], self.max_atoms),
            self.name,
            f"more than {self.max_atoms} atoms in the primitive cell",
            pc.binary_join_element_wise(keys["nsites"].cast(pa.string()), "atoms", " "),
        )
