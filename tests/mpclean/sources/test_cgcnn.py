"""Folders in the format of CGCNN, whole and damaged."""

import gzip

import pytest

from mpclean.crystal.crystal import Crystal
from mpclean.crystal.reading import read_structure
from mpclean.errors import UserError
from mpclean.sources.cgcnn import NO_FILE, NO_LINE, is_cgcnn, open_cgcnn
from mpclean.sources.documents import read_documents


@pytest.fixture
def folder(tmp_path, rock_salt):
    """Three lines with their files."""
    for number in range(3):
        crystal: Crystal = read_structure(rock_salt(number)["structure"]).crystal
        crystal.to_pymatgen().to_file(str(tmp_path / f"salt-{number}.cif"))
    (tmp_path / "id_prop.csv").write_text("salt-1,-1.5\nsalt-0,2\nsalt-2,1e-3\n")
    (tmp_path / "atom_init.json").write_text("{}")
    return tmp_path


def read(folder):
    source = open_cgcnn(folder)
    return [row for batch in source.batches() for row in read_documents(batch).to_pylist()]


def test_lines_in_their_order(folder):
    rows = read(folder)
    assert [row["reason"] for row in rows] == [None] * 3
    assert [row["material_id"] for row in rows] == ["salt-1", "salt-0", "salt-2"]
    assert [row["id_prop"] for row in rows] == [-1.5, 2.0, 0.001]
    assert rows[0]["formula"] == "Mg1 S1"
    assert rows[0]["formation_energy_per_atom"] is None  # nothing says that the value is one


def test_missing_files_and_lines_are_left_out(folder):
    (folder / "salt-0.cif").unlink()
    (folder / "salt-9.cif").write_text("data_")
    rows = read(folder)
    assert [(row["material_id"], row["reason"]) for row in rows] == [
        ("salt-1", None),
        ("salt-0", NO_FILE),
        ("salt-2", None),
        ("salt-9", NO_LINE),
    ]
    assert rows[1]["detail"] == "id_prop.csv, line 2"
    assert rows[3]["detail"] == "salt-9.cif"


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        ("salt-0", "document cannot be read", "1 columns where id,value was expected"),
        ("salt-0,1,2", "document cannot be read", "3 columns where id,value was expected"),
        ("salt-0,high", "label is not a number", "id_prop = 'high'"),
        ("salt-0,inf", "label out of range", "id_prop = inf"),
        ("../salt-0,1", NO_FILE, "id_prop.csv, line 4"),
        ("id,value", NO_FILE, "id_prop.csv, line 4"),
    ],
)
def test_bad_line(folder, line, reason, detail):
    (folder / "id_prop.csv").write_text(f"\n\nsalt-1,1\n{line}\n\nsalt-2,1\n")
    rows = read(folder)
    assert [row["reason"] for row in rows[:3]] == [None, reason, None]
    assert rows[1]["detail"].startswith("id_prop.csv, line 4")
    assert detail in rows[1]["detail"]


@pytest.mark.parametrize("value", ["", "nan"])
def test_no_value(folder, value):
    (folder / "id_prop.csv").write_text(f"salt-0,{value}\n")
    assert read(folder)[0]["id_prop"] is None


@pytest.mark.parametrize("content", [b"", b"no CIF", b"\xff\xfe\x00"])
def test_bad_file(folder, content):
    (folder / "salt-0.cif").write_bytes(content)
    row = read(folder)[1]
    assert row["material_id"] == "salt-0"
    assert row["reason"] in ("no structure", "structure is malformed")


def test_names_in_another_encoding(folder):
    path = folder / "salt-0.cif"
    path.write_bytes(path.read_bytes() + "\n# Schrödinger\n".encode("latin-1"))
    assert read(folder)[1]["reason"] is None


def test_byte_order_mark_and_spaces(folder):
    (folder / "id_prop.csv").write_bytes("\ufeffsalt-0 , 1.5\r\n".encode())
    row = read(folder)[0]
    assert (row["material_id"], row["id_prop"], row["reason"]) == ("salt-0", 1.5, None)


def test_identity_follows_table_and_files(folder):
    before = open_cgcnn(folder).identity
    assert (before.name, before.licence) == ("cgcnn", "unknown")
    (folder / "atom_init.json").write_text("[]")
    assert open_cgcnn(folder).identity == before
    (folder / "salt-0.cif").write_text("data_x")
    changed = open_cgcnn(folder).identity.sha256
    (folder / "id_prop.csv").write_text("salt-0,3\n")
    assert len({before.sha256, changed, open_cgcnn(folder).identity.sha256}) == 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: (f / "id_prop.csv").unlink(), r"no id_prop\.csv"),
        (lambda f: (f / "id_prop.csv").write_bytes(b""), r"id_prop\.csv: the file is empty"),
        (lambda f: (f / "id_prop.csv").write_bytes(b"a,\xff"), r"id_prop\.csv: neither UTF-8"),
        (lambda f: (f / "id_prop.csv").write_bytes(b'"a,1'), r"id_prop\.csv: not a table of text"),
        (lambda f: [p.unlink() for p in f.glob("*.cif")], r"no structure file; put the file id\.cif"),
    ],
)
def test_bad_folder(folder, change, says):
    change(folder)
    with pytest.raises(UserError, match=says) as caught:
        open_cgcnn(folder)
    assert "\n" not in str(caught.value)


def test_recognised(folder, tmp_path_factory):
    assert is_cgcnn(folder)
    assert not is_cgcnn(folder / "id_prop.csv")
    assert not is_cgcnn(tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize("name", ["id_prop.csv.gz", "ID_PROP.CSV"])
def test_a_table_packed_or_in_capitals(folder, name):
    data = (folder / "id_prop.csv").read_bytes()
    (folder / "id_prop.csv").unlink()
    (folder / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert is_cgcnn(folder)
    assert [row["reason"] for row in read(folder)] == [None] * 3


def test_a_quoted_table(folder):
    lines = (folder / "id_prop.csv").read_text().splitlines()
    quoted = [",".join(f'"{cell}"' for cell in line.split(",")) for line in lines]
    expected = read(folder)
    (folder / "id_prop.csv").write_text("\n".join(quoted))
    assert read(folder) == expected


def test_every_block_of_a_file_is_a_record(folder):
    text = (folder / "salt-1.cif").read_text()
    blocks = [text.replace("data_MgS", f"data_{name}") for name in ("first", "second")]
    (folder / "salt-1.cif").write_text(blocks[0] + blocks[1].replace("_cell_length_a", "_cell_length_d"))
    rows = read(folder)
    assert [row["material_id"] for row in rows] == ["salt-1:first", "salt-1:second", "salt-0", "salt-2"]
    assert [row["reason"] for row in rows] == [None, "structure is malformed", None, None]
    assert rows[0]["id_prop"] is None
    assert rows[0]["note"] == "id_prop -1.5 of salt-1 not used: its file has 2 crystals"
    assert rows[1]["detail"] == "id_prop.csv, line 1, salt-1.cif, block second: no _cell_length_a"


@pytest.mark.parametrize(
    ("table", "column", "unit"),
    [
        ("id,bulk_modulus (GPa)\nsalt-0,1.5\nsalt-1,2\n", "bulk_modulus", "GPa"),
        ("id;bulk_modulus [GPa]\nsalt-0;1.5\nsalt-1;2\n", "bulk_modulus", "GPa"),
        ("id\tbulk_modulus:GPa\nsalt-0\t1.5\nsalt-1\t2\n", "bulk_modulus", "GPa"),
        ("cif_id,poisson\nsalt-0.cif,1.5\nsalt-1.CIF,2\n", "poisson", ""),
        ("id,formula,k\nsalt-0,MgO,1.5\nsalt-1,MgS,2\n", "k", ""),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_header_names_its_column(folder, table, column, unit, encoding):
    (folder / "id_prop.csv").write_bytes(table.encode(encoding))
    source = open_cgcnn(folder)
    assert [(label.name, label.unit) for label in source.labels] == [(column, unit)]
    rows = [row for batch in source.batches() for row in read_documents(batch, [column]).to_pylist()]
    assert [(row["material_id"], row["own_labels"]) for row in rows[:2]] == [
        ("salt-0", [(column, 1.5)]),
        ("salt-1", [(column, 2.0)]),
    ]
    assert rows[2]["reason"] == NO_LINE


def test_a_header_that_the_schema_knows(folder):
    (folder / "id_prop.csv").write_text("id,band_gap (eV)\nsalt-0,1.5\n")
    assert open_cgcnn(folder).labels == ()
    assert read(folder)[0]["band_gap"] == 1.5
    (folder / "id_prop.csv").write_text("id,band_gap (meV)\nsalt-0,1.5\n")
    with pytest.raises(UserError, match="is in meV, and band_gap in eV"):
        open_cgcnn(folder)


def test_a_header_that_says_nothing(folder):
    (folder / "id_prop.csv").write_text("id,target\nsalt-0,1.5\n")
    assert open_cgcnn(folder).labels == ()
    assert read(folder)[0]["id_prop"] == 1.5


def test_packed_files_and_endings_in_capitals(folder):
    (folder / "salt-0.cif").rename(folder / "salt-0.CIF")
    path = folder / "salt-1.cif"
    (folder / "salt-1.cif.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert [row["reason"] for row in read(folder)] == [None] * 3
