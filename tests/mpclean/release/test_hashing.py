"""The content hash sees values and nothing else."""

import hashlib

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpclean.release.hashing import ContentDigest, file_sha256


def content_hash(table, name="data/train", chunk=None):
    digest = ContentDigest()
    step = chunk or max(table.num_rows, 1)
    for start in range(0, table.num_rows, step):
        digest.update(name, table.slice(start, step))
    return digest.hexdigest()


def column(values, type_):
    return pa.table({"x": pa.array(values, type_)})


TYPES = [
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.int16(), st.integers(-9, 9)),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(max_size=3).filter(lambda t: t.isprintable())),
    (pa.list_(pa.uint8()), st.lists(st.integers(0, 3), max_size=3)),
    (pa.list_(pa.float64()), st.lists(st.sampled_from([0.0, 1.0]), max_size=2)),
]


@pytest.mark.parametrize(("type_", "values"), TYPES, ids=lambda t: str(t)[:12])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_chunks_do_not_matter_and_values_do(type_, values, data):
    rows = data.draw(st.lists(st.none() | values, min_size=1, max_size=8))
    table = column(rows, type_)
    expected = content_hash(table)
    assert content_hash(table, chunk=data.draw(st.integers(1, 8))) == expected
    pieces = pa.chunked_array([pa.array([row], type_) for row in rows], type_)
    assert content_hash(pa.table({"x": pieces})) == expected
    other = data.draw(st.lists(st.none() | values, min_size=1, max_size=8))
    same = str(table["x"].to_pylist()) == str(column(other, type_)["x"].to_pylist())  # 0.0 is not -0.0
    assert (content_hash(column(other, type_)) == expected) == same


@pytest.mark.parametrize(
    ("one", "other", "type_"),
    [
        ([0.0], [None], pa.float64()),
        ([""], [None], pa.string()),
        ([False], [None], pa.bool_()),
        ([[]], [None], pa.list_(pa.uint8())),
        (["ab", "c"], ["a", "bc"], pa.string()),
        ([[1], [2]], [[1, 2], []], pa.list_(pa.uint8())),
        ([[], [1]], [[1], []], pa.list_(pa.uint8())),
        ([1.0, 2.0], [2.0, 1.0], pa.float64()),
    ],
)
def test_framing(one, other, type_):
    assert content_hash(column(one, type_)) != content_hash(column(other, type_))


def test_names_count():
    table = pa.table({"a": [1], "b": [2]})
    assert content_hash(table) != content_hash(table.rename_columns(["a", "c"]))
    assert content_hash(table) != content_hash(table, name="data/test")
    assert content_hash(table) == content_hash(table.select(["b", "a"]))


def test_every_value_of_a_release_counts(demo_release):
    table = demo_release.table("test")
    expected = content_hash(table)
    for index, name in enumerate(table.column_names):
        values = table[name].to_pylist()
        changed = list(values)
        changed[3] = None if values[3] is not None else next(v for v in values if v is not None)
        swapped = table.set_column(index, name, pa.array(changed, table.schema.field(name).type))
        assert content_hash(swapped) != expected, name


def test_file_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc" * 100_000)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"abc" * 100_000).hexdigest()
