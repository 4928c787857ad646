"""Structure files: every crystal in them, or why it could not be read."""

import bz2
import gzip
import lzma

import numpy as np
import pyarrow as pa
import pytest
from ase import Atoms
from pymatgen.core import Lattice, Structure

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.formula import formula
from mpclean.crystal.reading import is_structure_file, read_file
from mpclean.crystal.reading.bookkeeping import DISAGREES
from mpclean.crystal.reading.facts import MALFORMED, NO_STRUCTURE, UNKNOWN_ELEMENT
from mpclean.crystal.reading.files import UNKNOWN_KIND
from mpclean.errors import UserError


@pytest.fixture
def crystal():
    lattice = np.array([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.5, 0.0, 5.0]])
    return Crystal(lattice, np.array([26, 8], np.uint8), np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]))


def problem(path):
    (entry,) = read_file(path)
    assert entry.reading is None
    return entry.problem


@pytest.mark.parametrize("name", ["salt.cif", "POSCAR", "salt.json", "salt.extxyz", "salt.res", "salt.xsf"])
def test_read_file(crystal, tmp_path, name):
    path = tmp_path / name
    if name.endswith(("xyz", "xsf")):
        Atoms("FeO", cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True).write(path)
    elif name.endswith("res"):
        from pymatgen.io.res import ResIO

        ResIO.structure_to_file(crystal.to_pymatgen(), str(path))
    else:
        crystal.to_pymatgen().to(filename=str(path))
    (again,) = (entry.crystal for entry in read_file(path))
    assert sorted(again.atomic_numbers.tolist()) == [8, 26]
    assert again.volume == pytest.approx(crystal.volume, rel=1e-4)
    assert is_structure_file(path)


PACK = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["salt.CIF", "POSCAR", "salt.json"])
def test_packed_and_encoded(crystal, tmp_path, packing, encoding, name):
    form = {"salt.CIF": "cif", "POSCAR": "poscar", "salt.json": "json"}[name]
    text = str(crystal.to_pymatgen().to(fmt=form))
    path = tmp_path / (name + packing)
    path.write_bytes(PACK[packing](text.encode(encoding)))
    (entry,) = read_file(path)
    assert formula(entry.crystal.atomic_numbers) == "Fe1 O1"


@pytest.mark.parametrize("packing", PACK)
def test_a_file_that_is_not_packed_as_its_name_says(tmp_path, packing):
    path = tmp_path / f"salt.cif{packing}"
    path.write_bytes(b"not packed at all")
    assert problem(path).reason == MALFORMED


def test_names_of_authors_in_another_encoding(crystal, tmp_path):
    text = "# Schrödinger\n" + str(crystal.to_pymatgen().to(fmt="cif"))
    (tmp_path / "salt.cif").write_bytes(text.encode("latin-1"))
    assert len(read_file(tmp_path / "salt.cif")[0].crystal) == 2


AIMS = "lattice_vector 4 0 0\nlattice_vector 0 4 0\nlattice_vector 0 0 4\natom 0 0 0 {}\natom 2 2 2 F\n"
ESPRESSO = """&SYSTEM
  ibrav = 0, nat = 2, ntyp = 2
/
ATOMIC_SPECIES
{0} 6.94 a.upf
F 19.0 b.upf
CELL_PARAMETERS bohr
7.55890453 0 0
0 7.55890453 0
0 0 7.55890453
ATOMIC_POSITIONS crystal
{0} 0 0 0
F 0.5 0.5 0.5
"""
XSF = "CRYSTAL\nPRIMVEC\n4 0 0\n0 4 0\n0 0 4\nPRIMCOORD\n2 1\n{} 0 0 0\nF 2 2 2\n"


@pytest.mark.parametrize("pack", [bytes, PACK[".zst"]])
@pytest.mark.parametrize(
    ("name", "text"),
    [("geometry.in", AIMS), ("scf.in", ESPRESSO), ("relax.pwi", ESPRESSO), ("salt.xsf", XSF)],
)
def test_input_files_that_ase_reads(tmp_path, name, text, pack):
    path = tmp_path / (name if pack is bytes else f"{name}.zst")
    path.write_bytes(pack(text.format("Li").encode()))
    (entry,) = read_file(path)
    assert formula(entry.crystal.atomic_numbers) == "Li1 F1"
    assert np.linalg.norm(entry.crystal.lattice[0]) == pytest.approx(4.0)
    assert is_structure_file(path)


@pytest.mark.parametrize("label", ["OW1", "Xx", "D"])
@pytest.mark.parametrize(("name", "text"), [("geometry.in", AIMS), ("scf.in", ESPRESSO), ("salt.xsf", XSF)])
def test_species_of_input_files_that_ase_would_guess(tmp_path, name, text, label):
    path = tmp_path / name
    path.write_text(text.format(label))
    (entry,) = read_file(path)
    assert entry.problem is not None
    assert label.lower() in entry.problem.detail.lower()  # ASE writes Ow1
    assert entry.problem.reason == UNKNOWN_ELEMENT


@pytest.mark.parametrize(
    ("name", "said"),
    [("salt.cell", "a .cell of CASTEP; convert it"), ("salt.lmp", "ASE does not know it; convert it")],
)
def test_a_kind_that_is_not_read_says_how_to_convert(tmp_path, name, said):
    (tmp_path / name).write_text("%BLOCK LATTICE_CART\n")
    assert problem(tmp_path / name).reason == UNKNOWN_KIND
    assert said in problem(tmp_path / name).detail
    assert "CIF, POSCAR or extended XYZ" in problem(tmp_path / name).detail


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"none\.cif: no such file"):
        read_file(tmp_path / "none.cif")
    with pytest.raises(UserError, match="a folder, name its files"):
        read_file(tmp_path)


def test_files_without_a_crystal(tmp_path):
    for name in ("bad.cif", "empty.md", "bad.json", "bad.xyz", "bad.res", "POSCAR", "bad.traj"):
        (tmp_path / name).write_text("nothing here\n")
        assert problem(tmp_path / name).reason in (MALFORMED, NO_STRUCTURE, UNKNOWN_ELEMENT, UNKNOWN_KIND,
                                                   "document cannot be read")  # fmt: skip
    (tmp_path / "none.cif").write_text("")
    assert problem(tmp_path / "none.cif").reason == NO_STRUCTURE


POSCAR = """Sr1 Ti1 O3
1.0
3.905 0 0
0 3.905 0
0 0 3.905
Sr Ti O
1 1 3
Direct
0 0 0
.5 .5 .5
.5 .5 0
.5 0 .5
0 .5 .5
"""


@pytest.mark.parametrize(
    ("old", "new", "reason", "said"),
    [
        ("Sr Ti O\n", "", UNKNOWN_ELEMENT, "no line of element symbols"),
        ("Sr Ti O\n1 1 3\n", "1 1 3\n", UNKNOWN_ELEMENT, "no line of element symbols"),
        ("Sr Ti O\n", "A B X\n", UNKNOWN_ELEMENT, "'A'"),
        ("1 1 3", "1 1", MALFORMED, "line 7 is '1 1': a number of atoms for each of 3 symbols"),
        ("1 1 3", "1 1 4", MALFORMED, "coordinates of 5 atoms, and 6 in line 7"),
        ("1 1 3", "1 1 2", MALFORMED, "more coordinates than those of the atoms of line 7, 4"),
        ("1 1 3", "1 one 3", MALFORMED, "line 7 is '1 one 3'"),
        ("3.905 0 0", "3.905 0", MALFORMED, "line 3 is '3.905 0': a vector of the cell"),
        ("0 .5 .5", "0 .5", MALFORMED, "line 13 is '0 .5'"),
        ("Direct\n", "\n", MALFORMED, "line 8 is empty: Direct or Cartesian"),
        ("1.0\n", "1.0 1.0 2.0\n", MALFORMED, "line 2 is '1.0 1.0 2.0': one number"),
        ("1.0\n", "0.0\n", MALFORMED, "line 2 is '0.0': one number, and not 0"),
        ("0 .5 .5", "0 .5 .5 Ti", DISAGREES, "it says O in line 6 and Ti in line 13"),
        (
            "0 .5 .5\n",
            "0 .5 .5\nSr1 Ti1 O3\n1.0\n4 0 0\n0 4 0\n0 0 4\nSr Ti\n1 1\n",
            "several structures",
            "another POSCAR",
        ),
    ],
)
def test_damaged_poscar(tmp_path, old, new, reason, said):
    (tmp_path / "POSCAR").write_text(POSCAR.replace(old, new))
    found = problem(tmp_path / "POSCAR")
    assert found.reason == reason
    assert said in found.detail


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Sr Ti O\n", "Sr_sv Ti_pv O/0f3c\n"),
        ("Direct", "Selective dynamics\nDirect"),
        ("0 .5 .5\n", "0 .5 .5\n\n0 0 0\n"),  # velocities
        ("1.0\n", "-59.547\n"),  # a volume
        ("0 .5 .5\n", "0 .5 .5 O3\n"),  # as pymatgen names sites
    ],
)
def test_what_vasp_writes_into_a_poscar(tmp_path, old, new):
    text = POSCAR.replace(old, new)
    if "Selective" in new:
        head, sites = text.split("Direct\n")
        text = head + "Direct\n" + "".join(f"{line} T T F\n" for line in sites.splitlines())
    (tmp_path / "POSCAR").write_text(text)
    (entry,) = read_file(tmp_path / "POSCAR")
    assert entry.problem is None
    assert formula(entry.crystal.atomic_numbers) == "Sr1 Ti1 O3"


RES = """TITL salt 0 64.0 -1 0 0 2 (P1) n - 1
CELL 1.54 4 4 4 90 90 90
LATT -1
SFAC Li F
Li 1 0 0 0 1.0
F 2 0.5 0.5 0.5 11.0
END
"""


@pytest.mark.parametrize(
    ("old", "new", "reason", "said"),
    [
        ("0 64.0", "0 70.0", "file disagrees with its crystal", "a volume of 70 A^3, its cell has 64"),
        ("LATT -1", "LATT 1", "space group not understood", "only LATT -1"),
        ("LATT -1\n", "", "space group not understood", "only LATT -1"),
        ("LATT -1", "LATT -1\nSYMM -X,-Y,-Z", "space group not understood", "without SYMM"),
        ("0 0 2 (P1)", "0 0 5 (P1)", DISAGREES, "it says 5 atoms in TITL, its sites are 2"),
        ("F 2 0.5", "F 1 0.5", DISAGREES, "site F is number 1 of SFAC, Li"),
        ("0 0 0 1.0", "0 0 0 0.5", "partial occupancies", "site Li: Li 0.5"),
        ("END\n", "", MALFORMED, "END"),
    ],
)
def test_res_files_that_are_refused(tmp_path, old, new, reason, said):
    (tmp_path / "a.res").write_text(RES)
    assert formula(read_file(tmp_path / "a.res")[0].crystal.atomic_numbers) == "Li1 F1"
    (tmp_path / "a.res").write_text(RES.replace(old, new))
    found = problem(tmp_path / "a.res")
    assert found.reason == reason
    assert said in found.detail


def test_every_structure_of_a_res_file_is_one(tmp_path):
    (tmp_path / "a.res").write_text(RES + RES.replace("Li", "Na") + RES.replace("0 0 0 1.0", "0 0 0 0.5"))
    entries = read_file(tmp_path / "a.res")
    assert [entry.suffix for entry in entries] == ["-1", "-2", "-3"]
    assert [entry.problem is None for entry in entries] == [True, True, False]
    assert formula(entries[1].crystal.atomic_numbers) == "Na1 F1"


def test_a_disordered_structure_of_pymatgen(tmp_path):
    alloy = Structure(Lattice.cubic(3), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    for name in ("half.cif", "half.json"):
        alloy.to(filename=str(tmp_path / name))
        assert problem(tmp_path / name).reason == "partial occupancies"
