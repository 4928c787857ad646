"""What ``ecn predict`` reads and writes."""

import csv
import io
import json

import ase.build
import ase.io
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ecn.cli import main
from mpclean.crystal.crystal import Crystal
from mpclean.sources.label_tables import open_labels


def call(*arguments):
    return CliRunner().invoke(main, ["predict", *map(str, arguments)], catch_exceptions=False)


def rows(result):
    return list(csv.DictReader(io.StringIO(result.stdout)))


@pytest.fixture(scope="module")
def salt():
    return ase.build.bulk("NaCl", "rocksalt", a=4.6)


@pytest.fixture(scope="module")
def number(run, salt, tmp_path_factory):
    """The value of rock salt, from a CIF file."""
    path = tmp_path_factory.mktemp("salt") / "NaCl.cif"
    ase.io.write(path, salt)
    (row,) = rows(call(run, path))
    return float(row["value"])


def write(path, salt, n=3):
    """The same crystal n times in the format of a file name."""
    crystal = Crystal.from_ase(salt)
    structure = crystal.to_pymatgen()
    records = [{"material_id": f"mp-{k + 1}", "structure": structure.as_dict()} for k in range(n)]
    if path.name == "POSCAR" or path.suffix == ".cif":
        ase.io.write(path, salt)
    elif path.name == "structure.json":
        path.write_text(json.dumps(structure.as_dict()))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    elif path.suffix == ".json":
        path.write_text(json.dumps(records))
    elif path.suffix == ".parquet":
        texts = [record | {"structure": json.dumps(record["structure"])} for record in records]
        pq.write_table(pa.Table.from_pylist(texts), path)
    else:
        ase.io.write(path, [salt] * n, format="extxyz")
    return path


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("salt.cif", ["salt"]),
        ("POSCAR", ["POSCAR"]),
        ("structure.json", ["structure"]),
        ("salt.extxyz", ["salt-1", "salt-2", "salt-3"]),
        ("salt.parquet", ["mp-1", "mp-2", "mp-3"]),
        ("salt.jsonl", ["mp-1", "mp-2", "mp-3"]),
        ("salt.json", ["mp-1", "mp-2", "mp-3"]),
    ],
)
def test_every_format_has_the_same_number(run, salt, number, tmp_path, name, ids):
    found = rows(call(run, write(tmp_path / name, salt)))
    assert [row["material_id"] for row in found] == ids
    assert [float(row["value"]) for row in found] == pytest.approx([number] * len(ids), abs=1e-5)
    assert {(row["formula"], row["unit"], row["valid"]) for row in found} == {("NaCl", "eV/atom", "True")}
    assert [int(row["index"]) for row in found] == list(range(len(ids)))


def test_a_bad_one_among_many_leaves_the_others_alone(run, salt, number, tmp_path):
    good = write(tmp_path / "good.cif", salt)
    bad = tmp_path / "bad.cif"
    bad.write_text("data_nothing\n")
    lines = write(tmp_path / "lines.jsonl", salt)
    lines.write_text(lines.read_text() + '{"material_id": "mp-9"}\n')
    result = call(run, bad, lines, good)
    assert result.exit_code == 1
    assert [(row["material_id"], row["value"] != "") for row in rows(result)] == [
        ("bad", False),
        ("mp-1", True),
        ("mp-2", True),
        ("mp-3", True),
        ("mp-9", False),
        ("good", True),
    ]
    said = result.stderr.splitlines()
    assert len(said) == 2
    assert said[0].startswith(f"Warning: {bad}: no structure")
    assert "no structure (mp-9, lines.jsonl, line 4)" in said[1]


def test_a_split_of_a_release(run, release):
    result = call(run, release, "--part", "validation")
    assert result.exit_code == 0
    assert len(rows(result)) == 20
    assert len(rows(call(run, release))) == 100


def test_a_file_has_the_format_of_its_name_and_all_digits_where_it_can(run, release, tmp_path):
    for name in ("out.csv", "out.json", "out.parquet"):
        result = call(run, release, "--part", "test", "--out", tmp_path / name)
        assert (result.exit_code, result.stdout) == (0, "")
    table = pq.read_table(tmp_path / "out.parquet")
    as_json = json.loads((tmp_path / "out.json").read_text())
    as_csv = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert len(table) == len(as_json) == len(as_csv) == 20
    assert as_json[3]["value"] == pytest.approx(table["value"][3].as_py(), rel=1e-5)
    assert float(as_csv[3]["value"]) == as_json[3]["value"]
    assert list(as_json[0]) == table.column_names == list(as_csv[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.json", "out.parquet"]


def test_many_warnings_are_counted(run, salt, tmp_path):
    far = salt.copy()
    far.set_cell(2.0 * far.cell, scale_atoms=True)
    result = call(run, write(tmp_path / "far.extxyz", far, n=13))
    assert result.exit_code == 0
    assert (
        f"Warning: {tmp_path / 'far.extxyz'}: the rule dimensionality excludes such crystals: 13 crystals, "
        "first far-1, not three-dimensional (dimensionality 0)"
    ) in result.stderr.splitlines()
    assert {row["rule"] for row in rows(result)} == {"dimensionality"}


def test_a_folder_of_structures_has_a_row_for_each_and_a_line_for_a_bad_one(run, salt, number, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    write(folder / "a.cif", salt)
    ase.io.write(folder / "b.vasp", salt, format="vasp")
    write(folder / "c.extxyz", salt, n=2)
    (folder / "bad.cif").write_text("data_nothing\n")
    (folder / "labels.jsonl").write_text('{"material_id": "a", "band_gap": 1.0}\n')
    (folder / "worse.cif").write_text("data_nothing\n")
    (folder / "deep").mkdir()
    write(folder / "deep" / "POSCAR", salt)
    (folder / "deep" / "a.cell").write_text("%BLOCK LATTICE_CART\n")
    result = call(run, folder)
    assert result.exit_code == 1
    found = rows(result)
    good = [row for row in found if row["value"]]
    assert [row["material_id"] for row in good] == ["a", "b", "c-1", "c-2", "deep/POSCAR"]
    assert [float(row["value"]) for row in good] == pytest.approx([number] * 5, abs=1e-5)
    assert [(row["file"].removeprefix(f"{folder}/"), int(row["index"])) for row in found] == [
        ("a.cif", 0),
        ("b.vasp", 0),
        ("bad.cif", 0),
        ("c.extxyz", 0),
        ("c.extxyz", 1),
        ("deep/POSCAR", 0),
        ("deep/a.cell", 0),
        ("worse.cif", 0),
    ]
    bad = {row["file"]: row["warning"] for row in found if not row["value"]}
    assert {row["rule"] for row in found if not row["value"]} == {"record"}
    lines = result.stderr.splitlines()
    assert [line for line in lines if "no structure" in line or "not read" in line] == [
        f"Warning: {file}: {why}" for file, why in bad.items()
    ]
    assert bad[str(folder / "bad.cif")].startswith("no structure (no CIF block with a cell")


def test_an_id_like_a_formula_is_safe_in_a_spreadsheet_and_is_read_back(run, salt, tmp_path):
    ids = ["=1+1", "-3", "@a", "'b", "007", "1e5", "NaN", "True"]
    structure = Crystal.from_ase(salt).to_pymatgen().as_dict()
    path = tmp_path / "salts.jsonl"
    path.write_text("".join(json.dumps({"material_id": one, "structure": structure}) + "\n" for one in ids))
    call(run, path, "--out", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        cells = [row["material_id"] for row in csv.DictReader(file)]
    assert cells == ["'=1+1", "'-3", "'@a", "''b", "007", "1e5", "NaN", "True"]
    assert open_labels(tmp_path / "out.csv").values["material_id"].to_pylist() == ids
    call(run, path, "--out", tmp_path / "out.json")
    assert [row["material_id"] for row in json.loads((tmp_path / "out.json").read_text())] == ids


@pytest.mark.parametrize("form", ["cif", "poscar"])
def test_what_mpclean_exports_is_predicted(run, release, tmp_path, form):
    from mpclean.release import open_release
    from mpclean.release.export import structure_files

    out = tmp_path / "exported"
    write = structure_files.write_cif if form == "cif" else structure_files.write_poscar
    write(open_release(release).crystals("test"), out)
    ours, theirs = (rows(call(run, *arguments)) for arguments in ([out], [release, "--part", "test"]))
    assert {row["material_id"] for row in ours} == {row["material_id"] for row in theirs}
    known = {row["material_id"]: float(row["value"]) for row in theirs}
    for row in ours:
        assert float(row["value"]) == pytest.approx(known[row["material_id"]], abs=1e-4)


def test_a_table_is_read_by_people(run, salt, tmp_path):
    path = write(tmp_path / "salt.cif", salt)
    result = call(run, path, "--format", "table")
    head, line = result.stdout.splitlines()
    assert head.split() == ["crystal", "formula", "value", "unit"]
    assert line.split()[1] == "NaCl"
    assert line.split()[3] == "eV/atom"
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{cif}", "--format", "parquet"], "Parquet goes to a file"),
        (["{cif}", "--part", "test"], "not a release, so it has no part 'test'"),
        (["{cif}", "--out", "{tmp}/none/out.csv"], "out.csv: No such file or directory"),
        (["{cif}", "--out", "{tmp}"], "exists and is not a regular file; name another one"),
        (["{cif}", "--with", "{tmp}"], "not a run of `ecn fit`"),
    ],
)
def test_a_mistake_is_one_line(run, salt, tmp_path, arguments, message):
    cif = write(tmp_path / "salt.cif", salt)
    result = call(run, *(a.format(cif=cif, tmp=tmp_path) for a in arguments))
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert message in line
