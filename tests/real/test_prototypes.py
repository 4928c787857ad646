"""Prototypes of real crystals of all space groups, however they are written."""

from pathlib import Path

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest

from ecn.testing import equivalent_cells
from mpclean.crystal.cells import primitive_cell
from mpclean.crystal.crystal import Crystal
from mpclean.crystal.reading import read_structure
from mpclean.crystal.similarity.prototypes import prototype

pytestmark = pytest.mark.slow

#: Crystals of each space group at most, and atoms of their largest primitive cell.
OF_EACH_GROUP, MAX_ATOMS = 2, 16


@pytest.fixture(scope="module")
def crystals(data: Path) -> list[Crystal]:
    records = pq.read_table(data / "mp_records.parquet", columns=["structure", "spacegroup_number"])
    records = records.take(np.random.default_rng(3).permutation(len(records))[:5000])
    left = dict.fromkeys(range(1, 231), OF_EACH_GROUP)
    chosen = []
    for text, number in zip(*(column.to_pylist() for column in records.columns), strict=True):
        if left[number]:
            cell = primitive_cell(read_structure(orjson.loads(text)).crystal).crystal
            if len(cell) <= MAX_ATOMS:
                left[number] -= 1
                chosen.append(cell)
    return chosen


def test_any_way_of_writing_gives_the_same_prototype(crystals: list[Crystal]) -> None:
    """Other bases, origins and orders; few are so near to a higher symmetry that rounding decides."""
    assert len(crystals) > 200
    differ = [
        prototype(crystal)
        for crystal in crystals
        if {prototype(other) for other in equivalent_cells(crystal, n=3)} != {prototype(crystal)}
    ]
    print(f"{len(differ)} of {len(crystals)} differ: {differ[:5]}")
    assert len(differ) <= 0.01 * len(crystals)
