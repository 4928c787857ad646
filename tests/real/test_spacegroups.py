"""Space groups of real crystals are spglib's, whoever finds them."""

from pathlib import Path

import numpy as np
import orjson
import pyarrow.parquet as pq

from mpclean.crystal.cells import primitive_cell, spacegroup_number
from mpclean.crystal.reading import read_structure


def test_space_groups_equal_spglibs(data: Path) -> None:
    table = pq.read_table(data / "mp_records.parquet", columns=["structure"])
    high = 0
    for row in np.random.default_rng(8).permutation(table.num_rows)[:300]:
        primitive = primitive_cell(read_structure(orjson.loads(table["structure"][int(row)].as_py())).crystal)
        found = spacegroup_number(primitive.crystal, tight=primitive.spacegroup_number)
        assert found == spacegroup_number(primitive.crystal)  # which leaves all to spglib
        high += primitive.spacegroup_number >= 75
    assert high > 100
