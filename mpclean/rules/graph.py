"""Bond graphs that are not valid."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.rules.base import Partition, Rule, partition


@dataclass(frozen=True)
class Graph(Rule):
    """Exclude crystals without a valid bond graph.

    A graph is valid when the tessellation succeeded, every atom has an edge, and the graph
    of the 2 x 2 x 2 supercell is one connected component (Kaba & Ravanbakhsh 2022, section 8).
    Where bonds could not be found, their ``reason`` says why.
    """

    name = "graph"
    columns = ("n_components", "n_isolated", "reason", "detail")

    @property
    def title(self) -> str:
        """What it keeps, for tables."""
        return "valid graph"

    def apply(self, keys: pa.Table) -> Partition:
        """Part the keys; see `Rule.apply`."""
        isolated = pc.fill_null(pc.greater(keys["n_isolated"], 0), False)
        apart = pc.fill_null(pc.greater(keys["n_components"], 1), False)
        failed = keys["reason"].is_valid()
        n_isolated = pc.binary_join_element_wise(keys["n_isolated"].cast(pa.string()), "atoms", " ")
        n_components = pc.binary_join_element_wise(keys["n_components"].cast(pa.string()), "components", " ")
        reason = pc.case_when(
            pc.make_struct(failed, isolated),
            keys["reason"],
            "an atom has no bond",
            "the supercell graph is not connected",
        )
        detail = pc.case_when(pc.make_struct(failed, isolated), keys["detail"], n_isolated, n_components)
        return partition(keys, pc.or_(failed, pc.or_(isolated, apart)), self.name, reason, detail)
