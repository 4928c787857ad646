"""Duplicates by formula and space group, as the paper removes them, or by structure as well.

Both see the verdicts of `mpclean.crystal.similarity.matching` as columns of keys, and put them into the
ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.rules.base import Partition, Rule, ledger_rows

#: The paper's key of a record.
KEY = ("cell_formula", "spacegroup_number")

#: What makes records duplicates: the key alone, or equal structures besides.
Dedup = Literal["key", "structure"]

#: What the ledger says of a record that leaves comes from these.
_SEEN = ["material_id", *KEY, "formation_energy_per_atom", "structure_class", "structures_match"]

#: Rows that are compared with their neighbours at a time.
_ROWS = 65_536


@dataclass(frozen=True)
class Duplicate(Rule):
    """Of records with equal cell formula and equal space group, keep the lowest in energy.

    Kaba & Ravanbakhsh 2022, section 8. The formula is that of the primitive cell, not
    reduced. Equal energies go to the smallest id in string order; a record without an energy
    loses to one with, and a group without any keeps the smallest id.
    """

    name = "duplicate"
    columns = (*KEY, "formation_energy_per_atom", "structure_class", "structures_match")
    of_one = False

    dedup: Dedup = "key"
    """``structure`` excludes within a class of equal structures only: every record that is excluded
    equals the one that is kept, and one whose structure could not be compared is kept."""

    @property
    def title(self) -> str:
        """What it keeps, for tables."""
        return "no duplicates" if self.dedup == "key" else "no equal structures"

    def apply(self, keys: pa.Table) -> Partition:
        """Part the keys; see `Rule.apply`."""
        if self.dedup == "key":
            return _keep_lowest(keys, KEY, "same formula and space group")
        return _keep_lowest(keys, (*KEY, "structure_class"), "same formula, space group and structure")


def _keep_lowest(keys: pa.Table, same: tuple[str, ...], equal: str) -> Partition:
    kept = _kept(keys, same)
    stays = kept == np.arange(len(kept), dtype=kept.dtype)
    winner = pa.array(kept[~stays])
    del kept  # what is as long as the source is held no longer than it must be
    pa.default_memory_pool().release_unused()

    lost = keys.select(_SEEN).filter(pa.array(~stays))
    energy, structure = lost["formation_energy_per_atom"], lost["structure_class"]
    verdict = pc.or_kleene(
        pc.equal(structure, keys["structure_class"].take(winner)), lost["structures_match"]
    )
    undecided = pc.if_else(verdict.is_null(), "; structures beyond what is compared", "")
    spacegroup = lost["spacegroup_number"].cast(pa.string())
    lowest = keys["formation_energy_per_atom"].take(winner)
    reason: str | pa.ChunkedArray = f"{equal} as a record of lower energy"
    if lowest.null_count:
        reason = pc.if_else(lowest.is_null(), f"{equal} as another record, none with an energy", reason)
    rows = ledger_rows(
        lost.num_rows,
        {
            "material_id": lost["material_id"],
            "rule": "duplicate",
            "reason": reason,
            "detail": pc.binary_join_element_wise(
                lost["cell_formula"], ", space group ", spacegroup, undecided, ""
            ),
            "kept_id": keys["material_id"].take(winner),
            "energy_difference": pc.subtract(energy, lowest),
            "structures_match": verdict,
        },
    )
    del lost, energy, structure, verdict, undecided, spacegroup, winner, lowest
    return keys.filter(pa.array(stays)), rows


def _kept(keys: pa.Table, same: tuple[str, ...]) -> NDArray[np.uint32]:
    """(N,) the row that stays for each row."""
    order, begins = _ranked(keys, same)
    kept = np.empty_like(order)
    kept[order] = order[begins][np.cumsum(begins, dtype=np.uint32) - 1]
    return kept


def tied(keys: pa.Table) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Find the records that share their key with others.

    Parameters
    ----------
    keys
        Table with the columns of `Duplicate`, without the columns of `mpclean.vocabulary.schema.MATCHES`.

    Returns
    -------
    (M,) rows, key by key, of each key the record first that the rule keeps by the key; and how many there
    are of each key, (G,) all of them at least 2.
    """
    order, begins = _ranked(keys, KEY)
    count = np.diff(np.append(np.flatnonzero(begins), len(order)))
    return order[np.repeat(count, count) > 1], count[count > 1]


def _ranked(keys: pa.Table, same: tuple[str, ...]) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """Rows group by group, the one to keep first: (N,) rows, and (N,) true where a group begins."""
    rows = pc.sort_indices(
        keys,
        sort_keys=[
            *((name, "ascending") for name in same),
            ("formation_energy_per_atom", "ascending"),  # nulls come last
            ("material_id", "ascending"),
        ],
    )
    order = rows.to_numpy().astype(np.uint32)
    del rows
    begins = np.zeros(len(order), dtype=bool)
    begins[:1] = True
    for name in same:
        column = keys[name].combine_chunks()
        for start in range(0, len(order) - 1, _ROWS):
            values = column.take(pa.array(order[start : start + _ROWS + 1]))
            begins[start + 1 : start + len(values)] |= pc.not_equal(values[1:], values[:-1]).to_numpy(
                zero_copy_only=False
            )
    return order, begins
