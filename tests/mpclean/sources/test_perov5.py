"""Perov-5 on files of a few rows."""

import bz2
import csv
import gzip
import io
import json
import shutil

import pytest

from mpclean.errors import UserError
from mpclean.sources.perov5 import COLUMNS, is_perov5, open_perov5

CIF = "data_SrTiO3\n_cell_length_a 3.9\n"


def csv_text(rows, columns=("", *COLUMNS)):
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def row(number, **values):
    numbers = {"heat_all": 1.5, "heat_ref": 1.25, "dir_gap": 0.0, "ind_gap": 0.5}
    return {"": 0, "material_id": number, "cif": CIF, "formula": "SrTiO3"} | numbers | values


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.csv").write_text(
        csv_text([row(7), row(3, heat_ref="", dir_gap="many", ind_gap="inf")])
    )
    (tmp_path / "val.csv").write_text(csv_text([row(10)]))
    (tmp_path / "test.csv").write_text(csv_text([row(1), row(2)]))
    return tmp_path


def read(source):
    return [batch for batches in source.batches() for batch in batches.to_pylist()]


def test_documents_in_file_order(folder):
    source = open_perov5(folder)
    rows = read(source)
    documents = [json.loads(row["document"]) for row in rows]
    assert source.n_documents == len(documents) == 5
    assert documents[0] == {
        "material_id": "7",
        "structure": CIF,
        "formula": "SrTiO3",
        "heat_all": 1.5,
        "heat_ref": 1.25,
        "dir_gap": 0.0,
        "ind_gap": 0.5,
    }
    assert [document["material_id"] for document in documents] == ["7", "3", "10", "1", "2"]
    # A row spans three lines, its CIF two breaks.
    assert [row["location"] for row in rows] == [
        "train.csv:2", "train.csv:5", "val.csv:2", "test.csv:2", "test.csv:5"
    ]  # fmt: skip
    assert all(row["problem"] is None for row in rows)


def test_empty_is_null_and_nonsense_stays(folder):
    document = json.loads(read(open_perov5(folder))[1]["document"])
    assert document["heat_ref"] is None
    assert document["dir_gap"] == "many"
    assert document["ind_gap"] == "inf"


def test_published_split(folder):
    assert open_perov5(folder).published_split.to_pydict() == {
        "material_id": ["7", "3", "10", "1", "2"],
        "split": ["train", "train", "validation", "test", "test"],
    }


def test_packing_does_not_change_the_hash(folder, tmp_path):
    packed = tmp_path / "packed"
    packed.mkdir()
    for path in folder.glob("*.csv"):
        with path.open("rb") as plain, gzip.open(packed / f"{path.name}.gz", "wb") as out:
            shutil.copyfileobj(plain, out)
    assert open_perov5(packed).identity == open_perov5(folder).identity
    assert [r["document"] for r in read(open_perov5(packed))] == [
        r["document"] for r in read(open_perov5(folder))
    ]


def test_hash_follows_the_bytes(folder):
    before = open_perov5(folder).identity.sha256
    (folder / "test.csv").write_text(csv_text([row(1), row(4)]))
    assert open_perov5(folder).identity.sha256 != before


def spoil_missing(folder):
    (folder / "val.csv").unlink()


def spoil_empty(folder):
    (folder / "val.csv").write_bytes(b"")


def spoil_header_only(folder):
    (folder / "val.csv").write_text(csv_text([]))


def spoil_column(folder):
    (folder / "val.csv").write_text(csv_text([row(1)], columns=COLUMNS[:-1]))


def spoil_encoding(folder):
    (folder / "val.csv").write_bytes(csv_text([row(1)]).encode() + b"\xff\xfe")


def spoil_quotes(folder):
    (folder / "val.csv").write_text(csv_text([row(1)]) + '1,2,"never closed')


def spoil_gzip(folder):
    (folder / "val.csv").unlink()
    (folder / "val.csv.gz").write_bytes(b"not gzip")


def spoil_truncated(folder):
    (folder / "val.csv").unlink()
    (folder / "val.csv.gz").write_bytes(gzip.compress(csv_text([row(1)] * 100).encode())[:60])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_missing, "no val.csv, packed or not"),
        (spoil_empty, "val.csv: no column material_id"),
        (spoil_header_only, "val.csv: no rows"),
        (spoil_column, "val.csv: no column ind_gap"),
        (spoil_encoding, "val.csv: neither UTF-8"),
        (spoil_quotes, "val.csv: not a CSV file"),
        (spoil_gzip, "val.csv.gz: damaged, it cannot be unpacked"),
        (spoil_truncated, "val.csv.gz: damaged, it cannot be unpacked"),
    ],
)
def test_bad_file_is_one_line_with_the_way_out(folder, spoil, says):
    spoil(folder)
    with pytest.raises(UserError) as caught:
        open_perov5(folder)
    message = str(caught.value)
    assert says in message
    assert "f857f59" in message
    assert "\n" not in message


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_any_packing_and_encoding(folder, encoding):
    expected = open_perov5(folder).identity.sha256
    data = (folder / "val.csv").read_text().encode(encoding)
    (folder / "val.csv").unlink()
    (folder / "VAL.csv.bz2").write_bytes(bz2.compress(data))
    assert is_perov5(folder)
    assert open_perov5(folder).identity.sha256 == expected


def test_another_data_set_in_three_files_is_not_perov5(folder):
    for name in ("train", "val", "test"):
        text = (folder / f"{name}.csv").read_text()
        (folder / f"{name}.csv").write_text(text.replace("heat_all", "formation_energy_per_atom"))
    assert not is_perov5(folder)


def test_missing_folder(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        open_perov5(tmp_path / "nowhere")
