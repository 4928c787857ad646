"""Snapshots in every form, whole and damaged."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from mpclean.errors import UserError
from mpclean.sources import DOCUMENTS, base, json_stream, records
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
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
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
    assert (identity.licence, identity.citation) == ("unknown", "unknown")  # never invented
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
        ("docs.txt", b"x", "not a kind of file that is read here; known: .parquet, .jsonl"),
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
        ("docs.yaml", b"a: \xff", "neither UTF-8 nor UTF-16"),
        ("docs.yaml", b"!!python/object/apply:os.getcwd []", "damaged or not yaml"),
        ("docs.yaml", b"&a [*a]", "an alias stands for what it is in"),
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
    with pytest.raises(UserError, match=r"damaged or not|within one another"):
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


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(("", bytes), id="plain"),
        pytest.param((".gz", gzip.compress), id="gzip"),
        pytest.param((".bz2", bz2.compress), id="bzip2"),
        pytest.param((".xz", lzma.compress), id="xz"),
        pytest.param((".zst", lambda raw: pa.compress(raw, "zstd", asbytes=True)), id="zstd"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", FORMS)
def test_every_packing_and_encoding(tmp_path, name, encoding, pack):
    ending, compress = pack
    (tmp_path / (name + ending)).write_bytes(compress(FORMS[name](DOCUMENTS_IN).encode(encoding)))
    assert read(tmp_path / (name + ending))[1] == DOCUMENTS_IN


def test_documents_are_handed_on_as_they_are_written(tmp_path):
    """Numbers that are ids are text to come: 7E10 is not 70000000000.0."""
    text = '[{"material_id": 7E10}, {"material_id": 1.50}]'
    (batch,) = open_records(write(tmp_path / "docs.json", text)).batches()
    assert [d.as_py() for d in batch["document"]] == [b'{"material_id": 7E10}', b'{"material_id": 1.50}']


def test_ids_of_parquet_that_are_bytes_or_words_of_a_dictionary(tmp_path):
    ids = pa.array(["0012", "12", "7E10"])
    for column in (ids.cast(pa.binary()), ids.dictionary_encode(), ids.cast(pa.large_string())):
        pq.write_table(pa.table({"material_id": column}), tmp_path / "docs.parquet")
        assert [d["material_id"] for d in read(tmp_path / "docs.parquet")[1]] == ["0012", "12", "7E10"]


def test_several_documents_in_one_json_are_pointed_to_lines(tmp_path):
    with pytest.raises(UserError, match=r"several documents, a line each, are \.jsonl"):
        read(write(tmp_path / "docs.json", as_jsonl(DOCUMENTS_IN)))


def test_a_damaged_entry_of_a_list_is_a_document_that_cannot_be_read(tmp_path):
    path = write(tmp_path / "docs.json", '[{"a": 1}, {"a" 2}, {"a": 3}]')
    (batch,) = open_records(path).batches()
    assert [d.as_py() for d in batch["document"]] == [b'{"a": 1}', b'{"a" 2}', b'{"a": 3}']


def test_large_documents_make_small_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "BATCH_BYTES", 30)
    path = write(tmp_path / "docs.jsonl", as_jsonl([{"material_id": str(i)} for i in range(5)]))
    assert [batch.num_rows for batch in open_records(path).batches()] == [2, 2, 1]


def _aliases(levels: int) -> str:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, levels))]
    return "\n".join(lines)


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


# Each unpacks to what is larger than the bound, which is made small here: the bound is what is tested.
# benchmarks/attacks_sources.py has them at full size, with their time and memory.
BOMBS = {
    "line.jsonl": (b'{"a": "' + b"x" * 3000 + b'"}', "line 1 is longer"),
    "zeros.jsonl.gz": (gzip.compress(bytes(5000)), "line 1 is longer"),
    "zeros.json.gz": (gzip.compress(bytes(5000)), "a document is larger"),
    "digits.json": (b"1" * 4500, "a document is larger|a number or word"),
    "deep.json": (b"[" * 5000, "more than 1,024 lists and objects within one another"),
    "brackets.json": (b"[[" + b"[]," * 500 + b"[]]]", "more than 100 lists, objects and texts"),
    "string.json": (b'["' + b"x" * 5000, "a document is larger"),
    "object.json": (json.dumps({f"k{n}": n for n in range(1000)}).encode(), "a document is larger"),
    "aliases.yaml": (_aliases(30).encode(), "aliases make"),
    "many.yaml": (b"- 1\n" * 20_000, "more than 5,000 values"),
    "list.parquet": (_parquet(pa.table({"a": [[0] * 40_000]})), "items in 1 rows"),
    "text.parquet": (_parquet(pa.table({"a": ["x" * 50_000]})), "unpack to"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_with_its_cause(tmp_path, monkeypatch, name):
    for module in (records, json_stream):
        monkeypatch.setattr(module, "MAX_DOCUMENT", 2000)
    monkeypatch.setattr(json_stream, "_CHUNK", 100)
    monkeypatch.setattr(json_stream, "_MOST_PARTS", 100)
    monkeypatch.setattr(records, "MAX_ITEMS", 10_000)
    monkeypatch.setattr(records, "MAX_YAML_NODES", 5_000)
    content, says = BOMBS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}: .*{says}") as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_list_that_begins_with_null_is_read_in_one_go(tmp_path):
    """Each null was once looked for to the end of the file."""
    path = write(tmp_path / "docs.json", "[" + "null," * 100_000 + "{}]")
    began = time.process_time()
    assert sum(batch.num_rows for batch in open_records(path).batches()) == 100_001
    assert time.process_time() - began < 10


def test_ids_of_yaml_are_text_as_written(tmp_path):
    """To YAML 0012 is ten, 1_0 is ten too, and 7E10 a number."""
    ids = ["0012", "12", "7E10", "1_0", "0x10", "true", "2021-05-01"]
    (tmp_path / "docs.yaml").write_text("".join(f"- material_id: {one}\n  band_gap: 0.5\n" for one in ids))
    found = [json.loads(document) for _, document in documents_of(tmp_path / "docs.yaml")]
    assert [one["material_id"] for one in found] == ids
    assert {one["band_gap"] for one in found} == {0.5}


def documents_of(path):
    return [
        (row["location"], row["document"])
        for batch in open_records(path).batches()
        for row in batch.to_pylist()
    ]
