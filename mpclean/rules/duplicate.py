"""Duplicates by formula and space group, as the paper removes them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mpclean.rules.base import Partition, Rule, partition


def duplicate(keys: pa.Table) -> Partition:
    """Of records with equal cell formula and equal space group, keep the lowest in energy.

    Kaba & Ravanbakhsh 2022, section 8. The formula is that of the primitive cell, not
    reduced. Equal energies go to the smallest id in string order; a record without an energy
    loses to one with, and a group without any keeps the smallest id.

    Parameters
    ----------
    keys
        Table with ``material_id``, ``cell_formula``, ``spacegroup_number`` and
        ``formation_energy_per_atom`` (eV/atom, nullable).
    """
    order = pc.sort_indices(
        keys,
        sort_keys=[
            ("cell_formula", "ascending"),
            ("spacegroup_number", "ascending"),
            ("formation_energy_per_atom", "ascending"),  # nulls come last
            ("material_id", "ascending"),
        ],
    ).to_numpy()
    formula = keys["cell_formula"].combine_chunks().dictionary_encode().indices.to_numpy()[order]
    group = keys["spacegroup_number"].to_numpy()[order]
    begins = np.concatenate([[True], (np.diff(formula) != 0) | (np.diff(group) != 0)])[: len(order)]
    kept_in_order = order[begins][np.cumsum(begins) - 1]
    kept = np.empty_like(order)
    kept[order] = kept_in_order

    energy = keys["formation_energy_per_atom"]
    detail = pc.binary_join_element_wise(
        keys["cell_formula"], ", space group ", keys["spacegroup_number"].cast(pa.string()), ""
    )
    return partition(
        keys,
        kept != np.arange(len(kept)),
        "duplicate",
        "same formula and space group as a record of lower energy",
        detail,
        keys["material_id"].take(pa.array(kept)),
        pc.subtract(energy, energy.take(pa.array(kept))),
    )


RULE = Rule("duplicate", "no duplicates", duplicate)
