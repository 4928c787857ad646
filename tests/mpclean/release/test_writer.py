"""Shards hold every row once, whatever their size."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mpclean
from mpclean import UserError
from mpclean.release import writer
from mpclean.release.writer import ShardWriter, write_shards, write_table
from mpclean.vocabulary.schema import COLUMNS, schema

SCHEMA = schema("material_id", "efermi", "lattice")


def rows(start, n):
    return pa.table(
        [
            [f"mp-{i}" for i in range(start, start + n)],
            [i / 3 if i % 4 else None for i in range(start, start + n)],
            [[float(i)] * 9 for i in range(start, start + n)],
        ],
        schema=SCHEMA,
    )


@pytest.mark.parametrize("group", [1, 3, 100])
@pytest.mark.parametrize(
    ("total", "size", "shards"), [(10, 0, 1), (10, 100, 1), (10, 101, 2), (10, 250, 3), (7, 650, 7)]
)
def test_shards(tmp_path, monkeypatch, group, total, size, shards):
    monkeypatch.setattr(writer, "SHARD_BYTES", 100)
    monkeypatch.setattr(writer, "ROW_GROUP", group)
    shard_writer = ShardWriter(tmp_path, "data/train", total, size, SCHEMA)
    assert shard_writer.count == shards
    start = 0
    while start < total:  # batches of changing sizes
        n = min(1 + start % 4, total - start)
        shard_writer.write(rows(start, n))
        start += n
    shard_writer.close()
    files = sorted((tmp_path / "data").iterdir())
    assert [file.name for file in files] == [f"train-{k:05d}-of-{shards:05d}.parquet" for k in range(shards)]
    parts = [pq.read_table(file) for file in files]
    assert pa.concat_tables(parts).replace_schema_metadata().cast(SCHEMA).equals(rows(0, total))
    assert all(part.num_rows for part in parts)
    for file in files:
        metadata = pq.read_metadata(file)
        assert max(metadata.row_group(k).num_rows for k in range(metadata.num_row_groups)) <= group


def test_a_split_without_rows_has_no_shard(tmp_path):
    counts = {"data/train": 2, "data/validation": 0, "data/test": 1}
    batches = [("data/train", rows(0, 2)), ("data/test", rows(2, 1))]
    assert write_shards(tmp_path, batches, counts, 100.0, SCHEMA) == {
        "data/train": 1, "data/validation": 0, "data/test": 1
    }  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "test-00000-of-00001.parquet",
        "train-00000-of-00001.parquet",
    ]


def test_units_and_meanings_travel_with_the_columns(tmp_path):
    write_table(tmp_path / "deep" / "table.parquet", rows(0, 3))
    for field in pq.read_schema(tmp_path / "deep" / "table.parquet"):
        assert field.metadata[b"unit"].decode() == COLUMNS[field.name].unit
        assert field.metadata[b"meaning"].decode() == COLUMNS[field.name].meaning


def test_content_hash_does_not_depend_on_shards_and_row_groups(
    snapshot, small_release, tmp_path, monkeypatch
):
    monkeypatch.setattr(writer, "SHARD_BYTES", 4000)
    monkeypatch.setattr(writer, "ROW_GROUP", 3)
    other = mpclean.build(source=snapshot, out=tmp_path / "salts", workers=1)
    assert other.manifest.shards["train"] > 2
    assert small_release.manifest.shards["train"] == 1
    assert other.content_hash == small_release.content_hash
    assert other.table().equals(small_release.table())
    assert other.verify() == []


def test_content_hash_depends_on_one_label(small_release, rock_salt, write_lines, tmp_path):
    documents = [rock_salt(n) for n in range(20)]
    documents[7]["efermi"] += 1e-12
    path = write_lines(tmp_path / "docs.jsonl", documents)
    other = mpclean.build(source=path, out=tmp_path / "salts", workers=1)
    assert other.content_hash != small_release.content_hash


def test_what_is_wrong_is_not_written(tmp_path):
    """Neither a shard nor a table, and all that is wrong is told."""
    bad = rows(0, 2).to_pylist()
    bad[1] |= {"efermi": 1e9, "lattice": [0.0]}
    table = pa.Table.from_pylist(bad, SCHEMA)
    says = r"efermi: no finite number in .* first mp-1: 1000000000\.0\); lattice: not 9 values \(1 records"
    with pytest.raises(UserError, match=f"data/train: breaks the schema in 2 ways: {says}"):
        write_shards(tmp_path, [("data/train", table)], {"data/train": 2}, 1.0, SCHEMA)
    with pytest.raises(UserError, match=rf"x\.parquet: breaks the schema in 2 ways: {says}"):
        write_table(tmp_path / "folder" / "x.parquet", table)
    assert not (tmp_path / "folder").exists()
