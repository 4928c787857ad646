"""What readers of CGCNN's format make of an exported folder."""

import csv

import pytest
from pymatgen.core import Structure

from mpclean.crystal.crystal import Crystal
from mpclean.sources.cgcnn import open_cgcnn
from mpclean.sources.documents import read_documents


@pytest.mark.filterwarnings("ignore:Issues encountered while parsing CIF")  # ideal values are as they were
def test_as_cgcnn_reads_it(exported, same_crystal):
    """The table without a header, and `Structure.from_file` of every id."""
    folder, crystals = exported("cgcnn", "cgcnn", part="train", target="efermi")
    expected = [(crystal, labels) for crystal, labels in crystals if "efermi" in labels]
    assert 100 < len(expected) < len(crystals)
    with (folder / "id_prop.csv").open() as file:
        table = [(material_id, float(value)) for material_id, value in csv.reader(file)]
    assert table == [(labels["material_id"], labels["efermi"]) for _, labels in expected]
    assert len(list(folder.glob("*.cif"))) == len(expected)
    for (material_id, _), (crystal, _) in zip(table, expected, strict=True):
        same_crystal(Structure.from_file(folder / f"{material_id}.cif"), crystal)


@pytest.mark.parametrize("target", ["band_gap", "formation_energy_per_atom"])
def test_our_own_source_reads_it(exported, same_crystal, target):
    folder, crystals = exported("cgcnn", "cgcnn", part="test", target=target)
    expected = [(crystal, labels) for crystal, labels in crystals if target in labels]
    rows = [row for batch in open_cgcnn(folder).batches() for row in read_documents(batch).to_pylist()]
    for row, (crystal, labels) in zip(rows, expected, strict=True):
        assert (row["reason"], row["material_id"]) == (None, labels["material_id"])
        assert row["id_prop"] == labels[target]
        same_crystal(Crystal.from_row(row).to_pymatgen(), crystal)
