"""Duplicates by formula and space group, as the paper removes them, or by structure as well.

Both see the verdicts of `mpclean.matching` as columns of keys, and put them into the ledger.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mpclean.rules.base import Partition, Rule, partition

#: The paper's key of a record.
KEY = ("cell_formula", "spacegroup_number")


def by_key(keys: pa.Table) -> Partition:
    """Of records with equal cell formula and equal space group, keep the lowest in energy.

    Kaba & Ravanbakhsh 2022, section 8. The formula is that of the primitive cell, not
    reduced. Equal energies go to the smallest id in string order; a record without an energy
    loses to one with, and a group without any keeps the smallest id.

    Parameters
    ----------
    keys
        Table with ``material_id``, ``cell_formula``, ``spacegroup_number``,
        ``formation_energy_per_atom`` (eV/atom, nullable) and the columns of
        `mpclean.schema.MATCHES`.
    """
    return _keep_lowest(keys, KEY, "same formula and space group as a record of lower energy")


def by_structure(keys: pa.Table) -> Partition:
    """Of records with equal cell formula, space group and structure, keep the lowest in energy.

    As `by_key`, but only within a class of equal structures. Every record that leaves equals
    the one that stays; one whose structure could not be compared stays.

    Parameters
    ----------
    keys
        As for `by_key`.
    """
    reason = "same formula, space group and structure as a record of lower energy"
    return _keep_lowest(keys, (*KEY, "structure_class"), reason)


def _keep_lowest(keys: pa.Table, same: tuple[str, ...], reason: str) -> Partition:
    order, begins = _ranked(keys, same)
    kept = np.empty_like(order)
    kept[order] = order[begins][np.cumsum(begins) - 1]
    winner = pa.array(kept)

    energy, structure = keys["formation_energy_per_atom"], keys["structure_class"]
    verdict = pc.or_kleene(pc.equal(structure, structure.take(winner)), keys["structures_match"])
    undecided = pc.if_else(verdict.is_null(), "; structures beyond what is compared", "")
    spacegroup = keys["spacegroup_number"].cast(pa.string())
    return partition(
        keys,
        kept != np.arange(len(kept)),
        "duplicate",
        reason,
        pc.binary_join_element_wise(keys["cell_formula"], ", space group ", spacegroup, undecided, ""),
        keys["material_id"].take(winner),
        pc.subtract(energy, energy.take(winner)),
        verdict,
    )


def tied(keys: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The records that share their key with others.

    Parameters
    ----------
    keys
        As for `by_key`, without the columns of `mpclean.schema.MATCHES`.

    Returns
    -------
    (M,) rows, key by key, of each key the record first that `by_key` keeps; and how many there
    are of each key, (G,) all of them at least 2.
    """
    order, begins = _ranked(keys, KEY)
    count = np.diff(np.append(np.flatnonzero(begins), len(order)))
    return order[np.repeat(count, count) > 1], count[count > 1]


def _ranked(keys: pa.Table, same: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows group by group, the one to keep first: (N,) rows, and (N,) true where a group begins."""
    order = pc.sort_indices(
        keys,
        sort_keys=[
            *((name, "ascending") for name in same),
            ("formation_energy_per_atom", "ascending"),  # nulls come last
            ("material_id", "ascending"),
        ],
    ).to_numpy()
    begins = np.zeros(len(order), dtype=bool)
    begins[:1] = True
    for name in same:
        codes = keys[name].combine_chunks().dictionary_encode().indices.to_numpy()[order]
        begins[1:] |= np.diff(codes) != 0
    return order.astype(np.int64), begins


RULE = Rule("duplicate", "no duplicates", by_key, needs_matches=True, of_one=False)

#: What the rule may compare, by the name of ``--dedup``.
DEDUP = {
    "key": RULE,
    "structure": Rule("duplicate", "no equal structures", by_structure, needs_matches=True, of_one=False),
}
