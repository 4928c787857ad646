"""Labels of a person's own, from the records or a table beside them, in every part of a release."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mpclean import build
from mpclean.errors import UserError
from mpclean.release.configurations import configurations
from mpclean.vocabulary.labels import own_names


@pytest.fixture
def snapshot(tmp_path, rock_salt):
    """Four crystals, of which all but one state a bulk modulus."""
    documents = [rock_salt(n) | {"bulk_modulus": 100.0 + n, "stable": n % 2 == 0} for n in range(4)]
    documents[3]["bulk_modulus"] = None
    path = tmp_path / "salts.jsonl"
    path.write_text("\n".join(json.dumps(document) for document in documents))
    return path


def built(source: Path, **options: object):
    return build(source=source, out=source.parent / "release", workers=1, **options)


def values(release, name: str) -> dict[str, float | None]:
    table = release.table(columns=["material_id", name])
    return dict(zip(table["material_id"].to_pylist(), table[name].to_pylist(), strict=True))


def ids(snapshot: Path) -> list[str]:
    return [json.loads(line)["material_id"] for line in snapshot.read_text().splitlines()]


def test_a_field_that_was_asked_for_is_a_column_with_its_unit(snapshot):
    release = built(snapshot, label=["bulk_modulus:GPa", "stable"])
    assert list(values(release, "bulk_modulus").values()).count(None) == 1
    assert set(values(release, "bulk_modulus").values()) == {100.0, 101.0, 102.0, None}
    assert set(values(release, "stable").values()) == {0.0, 1.0}
    assert [(label.name, label.unit) for label in release.labels[-2:]] == [
        ("bulk_modulus", "GPa"),
        ("stable", ""),
    ]
    assert release.manifest.statistics["bulk_modulus"].count == 3
    assert release.verify() == []
    (shard, *_) = sorted(release.path.glob("data/*.parquet"))
    assert pq.read_schema(shard).field("bulk_modulus").metadata[b"unit"] == b"GPa"
    assert re.search(r"\| `bulk_modulus` +\| GPa +\|", (release.path / "README.md").read_text())
    assert '"crystals/bulk_modulus"' in (release.path / "croissant.json").read_text()
    names = [c.name for c in configurations(release.manifest.columns, own_names(release.manifest.labels))]
    assert names[-2:] == ["bulk_modulus", "stable"]
    assert release.table(config="bulk_modulus").num_rows == 3
    assert all("stable" in known for _, known in release.crystals())


def test_fields_that_nobody_asked_for_are_named(snapshot):
    (line,) = built(snapshot).manifest.label_notes
    assert line == (
        "not kept: 2 numeric fields of the source, stable, bulk_modulus; keep one with --label NAME:UNIT, "
        "as in --label stable:UNIT"
    )


@pytest.mark.parametrize(
    ("label", "says"),
    [
        (
            "bulk_modulos:GPa",
            "--label bulk_modulos: no record that can be read states a number under this name; "
            "bulk_modulus is meant, perhaps; numeric fields there are bulk_modulus, stable",
        ),
        ("hardness", "states a number under this name; numeric fields there are bulk_modulus, stable"),
        ("bulk_modulus:GPaa", "'GPaa' is no unit that is known, GPa is; write it as in GPa"),
    ],
)
def test_a_mistyped_label_is_refused_and_nothing_is_written(snapshot, label, says):
    with pytest.raises(UserError, match=re.escape(says)):
        built(snapshot, label=[label])
    assert sorted(path.name for path in snapshot.parent.iterdir()) == ["salts.jsonl"]


def test_a_label_that_neither_the_records_nor_the_table_have_is_refused(snapshot):
    table = snapshot.with_name("labels.csv")
    table.write_text(TABLES["labels.csv"].format(*ids(snapshot)))
    with pytest.raises(UserError, match="numeric fields there are bulk_modulus, k, stable"):
        built(snapshot, labels=table, label=["kk:GPa"])
    assert built(snapshot, labels=table, label=["k:GPa"]).column("k").unit == "GPa"


def test_a_toml_beside_the_snapshot_names_labels(snapshot):
    snapshot.with_suffix(".toml").write_text(
        '[labels]\nbulk_modulus = {unit = "GPa", meaning = "Voigt"}\nstable = ""\n'
    )
    release = built(snapshot)
    assert [label.name for label in release.labels[-2:]] == ["bulk_modulus", "stable"]
    assert release.column("bulk_modulus").meaning == "Voigt"
    assert release.manifest.label_notes == []


def test_a_value_that_is_no_number_is_in_the_ledger(snapshot):
    text = snapshot.read_text().replace('"bulk_modulus": 101.0', '"bulk_modulus": "high"')
    snapshot.write_text(text)
    (row,) = built(snapshot, label=["bulk_modulus:GPa"]).ledger().to_pylist()
    assert row["reason"] == "label is not a number"
    assert "bulk_modulus = 'high'" in row["detail"]


TABLES = {
    "labels.csv": "id,k (GPa)\n{0},1.5\n{1},\n{2},2\nstranger,3\n",
    "labels.tsv": "id\tk [GPa]\n{0}\t1.5\n{1}\t\n{2}\t2\nstranger\t3\n",
    "semicolons.csv": "material_id;k:GPa\n{0};1.5\n{1};\n{2};2\nstranger;3\n",
    "labels.json": '[{{"id": "{0}", "k (GPa)": 1.5}}, {{"id": "{1}", "k (GPa)": null}}, '
    '{{"id": "{2}", "k (GPa)": 2}}, {{"id": "stranger", "k (GPa)": 3}}]',
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_joined_by_id_and_says_what_did_not_match(snapshot, name, encoding):
    table = snapshot.with_name(name)
    table.write_bytes(TABLES[name].format(*ids(snapshot)).encode(encoding))
    release = built(snapshot, labels=table)
    assert [values(release, "k")[one] for one in ids(snapshot)] == [1.5, None, 2.0, None]
    assert release.column("k").unit == "GPa"
    assert release.manifest.label_notes[:2] == [
        "1 id of the labels is of no record: stranger",
        f"1 record has no line in the labels: {ids(snapshot)[3]}",
    ]


def test_parquet_and_data_frames_are_tables_too(snapshot):
    frame = pa.table({"id": ids(snapshot), "k": [1.0, 2.0, 3.0, 4.0]}).to_pandas()
    release = built(snapshot, labels=frame, label=["k:GPa"])
    assert list(values(release, "k")) != []
    assert [values(release, "k")[one] for one in ids(snapshot)] == [1.0, 2.0, 3.0, 4.0]
    assert release.column("k").unit == "GPa"
    pq.write_table(pa.Table.from_pandas(frame), snapshot.with_name("labels.parquet"))
    again = built(snapshot, labels=snapshot.with_name("labels.parquet"), label=["k:GPa"], force=True)
    assert values(again, "k") == values(release, "k")


def test_a_column_that_the_schema_knows_fills_it(snapshot):
    table = snapshot.with_name("labels.csv")
    table.write_text("id,band_gap\n" + "".join(f"{one},{n}\n" for n, one in enumerate(ids(snapshot))))
    release = built(snapshot, labels=table)
    assert [values(release, "band_gap")[one] for one in ids(snapshot)] == [0.0, 1.0, 2.0, 3.0]
    assert [values(release, "is_insulator")[one] for one in ids(snapshot)] == [False, True, True, True]
    assert release.manifest.labels == []  # a column that every release has is no label of its own


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("id,k\nnobody,1\n", "none of its 1 ids is that of a record"),
        ("id,k\n{0},1\n{0},2\n", "stands in row 2 too"),
        ("id,k\n{0},1\n{1},high\n", "k = 'high' is no number"),
        ("id,k\n{0},1\n{1},inf\n", "k = 'inf' is out of range"),
        ("id,band_gap\n{0},-1\n", "band_gap = '-1' is out of range"),
        ("id,band_gap (meV)\n{0},1\n", "is in meV, and band_gap in eV"),
        ("id,formula\n{0},NaCl\n", "no column of numbers"),
        ("{0},1\n{1},2\n", "no header says what the columns are"),
        ("id,k\n,1\n", "no id in the column id"),
        ("id,k\n{0},1,2\n", "3 cells, and 2 in the header"),
        ('id,k\n{0},"1\n', "not a table of text"),
        ("id,lattice\n{0},1\n", "taken by the schema"),
    ],
)
def test_a_bad_table_is_one_line_that_names_it(snapshot, content, says):
    table = snapshot.with_name("labels.csv")
    table.write_text(content.format(*ids(snapshot)))
    with pytest.raises(UserError, match=says) as caught:
        built(snapshot, labels=table)
    assert str(table) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (snapshot.parent / "release").exists()


def test_licence_and_citation_are_those_that_the_person_gives(snapshot):
    upstream = built(snapshot, licence="CC0-1.0", citation="Doe 2026").manifest.upstream
    assert (upstream.licence, upstream.citation) == ("CC0-1.0", "Doe 2026")


def test_provenance_is_never_invented(snapshot):
    upstream = built(snapshot).manifest.upstream
    assert (upstream.licence, upstream.citation, upstream.synthetic) == ("unknown", "unknown", False)
    card = (snapshot.parent / "release" / "README.md").read_text()
    assert "license: unknown" in card
    assert "materials-project" not in card


def test_documents_that_say_they_are_synthetic_make_a_release_that_says_so(snapshot):
    snapshot.write_text(snapshot.read_text().replace('"stable": true', '"synthetic": true'))
    release = built(snapshot)
    assert release.manifest.upstream.synthetic
    assert "Synthetic data" in (release.path / "README.md").read_text()
