"""How much of what a model is chosen and tested on it has met before, level by level."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from mpclean.vocabulary.schema import PARTS

#: What is counted: by name the part whose records must be new, and the part that must hold no equals of them.
#: A model is fitted to train and chosen by validation, so test must be new to both.
PAIRS = {
    "validation": ("validation", "train"),
    "test": ("test", "train"),
    "test_to_validation": ("test", "validation"),
}

#: Of a level and a name of `PAIRS`: the records of the part, and those of them with an equal in the other.
Leakage = dict[str, dict[str, dict[str, int]]]


def leakage(keys: pa.Table, assigned: pa.Table) -> Leakage:
    """Count the records of a part of a split that are equal, level by level, to one of another part.

    Parameters
    ----------
    keys
        As `mpclean.crystal.similarity.levels.level_keys` gives them: ``material_id`` and a column for each
        level; a null is equal to nothing.
    assigned
        A split, as `mpclean.vocabulary.schema.SPLIT`; every id is in `keys`.

    Returns
    -------
    For each level and name of `PAIRS` ``{"records", "leaking"}``.
    """
    rows = keys.take(pc.index_in(assigned["material_id"], value_set=keys["material_id"].combine_chunks()))
    parts = {name: rows.filter(pc.equal(assigned["split"], name)) for name in PARTS}
    return {
        level: {
            name: _leaking(parts[part][level], parts[other][level]) for name, (part, other) in PAIRS.items()
        }
        for level in keys.column_names[1:]
    }


def _leaking(keys: pa.ChunkedArray, others: pa.ChunkedArray) -> dict[str, int]:
    """Count keys, and those of them that are among others."""
    known = pc.unique(others.drop_null())
    return {"records": len(keys), "leaking": pc.sum(pc.is_in(keys, value_set=known)).as_py() or 0}
