"""What ASE reads of what it wrote."""

import numpy as np
import pytest

from mpclean.sources.ase_files import open_ase

ase_io = pytest.importorskip("ase.io")
ase_db = pytest.importorskip("ase.db")


def moments_of(atoms):
    return None if atoms.calc is None else atoms.calc.results.get("magmoms", atoms.calc.results.get("magmom"))


def check_atoms(atoms, crystal, same_arrays):
    assert atoms.pbc.all()
    same_arrays(atoms.cell.array, atoms.numbers, atoms.get_scaled_positions(wrap=False), crystal)
    if crystal.magnetic_moments is not None:
        np.testing.assert_allclose(atoms.get_magnetic_moments(), crystal.magnetic_moments, atol=1e-6)


def test_extxyz(exported, same_arrays):
    path, expected = exported("extxyz", "frames.extxyz", split="train")
    frames = ase_io.read(path, index=":")
    assert len(frames) == len(expected) > 100
    for atoms, (crystal, labels) in zip(frames, expected, strict=True):
        check_atoms(atoms, crystal, same_arrays)
        assert atoms.info == labels


def test_database(exported, same_arrays):
    path, expected = exported("ase-db", "crystals.db", config="insulators")
    with ase_db.connect(path) as database:
        rows = list(database.select())
        assert database.get(material_id=expected[3][1]["material_id"]).id == 4
    assert len(rows) == len(expected) > 10
    for row, (crystal, labels) in zip(rows, expected, strict=True):
        check_atoms(row.toatoms(), crystal, same_arrays)
        assert row.data == labels
        assert row.key_value_pairs == {name: value for name, value in labels.items() if name != "formula"}


def test_lists_of_releases(demo_release, same_arrays):
    frames = list(demo_release.ase("test", "insulators"))
    for atoms, (crystal, labels) in zip(frames, demo_release.crystals("test", "insulators"), strict=True):
        check_atoms(atoms, crystal, same_arrays)
        assert atoms.info == labels


@pytest.mark.parametrize(("name", "out"), [("extxyz", "frames.extxyz"), ("ase-db", "crystals.db")])
def test_our_own_source_reads_it(exported, name, out, same_arrays):
    from mpclean.crystal import Crystal
    from mpclean.documents import read_documents

    path, expected = exported(name, out, split="test")
    rows = [row for batch in open_ase(path).batches() for row in read_documents(batch).to_pylist()]
    assert len(rows) == len(expected)
    for row, (crystal, labels) in zip(rows, expected, strict=True):
        assert row["reason"] is None
        read = Crystal.from_row(row)
        same_arrays(read.lattice, read.atomic_numbers, read.frac_coords, crystal)
        for label in ("material_id", "formation_energy_per_atom", "efermi", "band_gap", "e_above_hull"):
            assert row[label] == labels.get(label)
        assert row["is_hubbard"] == labels.get("is_hubbard")
