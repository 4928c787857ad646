"""Structure files without a table are a source as they are."""

import bz2
import gzip
import json

import pytest
from pymatgen.core import Lattice, Structure

import mpclean
from mpclean.crystal.reading import read_structure
from mpclean.errors import UserError
from mpclean.release.export import export
from mpclean.sources import recognise
from mpclean.sources.documents import read_documents
from mpclean.sources.structure_files import open_structures


@pytest.fixture
def salts(rock_salt):
    return [read_structure(rock_salt(n)["structure"]).crystal.to_pymatgen() for n in range(4)]


@pytest.fixture
def folder(tmp_path, salts):
    """A file of each kind, one of them in a folder of its own, one packed."""
    path = tmp_path / "crystals"
    (path / "run-1").mkdir(parents=True)
    salts[0].to_file(str(path / "first.cif"))
    (path / "first.cif").rename(path / "first.CIF")
    (path / "second.cif.gz").write_bytes(gzip.compress(salts[1].to(fmt="cif").encode()))
    (path / "third.vasp.bz2").write_bytes(bz2.compress(salts[2].to(fmt="poscar").encode()))
    (path / "run-1" / "POSCAR").write_text(salts[3].to(fmt="poscar"))
    (path / "notes.md").write_text("not read")
    (path / ".hidden.cif").write_text("data_")
    return path


def read(path):
    return [row for batch in open_structures(path).batches() for row in read_documents(batch).to_pylist()]


def test_the_name_of_a_file_is_the_id(folder):
    assert recognise(folder) == "structures"
    rows = read(folder)
    assert {row["material_id"]: (row["formula"], row["reason"]) for row in rows} == {
        "first": ("Mg1 O1", None),
        "second": ("Mg1 S1", None),
        "third": ("Mg1 Se1", None),
        "run-1/POSCAR": ("Mg1 Te1", None),
    }


def test_one_file(folder):
    assert recognise(folder / "first.CIF") == "structures"
    assert [row["material_id"] for row in read(folder / "first.CIF")] == ["first"]


def test_a_damaged_file_is_in_the_ledger_and_the_others_are_read(folder):
    (folder / "first.CIF").write_text("no CIF")
    release = mpclean.build(source=folder, out=folder.parent / "release", workers=1)
    (row,) = release.ledger().to_pylist()
    assert (row["material_id"], row["rule"]) == ("first", "record")
    assert release.table().num_rows == 3
    upstream = release.manifest.upstream
    assert (upstream.source, upstream.licence) == ("structures", "unknown")


def test_several_crystals_in_one_file(folder, salts):
    (folder / "first.CIF").write_text(
        "".join(salt.to(fmt="cif").replace(f"data_{salt.formula.split()[0]}", "data_x") for salt in salts[:2])
    )
    names = [row["material_id"] for row in read(folder)]
    assert len(names) == 5
    assert len([name for name in names if name.startswith("first:")]) == 2


def test_two_files_of_one_id_are_refused(folder, salts):
    (folder / "first.vasp").write_text(salts[0].to(fmt="poscar"))
    with pytest.raises(UserError, match="has the id first, and so has"):
        open_structures(folder)


def test_labels_that_an_export_wrote_are_joined(folder):
    (folder / "labels.jsonl").write_text(json.dumps({"material_id": "second", "efermi": 1.5}) + "\n")
    assert recognise(folder) == "structures"
    assert {row["material_id"]: row["efermi"] for row in read(folder)}["second"] == 1.5
    (folder / "labels.jsonl").write_text("{cut")
    with pytest.raises(UserError, match=r"labels\.jsonl, line 1: no labels of a crystal"):
        open_structures(folder)


@pytest.mark.parametrize("name", ["cif", "poscar"])
def test_our_own_export_is_read_back(folder, name):
    (folder / "run-1" / "POSCAR").rename(folder / "fourth.vasp")
    (folder / "run-1").rmdir()
    release = mpclean.build(source=folder, out=folder.parent / "release", workers=1)
    export(release, name, folder.parent / "exported")
    again = mpclean.build(source=folder.parent / "exported", out=folder.parent / "again", workers=1)
    assert sorted(again.table()["material_id"].to_pylist()) == ["first", "fourth", "second", "third"]


def test_a_folder_of_json_of_pymatgen(tmp_path):
    salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])
    for name in ("a.json", "b.JSON.gz"):
        salt.to(filename=str(tmp_path / "plain.json"))
        data = (tmp_path / "plain.json").read_bytes()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    (tmp_path / "plain.json").unlink()
    assert recognise(tmp_path) == recognise(tmp_path / "a.json") == "structures"
    rows = read(tmp_path)
    assert [(row["material_id"], row["formula"]) for row in rows] == [("a", "Na4 Cl4"), ("b", "Na4 Cl4")]


def test_a_kind_that_is_not_read_is_in_the_ledger(folder):
    (folder / "x.cell").write_text("%BLOCK LATTICE_CART")
    (row,) = [row for row in read(folder) if row["material_id"] == "x"]
    assert row["reason"] == "kind of file not read"
    assert row["detail"].startswith("x.cell: a .cell of CASTEP; convert it to CIF")
