"""Tables with a crystal in every row."""

import bz2
import csv
import gzip
import io
import json

import pytest

from mpclean.crystal.reading import read_structure
from mpclean.errors import UserError
from mpclean.sources import open_source, recognise
from mpclean.sources.documents import read_documents
from mpclean.sources.structure_tables import open_structure_table

IDS = ("0012", "12", "7E10")


def read(path):
    rows = [
        row
        for batch in open_structure_table(path).batches()
        for row in read_documents(batch, ["hardness"]).to_pylist()
    ]
    return [
        (row["material_id"], row["reason"] or row["formula"], dict(row["own_labels"] or ())) for row in rows
    ]


@pytest.fixture
def cells(rock_salt):
    structures = [read_structure(rock_salt(n)["structure"]).crystal.to_pymatgen() for n in range(3)]
    return {
        "cif": [structure.to(fmt="cif") for structure in structures],
        "structure": [json.dumps(structure.as_dict()) for structure in structures],
    }


def table(cells, column, delimiter=","):
    text = io.StringIO()
    rows = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    rows.writerow(["", "material_id", column, "hardness (GPa)", "pretty_formula"])
    for n, (one, cell) in enumerate(zip(IDS, cells[column], strict=True)):
        rows.writerow([n, one, cell, n + 0.5 if n else "", "X"])
    return text.getvalue().encode()


EXPECTED = [
    ("0012", "Mg1 O1", {}),
    ("12", "Mg1 S1", {"hardness": 1.5}),
    ("7E10", "Mg1 Se1", {"hardness": 2.5}),
]


@pytest.mark.parametrize(
    ("column", "name", "delimiter", "written"),
    [
        ("cif", "a.csv", ",", bytes),
        ("structure", "a.CSV.gz", ";", gzip.compress),
        ("cif", "a.tsv.bz2", "\t", bz2.compress),
        ("structure", "a.csv", ",", lambda data: data.decode().encode("utf-16")),
    ],
)
def test_every_row_is_a_record(tmp_path, cells, column, name, delimiter, written):
    (tmp_path / name).write_bytes(written(table(cells, column, delimiter)))
    assert recognise(tmp_path / name) == recognise(tmp_path) == "table"
    assert read(tmp_path / name) == EXPECTED


def test_a_bad_row_is_in_the_ledger(tmp_path, cells):
    cells["cif"][1] = "no CIF"
    data = table(cells, "cif") + b"3,x\n"
    (tmp_path / "a.csv").write_bytes(data)
    assert [(one, why) for one, why, _ in read(tmp_path / "a.csv")] == [
        ("0012", "Mg1 O1"),
        ("12", "structure is malformed"),
        ("7E10", "Mg1 Se1"),
        (None, "document cannot be read"),
    ]


@pytest.mark.parametrize("order", [("columns", "data", "index"), ("index", "columns", "data")])
def test_json_of_a_data_frame(tmp_path, cells, order):
    rows = [[json.loads(cell), n + 0.5 if n else None] for n, cell in enumerate(cells["structure"])]
    frame = {"columns": ["structure", "hardness"], "data": rows, "index": list(IDS)}
    text = json.dumps({name: frame[name] for name in order})
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(text.encode()))
    assert recognise(tmp_path / "a.json.gz") == "table"
    assert read(tmp_path / "a.json.gz") == EXPECTED


def test_our_own_export_for_matbench_is_read_back(small_release, tmp_path):
    from mpclean.release.export import export

    export(small_release, "matbench", tmp_path / "a.json.gz", target="band_gap")
    source = open_source(recognise(tmp_path / "a.json.gz"), tmp_path / "a.json.gz")
    rows = [row for batch in source.batches() for row in read_documents(batch).to_pylist()]
    known = {
        labels["material_id"]: labels["band_gap"]
        for _, labels in small_release.crystals()
        if "band_gap" in labels
    }
    assert {row["material_id"]: row["band_gap"] for row in rows} == known


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,formula\na,NaCl\n", "no column structure or cif in the header"),
        ("id,cif,band_gap (meV)\na,x,1\n", "is in meV, and band_gap in eV"),
        ('id,cif\na,"x\n', "damaged or no table of crystals"),
    ],
)
def test_a_bad_table_is_one_line_that_names_it(tmp_path, text, says):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=says) as caught:
        read(tmp_path / "a.csv")
    assert str(tmp_path / "a.csv") in str(caught.value)
