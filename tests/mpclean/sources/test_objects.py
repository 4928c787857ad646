"""Crystals in memory are a source: lists of them, and data frames."""

import ase
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure

import mpclean
from mpclean.crystal.reading import read_structure
from mpclean.errors import UserError
from mpclean.sources.documents import read_documents
from mpclean.sources.objects import open_objects


@pytest.fixture
def crystals(rock_salt):
    return [read_structure(rock_salt(n)["structure"]).crystal for n in range(3)]


def read(given):
    return [
        row for batch in open_objects(given).batches() for row in read_documents(batch, ["k"]).to_pylist()
    ]


def test_a_list_of_any_of_them(crystals):
    structure = crystals[1].to_pymatgen()
    structure.properties = {"material_id": "mine", "k": 2.5, "efermi": 1.0}
    atoms = crystals[2].to_ase()
    atoms.info = {"k": 3.5}
    rows = read([crystals[0], structure, atoms])
    assert [(row["material_id"], row["formula"], row["own_labels"]) for row in rows] == [
        ("crystal-0", "Mg1 O1", None),
        ("mine", "Mg1 S1", [("k", 2.5)]),
        ("crystal-2", "Mg1 Se1", [("k", 3.5)]),
    ]
    assert rows[1]["efermi"] == 1.0
    assert rows[0]["magnetic_moments"] == crystals[0].magnetic_moments.tolist()


def test_a_data_frame(crystals):
    structures = [crystal.to_pymatgen() for crystal in crystals]
    frame = pd.DataFrame({"structure": structures, "k": [1, 2, 3]}, index=["a", "0012", "7E10"])
    rows = read(frame)
    assert [row["material_id"] for row in rows] == ["a", "0012", "7E10"]
    assert [row["own_labels"] for row in rows] == [[("k", 1.0)], [("k", 2.0)], [("k", 3.0)]]
    named = read(frame.assign(id=["x", "y", "z"], structure=[s.to(fmt="cif") for s in structures]))
    assert [(row["material_id"], row["reason"]) for row in named] == [("x", None), ("y", None), ("z", None)]


def test_a_bad_one_is_in_the_ledger(crystals, tmp_path):
    partial = Structure(Lattice.cubic(4), [{"Mg": 0.5, "Ca": 0.5}], [[0, 0, 0]])
    slab = ase.Atoms("Mg", cell=[4, 4, 4], pbc=[True, True, False])
    labels = pd.DataFrame({"k": [1.0, 2.0]}, index=["crystal-0", "crystal-1"])
    given = [*crystals, partial, slab]
    release = mpclean.build(source=given, out=tmp_path / "r", workers=1, labels=labels)
    assert {row["material_id"]: row["reason"] for row in release.ledger().to_pylist()} == {
        "crystal-3": "partial occupancies",
        "crystal-4": "not periodic in three directions",
    }
    assert sorted(release.table()["k"].to_pylist(), key=str) == [1.0, 2.0, None]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "no crystal in it"),
        (3, "a int; give a path"),
        (pd.DataFrame({"k": [1]}), "no column of crystals"),
        (["no structure"], "a str where a periodic Structure"),
    ],
)
def test_what_is_no_source(given, says):
    with pytest.raises(UserError, match=says):
        open_objects(given)


def test_files_of_perov5_are_pointed_to_their_version(tmp_path):
    (tmp_path / "train.csv").write_text("material_id,cif\n")
    with pytest.raises(UserError, match="mpclean build --version perov-5 --source"):
        mpclean.build(source=tmp_path / "train.csv", out=tmp_path / "r")
