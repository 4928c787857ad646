"""Real duplicates of the paper's key, compared by their source's own cells with the matcher as it comes."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

import mpclean
from mpclean.vocabulary.ids import normalise_id

#: Na3Au, CuBr and SiO2 that are equal, one 0.27 eV/atom above the other; Ta5Ga3 and SrZrS3 that are not.
PAIRS = {
    "mp-1186018": ("mp-976765", True),
    "mp-32880": ("mp-22913", True),
    "mp-568376": ("mp-1188462", False),
    "mp-5193": ("mp-558760", False),
    "mp-555891": ("mp-972808", True),
}


@pytest.fixture(scope="module")
def records(data):
    table = pq.read_table(data / "mp_records.parquet")
    wanted = {*PAIRS, *(kept for kept, _ in PAIRS.values())}
    return table.filter(pa.array([normalise_id(name) in wanted for name in table["material_id"].to_pylist()]))


def test_every_merge_has_the_verdict_of_the_matcher(records, tmp_path):
    pq.write_table(records, tmp_path / "records.parquet")
    by_key = mpclean.build(source=tmp_path / "records.parquet", out=tmp_path / "key", workers=1)
    merged = {
        row["material_id"]: (row["kept_id"], row["structures_match"])
        for row in by_key.ledger().to_pylist()
        if row["rule"] == "duplicate"
    }
    assert merged == PAIRS
    structures = {
        normalise_id(row["material_id"]): Structure.from_dict(json.loads(row["structure"]))
        for row in records.to_pylist()
    }
    for name, (kept, verdict) in PAIRS.items():
        assert bool(StructureMatcher().fit(structures[kept], structures[name])) is verdict

    by_structure = mpclean.build(
        source=tmp_path / "records.parquet",
        out=tmp_path / "structure",
        rule={"dedup": "structure"},
        workers=1,
    )
    left = [row for row in by_structure.ledger().to_pylist() if row["rule"] == "duplicate"]
    assert {row["material_id"]: row["kept_id"] for row in left} == {
        name: kept for name, (kept, verdict) in PAIRS.items() if verdict
    }
