"""What ASE reads of what it wrote."""

import numpy as np
import pytest

import mpclean
from mpclean.crystal.crystal import Crystal
from mpclean.errors import UserError
from mpclean.release.export import export
from mpclean.sources.ase_files import open_ase
from mpclean.sources.documents import read_documents

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
    path, expected = exported("extxyz", "frames.extxyz", part="train")
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


@pytest.mark.parametrize("material_id", ["3961", "a b", 'a"b', "a=b", "[1,2]", "#1"])
def test_ids_as_they_are(rock_salt, write_lines, tmp_path, material_id):
    """A number, as ids of Perov-5 are, is one for ASE, and the same id for our own source."""
    source = write_lines(tmp_path / "docs.jsonl", [rock_salt(0, material_id=material_id)])
    release = mpclean.build(source=source, out=tmp_path / "r", workers=1)
    for name, out in (("extxyz", "frames.extxyz"), ("ase-db", "crystals.db")):
        export(release, name, tmp_path / out)
        (batch,) = open_ase(tmp_path / out).batches()
        assert read_documents(batch)["material_id"].to_pylist() == [material_id]


@pytest.mark.parametrize("material_id", ["007", "1e5", "T", "a\\b", "1 2", "a\nb"])
def test_ids_that_ase_takes_for_something_else(rock_salt, write_lines, tmp_path, material_id):
    source = write_lines(tmp_path / "docs.jsonl", [rock_salt(0, material_id=material_id)])
    release = mpclean.build(source=source, out=tmp_path / "r", workers=1)
    with pytest.raises(UserError, match="an id that extended XYZ cannot hold; use --format jsonl"):
        export(release, "extxyz", tmp_path / "frames.extxyz")
    export(release, "ase-db", tmp_path / "crystals.db")
    with ase_db.connect(tmp_path / "crystals.db") as database:
        assert next(database.select()).data["material_id"] == material_id


def test_lists_of_releases(demo_release, same_arrays):
    frames = list(demo_release.ase("test", "insulators"))
    for atoms, (crystal, labels) in zip(frames, demo_release.crystals("test", "insulators"), strict=True):
        check_atoms(atoms, crystal, same_arrays)
        assert atoms.info == labels


@pytest.mark.parametrize(("name", "out"), [("extxyz", "frames.extxyz"), ("ase-db", "crystals.db")])
def test_our_own_source_reads_it(exported, name, out, same_arrays):
    path, expected = exported(name, out, part="test")
    rows = [row for batch in open_ase(path).batches() for row in read_documents(batch).to_pylist()]
    assert len(rows) == len(expected)
    for row, (crystal, labels) in zip(rows, expected, strict=True):
        assert row["reason"] is None
        read = Crystal.from_row(row)
        same_arrays(read.lattice, read.atomic_numbers, read.frac_coords, crystal)
        for label in ("material_id", "formation_energy_per_atom", "efermi", "band_gap", "e_above_hull"):
            assert row[label] == labels.get(label)
        assert row["is_hubbard"] == labels.get("is_hubbard")
