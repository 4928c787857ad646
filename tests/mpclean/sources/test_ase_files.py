"""Extended XYZ and databases of ASE, whole and damaged."""

import gzip
import sqlite3
import sys
from contextlib import closing

import ase.db
import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from mpclean.crystal.reading.facts import NOT_PERIODIC
from mpclean.errors import UserError
from mpclean.sources.ase_files import is_ase, open_ase
from mpclean.sources.documents import read_documents


def salt(cell=5.6, moments=None, **info):
    """Rock salt with what a calculation and a user say of it."""
    atoms = bulk("NaCl", "rocksalt", cell)
    atoms.info.update(info)
    if moments is not None:
        atoms.calc = SinglePointCalculator(atoms, energy=-6.0, magmom=sum(moments), magmoms=moments)
    return atoms


def read(path):
    return [row for batch in open_ase(path).batches() for row in read_documents(batch).to_pylist()]


def write(path, *frames):
    """Frames in a file of the kind that its name says."""
    if path.suffix in (".db", ".json"):
        database = ase.db.connect(path)
        for atoms in frames:
            database.write(atoms, **atoms.info)
    else:
        ase.io.write(path, list(frames), format="extxyz")
    return path


NAMES = ["salts.xyz", "salts.extxyz", "salts.xyz.gz", "salts.db", "salts.json"]


@pytest.mark.parametrize("name", NAMES)
def test_a_frame(tmp_path, name):
    atoms = salt(moments=[0.5, -0.25], material_id="mp-7", band_gap=1.5, is_hubbard=True, efermi=3)
    (row,) = read(write(tmp_path / name, atoms))
    assert (row["reason"], row["detail"]) == (None, None)
    assert row["material_id"] == "mp-7"
    assert row["formula"] == "Na1 Cl1"
    np.testing.assert_allclose(np.reshape(row["lattice"], (3, 3)), atoms.cell.array, atol=1e-8)
    np.testing.assert_allclose(np.array(row["frac_coords"]) % 1, [0, 0, 0, 0.5, 0.5, 0.5], atol=1e-8)
    assert row["magnetic_moments"] == [0.5, -0.25]
    assert row["magnetization_per_atom"] == 0.125
    assert (row["band_gap"], row["is_hubbard"], row["efermi"]) == (1.5, True, 3.0)
    assert row["formation_energy_per_atom"] is None  # a total energy is none


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_without_an_id_is_known_by_its_number(tmp_path, name):
    rows = read(write(tmp_path / name, salt(), salt(5.7), salt(5.8, task_id="mp-3")))
    assert [row["material_id"] for row in rows] == ["salts-1", "salts-2", "mp-3"]
    assert rows[0]["magnetic_moments"] is None


def test_initial_moments_are_a_guess(tmp_path):
    atoms = salt()
    atoms.set_initial_magnetic_moments([1.0, 1.0])
    assert read(write(tmp_path / "salts.xyz", atoms))[0]["magnetic_moments"] is None


def test_what_is_stated_counts(tmp_path):
    atoms = salt(moments=[0.5, 0.5], total_magnetization=4.0)
    assert read(write(tmp_path / "salts.xyz", atoms))[0]["magnetization_per_atom"] == 2.0


@pytest.mark.parametrize("name", NAMES)
def test_molecules_and_layers_are_left_out(tmp_path, name):
    layer = salt(material_id="mp-2")
    layer.pbc = (True, True, False)
    rows = read(write(tmp_path / name, salt(), molecule("H2O"), layer))
    assert [row["reason"] for row in rows] == [None, NOT_PERIODIC, NOT_PERIODIC]
    assert [row["material_id"] for row in rows] == ["salts-1", "salts-2", "mp-2"]
    assert rows[2]["detail"] == f"{name}, frame 3: pbc = [True, True, False]"


def frames(tmp_path):
    return write(tmp_path / "salts.xyz", *(salt(5.6 + n / 10) for n in range(3))).read_text().splitlines(True)


@pytest.mark.parametrize(
    ("change", "reasons", "detail"),
    [
        (
            lambda t: [*t[:5], t[5].replace("Lattice=", "Lattice"), *t[6:]],
            [None, "cell has no volume", None],
            "frame 2: 0 A^3 for 2 atoms",
        ),
        (
            lambda t: [*t[:6], "Na 0 0\n", *t[7:]],
            [None, "structure is malformed", None],
            "ASE: could not assign",
        ),
        (lambda t: [*t[:6], "Qq 0 0 0\n", *t[7:]], [None, "unknown element", None], "frame 2: 'Qq'"),
        (
            lambda t: [*t[:5], "Properties=a:b:c\n", *t[6:]],
            [None, "structure is malformed", None],
            "frame 2",
        ),
        (lambda t: [*t[:5], "no cell\n", *t[6:]], [None, NOT_PERIODIC, None], "frame 2"),
        (lambda t: [*t[:6], "Na nan 0 0\n", *t[7:]], [None, "coordinates are not finite", None], "frame 2"),
        (lambda t: t[:-1], [None, None, "structure is malformed"], "Frame has 1 atoms, expected 2"),
        (lambda t: [*t[:4], "0\n", "\n", *t[4:]], [None, NOT_PERIODIC, None, None], "frame 2"),
        (lambda t: [*t[:4], "-1\n", *t[4:]], [None, "structure is malformed", None, None], "frame 2"),
        (lambda t: [*t[:4], "\n", *t[4:], "\n", "\n"], [None, None, None], ""),
    ],
)
def test_damaged_frame(tmp_path, change, reasons, detail):
    path = tmp_path / "salts.xyz"
    path.write_text("".join(change(frames(tmp_path))))
    rows = read(path)
    assert [row["reason"] for row in rows] == reasons
    assert detail in str([row["detail"] for row in rows])


def test_a_structure_among_what_is_stated_does_not_count(tmp_path):
    assert read(write(tmp_path / "salts.xyz", salt(structure="none")))[0]["reason"] is None


@pytest.mark.parametrize("name", NAMES)
def test_moments_along_no_axis(tmp_path, name):
    atoms = salt()
    atoms.calc = SinglePointCalculator(atoms, magmoms=np.ones((2, 3)))
    (row,) = read(write(tmp_path / name, atoms))
    assert (row["reason"], row["magnetic_moments"]) == (None, None)


def test_folder_in_the_order_of_names(tmp_path):
    (tmp_path / "deeper").mkdir()
    write(tmp_path / "b.xyz", salt())
    write(tmp_path / "a.db", salt())
    write(tmp_path / "deeper" / "b.extxyz", salt())
    (tmp_path / "README.txt").write_text("not read")
    assert [row["material_id"] for row in read(tmp_path)] == ["a-1", "b-1", "deeper/b-1"]


PACKED = gzip.compress(b"2\n" * 500, mtime=0)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("salts.xyz", b"two\n"),
        ("salts.xyz", b"\xff\xfe\n"),
        ("salts.xyz.gz", b"2\n"),
        ("salts.xyz.gz", PACKED[:-9]),
        ("salts.db", b"no database, and a long text that says so" * 100),
        ("salts.json", b'{"ids": [1], "nextid": 2}'),
        ("salts.json", b'{"ids": [1], "nextid": 2, "1": 5}'),
        ("salts.json", b'{"ids": [1'),
    ],
)
def test_damaged_file_is_one_line_that_names_it(tmp_path, name, raw):
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(UserError, match="damaged or no file of ASE") as caught:
        read(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)


def test_another_database_is_left_as_it_is(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (name)")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(UserError, match="no table of systems"):
        read(path)
    assert path.read_bytes() == before


def test_reading_leaves_a_database_as_it_is(tmp_path):
    path = write(tmp_path / "odd #name?.db", salt())
    before = path.read_bytes()
    assert len(read(path)) == 1
    assert path.read_bytes() == before


def test_empty_file(tmp_path):
    (tmp_path / "salts.xyz").touch()
    with pytest.raises(UserError, match=r"salts\.xyz: the file is empty"):
        open_ase(tmp_path / "salts.xyz")


def test_without_ase_there_is_one_line(tmp_path, monkeypatch):
    path = write(tmp_path / "salts.xyz", salt())
    monkeypatch.setitem(sys.modules, "ase", None)
    with pytest.raises(UserError, match=r"salts\.xyz: needs ASE to be read: pip install 'mpclean\[ase\]'"):
        open_ase(path)


def test_identity(tmp_path):
    source = open_ase(write(tmp_path / "salts.xyz", salt()))
    identity = source.identity
    assert source.parameters == {"ase": ase.__version__}
    assert (identity.name, identity.licence) == ("ase", "unknown")
    write(tmp_path / "salts.xyz", salt(5.7))
    assert open_ase(tmp_path / "salts.xyz").identity.sha256 != identity.sha256


def test_recognised(tmp_path, rock_salt, write_lines):
    for name in NAMES:
        assert is_ase(write(tmp_path / name, salt()))
    documents = write_lines(tmp_path / "docs.jsonl", [rock_salt(1)])
    assert not is_ase(documents)
    assert not is_ase(tmp_path)  # a snapshot of documents with other files beside it
    (tmp_path / "frames").mkdir()
    write(tmp_path / "frames" / "a.xyz", salt())
    assert is_ase(tmp_path / "frames")
    assert not is_ase(tmp_path / "nowhere")


@pytest.mark.parametrize("stated", [7.5, 7e10, True, False, float("nan")])
@pytest.mark.parametrize("name", ["a.db", "a.json"])
def test_an_id_of_a_database_that_is_no_text_any_more_is_refused(tmp_path, name, stated):
    """ASE makes numbers and truth values of text, so nobody knows what stood there."""
    with ase.db.connect(tmp_path / name) as database:
        database.write(salt(), material_id=stated)
        database.write(salt(), material_id="x7", data={"material_id": "0012"})
    rows = read(tmp_path / name)
    assert [(row["material_id"], row["reason"]) for row in rows] == [("a-1", "id is no text"), ("0012", None)]
    assert f"material_id = {stated!r}; write it with a letter" in rows[0]["detail"]


@pytest.mark.parametrize(
    ("pbc", "reason"),
    [
        ('pbc="T T F"', NOT_PERIODIC),
        ('PBC="1 1 0"', NOT_PERIODIC),
        ("pbc=[T, T, F]", NOT_PERIODIC),
        ("pbc=F", NOT_PERIODIC),
        ("pbc=T", None),
        ('pbc="T T"', "structure is malformed"),
        ('pbc=["T", "T", "F"]', "structure is malformed"),
    ],
)
def test_periodic_directions_however_they_are_written(tmp_path, pbc, reason):
    cell = 'Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3'
    (tmp_path / "a.extxyz").write_text(f"2\n{cell} {pbc}\nLi 0 0 0\nF 2 2 2\n")
    assert [row["reason"] for row in read(tmp_path / "a.extxyz")] == [reason]


def test_atomic_numbers_beside_the_species_agree_with_them(tmp_path):
    cell = '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:Z:I:1\n'
    (tmp_path / "a.extxyz").write_text(cell + "Li 0 0 0 3\nF 2 2 2 9\n" + cell + "Li 0 0 0 11\nF 2 2 2 9\n")
    good, bad = read(tmp_path / "a.extxyz")
    assert good["formula"] == "Li1 F1"
    assert (bad["reason"], "says Li and Na" in bad["detail"]) == ("file disagrees with its crystal", True)
