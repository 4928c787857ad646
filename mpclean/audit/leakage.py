"""How much of what a model is tested on it has met in training, level by level."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

#: The parts that a model must not have met.
HELD_BACK = ("validation", "test")

#: Of a level and a part: its records, and those of them that have their like in train.
Leakage = dict[str, dict[str, dict[str, int]]]


def leakage(keys: pa.Table, assigned: pa.Table) -> Leakage:
    """Count the records of validation and test that are alike to one of train.

    Parameters
    ----------
    keys
        As `mpclean.levels.level_keys` gives them: ``material_id`` and a column for each level;
        a null is alike to nothing.
    assigned
        A split, as `mpclean.schema.SPLIT`; every id is in `keys`.

    Returns
    -------
    For each level and part ``{"records", "leaking"}``.
    """
    rows = keys.take(pc.index_in(assigned["material_id"], value_set=keys["material_id"].combine_chunks()))
    parts = {name: rows.filter(pc.equal(assigned["split"], name)) for name in ("train", *HELD_BACK)}
    found: Leakage = {}
    for level in keys.column_names[1:]:
        known = pc.unique(parts["train"][level].drop_null())
        found[level] = {
            part: {
                "records": parts[part].num_rows,
                "leaking": pc.sum(pc.is_in(parts[part][level], value_set=known)).as_py() or 0,
            }
            for part in HELD_BACK
        }
    return found
