"""Snapshots in every form, whole and damaged."""

import gzip
import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from mpclean.errors import UserError
from mpclean.sources import DOCUMENTS, records
from mpclean.sources.base import BATCH_SIZE
from mpclean.sources.records import open_records

DOCUMENTS_IN = [
    {
        "material_id": f"mp-{i}",
        "efermi": i / 7,
        "structure": {"sites": [{"abc": [0.1, 0.2, i]}]},
        "text": "Å,]}",
    }
    for i in range(1, 6)
]


def as_jsonl(documents):
    return "\n".join(json.dumps(d, ensure_ascii=False) for d in documents) + "\n\n"


FORMS = {
    "docs.jsonl": as_jsonl,
    "docs.ndjson": as_jsonl,
    "DOCS.JSONL": as_jsonl,
    "docs.json": lambda documents: json.dumps(documents, ensure_ascii=False),
    "data.json": lambda documents: json.dumps({"data": documents, "meta": {}}),
    "indented.json": lambda documents: " \n" + json.dumps(documents, indent=3) + "\n",
    "docs.yaml": lambda documents: yaml.safe_dump(documents, allow_unicode=True),
    "docs.yml": lambda documents: yaml.safe_dump_all(documents),
}


def read(path):
    rows = [row for batch in open_records(path).batches() for row in batch.to_pylist()]
    assert all(row["problem"] is None for row in rows)
    return [row["location"] for row in rows], [json.loads(row["document"]) for row in rows]


def write(path, content):
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


@pytest.mark.parametrize("packing", ["", ".gz"])
@pytest.mark.parametrize("name", FORMS)
def test_forms(tmp_path, name, packing):
    path = write(tmp_path / (name + packing), FORMS[name](DOCUMENTS_IN))
    locations, documents = read(path)
    assert documents == DOCUMENTS_IN
    assert len(set(locations)) == len(documents)
    assert all(location.startswith(path.name + ", ") for location in locations)


@pytest.mark.parametrize("group", [2, 100])
def test_parquet(tmp_path, group):
    path = tmp_path / "docs.parquet"
    pq.write_table(pa.Table.from_pylist(DOCUMENTS_IN), path, row_group_size=group)
    locations, documents = read(path)
    assert documents == DOCUMENTS_IN
    assert locations == [f"docs.parquet, row {i}" for i in range(5)]
    assert open_records(path).n_documents == 5


def test_parquet_with_structures_as_text(tmp_path):
    rows = [document | {"structure": json.dumps(document["structure"])} for document in DOCUMENTS_IN]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "docs.parquet")
    assert read(tmp_path / "docs.parquet")[1] == rows


def test_one_document_is_a_snapshot(tmp_path):
    assert read(write(tmp_path / "doc.json", json.dumps(DOCUMENTS_IN[0])))[1] == DOCUMENTS_IN[:1]
    assert read(write(tmp_path / "doc.yaml", yaml.safe_dump(DOCUMENTS_IN[0])))[1] == DOCUMENTS_IN[:1]


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_json_lists_are_streamed_in_chunks_of_any_size(tmp_path, monkeypatch, chunk):
    """Chunks end within characters, numbers and strings."""
    monkeypatch.setattr(records, "_CHUNK", chunk)
    entries = [*DOCUMENTS_IN, 12345, -1.5e-7, "]Å€😀[", None, True, [1, [2]], {}]
    path = write(tmp_path / "docs.json", json.dumps(entries, ensure_ascii=False))
    assert read(path)[1] == entries


def test_byte_order_mark(tmp_path):
    mark = "\ufeff"
    assert read(write(tmp_path / "doc.json", mark + json.dumps(DOCUMENTS_IN[0])))[1] == DOCUMENTS_IN[:1]


def test_damaged_lines_are_documents_that_cannot_be_read(tmp_path):
    path = write(tmp_path / "docs.jsonl", b'{"a": 1}\n{cut\n\xff\n\n{"a": 2}')
    rows = [row for batch in open_records(path).batches() for row in batch.to_pylist()]
    assert [row["location"] for row in rows] == [f"docs.jsonl, line {n}" for n in (1, 2, 3, 5)]
    assert rows[1]["document"] == b"{cut\n"


def test_folder_in_the_order_of_names(tmp_path):
    (tmp_path / "deeper").mkdir()
    write(tmp_path / "b.jsonl", as_jsonl(DOCUMENTS_IN[2:3]))
    write(tmp_path / "a.json.gz", json.dumps(DOCUMENTS_IN[:2]))
    pq.write_table(pa.Table.from_pylist(DOCUMENTS_IN[4:]), tmp_path / "deeper" / "z.parquet")
    write(tmp_path / "c.yml", yaml.safe_dump(DOCUMENTS_IN[3]))
    write(tmp_path / "README.txt", "not read")
    assert read(tmp_path)[1] == DOCUMENTS_IN


def test_count_is_known_for_parquet_only(tmp_path):
    pq.write_table(pa.Table.from_pylist(DOCUMENTS_IN), tmp_path / "a.parquet")
    assert open_records(tmp_path).n_documents == 5
    write(tmp_path / "b.jsonl", as_jsonl(DOCUMENTS_IN))
    assert open_records(tmp_path).n_documents is None


def test_batches(tmp_path):
    n = BATCH_SIZE + 3
    path = write(tmp_path / "docs.jsonl", as_jsonl([{"material_id": str(i)} for i in range(n)]))
    batches = list(open_records(path).batches())
    assert [batch.num_rows for batch in batches] == [BATCH_SIZE, 3]
    assert all(batch.schema == DOCUMENTS for batch in batches)


def test_identity(tmp_path):
    path = write(tmp_path / "docs.jsonl", as_jsonl(DOCUMENTS_IN))
    identity = open_records(path).identity
    assert identity.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert identity.database_version is None  # read from the records, never invented
    assert identity.licence == "CC-BY-4.0"
    assert not identity.synthetic


def test_identity_of_a_folder_follows_every_file(tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        write(tmp_path / name, as_jsonl(DOCUMENTS_IN))
    before = open_records(tmp_path).identity.sha256
    assert open_records(tmp_path).identity.sha256 == before
    write(tmp_path / "b.jsonl", as_jsonl(DOCUMENTS_IN[:4]))
    assert open_records(tmp_path).identity.sha256 != before


PACKED = gzip.compress(as_jsonl(DOCUMENTS_IN * 50).encode())


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("docs.jsonl", b"", "the file is empty; fetch or export it again"),
        ("docs.txt", b"x", "not a kind of file that is read here; known are .parquet, .jsonl"),
        ("docs.jsonl.gz", b"no gzip", "damaged or not jsonl"),
        ("docs.jsonl.gz", PACKED[:200], "damaged or not jsonl"),
        ("docs.jsonl.gz", PACKED[:-6] + b"\0" * 6, "damaged or not jsonl"),
        ("docs.parquet", b"no parquet", "damaged or not parquet"),
        ("docs.json", b'{"a": ', "damaged or not json"),
        ("docs.json", b'[{"a": 1}, {"a"', "damaged or not json"),
        ("docs.json", b'[{"a": 1}', "damaged or not json"),
        ("docs.json", b'[{"a": "\xff"}]', "damaged or not json"),
        ("docs.json", b'{"a": "\xff"}', "damaged or not json"),
        ("docs.json", b"   ", "damaged or not json"),
        ("docs.yaml", b"a: [1\nb: 2", "damaged or not yaml"),
        ("docs.yaml", b"a: \xff", "damaged or not yaml"),
        ("docs.yaml", b"!!python/object/apply:os.getcwd []", "damaged or not yaml"),
        ("docs.yaml", b"&a [*a]", "damaged or not yaml"),
    ],
)
def test_bad_file_is_one_line_that_names_it(tmp_path, name, raw, says):
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(UserError) as caught:
        read(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        pytest.param("docs.jsonl.gz", PACKED[:60] + b"\xff" * 30 + PACKED[90:], id="zlib.error"),
        pytest.param("docs.json", b"[" * 100_000, id="RecursionError, list"),
        pytest.param("docs.json", b'{"a":' * 100_000, id="RecursionError, object"),
        pytest.param("docs.yaml", b"[" * 3_000 + b"]" * 3_000, id="RecursionError, YAML"),
    ],
)
def test_damage_that_ends_in_a_traceback(tmp_path, name, raw):
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(UserError, match="damaged or not"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["docs.json", "data.json", "docs.yaml"])
def test_infinity_stays_absurd(tmp_path, name):
    """As in JSON lines, whose bytes are handed on."""
    path = write(tmp_path / name, FORMS[name]([{"efermi": float("inf")}]))
    assert read(path)[1] == [{"efermi": float("inf")}]


@pytest.mark.parametrize("key", ["2021-05-13", "7", "!!binary aGVsbG8="])
def test_keys_that_are_no_text(tmp_path, key):
    (tmp_path / "docs.yaml").write_text(f"? {key}\n: 1\n")
    ((found, value),) = read(tmp_path / "docs.yaml")[1][0].items()
    assert isinstance(found, str)
    assert value == 1


def test_locations_tell_nested_files_apart(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "docs.jsonl").write_text(as_jsonl(DOCUMENTS_IN[:1]))
    assert read(tmp_path)[0] == ["a/docs.jsonl, line 1", "b/docs.jsonl, line 1"]


def test_missing_path(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.jsonl: no such file or folder"):
        open_records(tmp_path / "nothing.jsonl")


def test_folder_without_a_snapshot(tmp_path):
    write(tmp_path / "README.md", "x")
    with pytest.raises(UserError, match=r"no file in this folder ends in \.parquet, "):
        open_records(tmp_path)


def test_one_empty_file_of_a_folder(tmp_path):
    write(tmp_path / "a.jsonl", as_jsonl(DOCUMENTS_IN))
    (tmp_path / "b.jsonl").touch()
    with pytest.raises(UserError, match=r"b\.jsonl: the file is empty"):
        open_records(tmp_path)
