"""A release whose hashes fit and whose tables do not is found by `verify`."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import mpclean
from mpclean.cli import main
from mpclean.release.manifest import seal_values
from mpclean.release.seal import describe_files

TRAIN = "data/train-00000-of-00001.parquet"
TEST = "data/test-00000-of-00001.parquet"
PARTS = "splits/random.parquet"
EXAMPLES = "ledger/examples.parquet"
LEDGER = "ledger/excluded.parquet"


def rewritten(release, changes, **manifest):
    """The lines of `verify` after tables were changed and hashed again."""
    for name, change in changes.items():
        pq.write_table(change(pq.read_table(release.path / name)), release.path / name)
    files = {name: file.model_dump() for name, file in describe_files(release.path).items()}
    files.pop("manifest.json")
    content = release.manifest.model_dump(mode="json", exclude_unset=True) | {"files": files} | manifest
    (release.path / "manifest.json").write_bytes(seal_values(content))
    return mpclean.open_release(release.path).verify()


def with_column(name, values):
    def change(table):
        place = table.schema.get_field_index(name)
        return table.set_column(place, name, values(table[name]))

    return change


def test_tables_written_otherwise_are_the_same_release(copied):
    assert rewritten(copied, {TRAIN: lambda table: table, PARTS: lambda table: table}) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {TRAIN: with_column("nsites", lambda c: c.cast(pa.int64()))},
            "data/train: breaks the schema in 1 ways: nsites: int64 where int16 is expected",
        ),
        (
            {TRAIN: with_column("material_id", lambda c: pa.array([[1]] * len(c)))},
            "data/train: breaks the schema in 1 ways: material_id: list<",
        ),
        (
            {TRAIN: lambda t: t.append_column("efermi", t["efermi"])},
            "efermi: the column is missing, or there twice",
        ),
        ({TRAIN: lambda t: t.drop_columns(["efermi"])}, "efermi: the column is missing, or there twice"),
        (
            {TRAIN: with_column("band_gap", lambda c: pc.subtract(c, 1.0))},
            "data/train: breaks the schema in 1 ways: band_gap: no finite number in [0, 50] eV (",
        ),
        (
            {PARTS: with_column("split", lambda c: pc.if_else(pc.equal(c, "test"), "hold", c))},
            "splits/random.parquet: breaks the schema in 1 ways: split: not one of train, ",
        ),
        (
            {PARTS: lambda t: pa.concat_tables([t, t.slice(0, 3)])},
            "splits/random.parquet: breaks the schema in 1 ways: material_id: stands here twice (3 records",
        ),
        (
            {PARTS: with_column("split", lambda c: pc.if_else(pc.equal(c, "test"), "validation", c))},
            "splits/random.parquet: its part validation is not what the rows of that part are",
        ),
        (
            {PARTS: with_column("material_id", lambda c: pc.if_else(pc.equal(c, "mp-4"), "mp-999", c))},
            "material_id: no such record in the release (1 records, first mp-999)",
        ),
        ({TRAIN: lambda t: t.slice(1)}, "data/train: 15 rows, and 16 in the manifest"),
        ({TRAIN: lambda t: t.slice(1)}, "ledger/excluded.parquet: 19 records kept and 0 left, of 20 that"),
        (
            {TEST: with_column("material_id", lambda c: pa.chunked_array([["mp-5", "mp-5"]]))},
            "data: breaks the schema in 1 ways: material_id: stands here twice (1 records, first mp-5)",
        ),
        (
            {
                LEDGER: lambda t: pa.Table.from_pylist(
                    [{"material_id": "x", "rule": "duplicate", "reason": "r", "kept_id": "mp-77"}],
                    schema=t.schema,
                )
            },
            "ledger/excluded.parquet: breaks the schema in 1 ways: kept_id: no such record in the release "
            "(1 records, first mp-77)",
        ),
        (
            {LEDGER: lambda t: pa.Table.from_pylist([{"material_id": "x", "rule": "size"}], schema=t.schema)},
            "ledger/excluded.parquet: breaks the schema in 1 ways: reason: null (1 records, first x)",
        ),
        (
            {
                EXAMPLES: lambda t: pa.Table.from_pylist(
                    [{"material_id": "x", "rule": "size", "reason": "r", "nsites": 1, "atomic_numbers": [0]}],
                    schema=t.schema,
                )
            },
            "ledger/examples.parquet: breaks the schema in 1 ways: atomic_numbers: no finite number in [",
        ),
    ],
)
def test_tables_that_are_wrong(copied, changes, says):
    lines = rewritten(copied, changes)
    assert any(says in line for line in lines), lines
    done = CliRunner().invoke(main, ["verify", str(copied.path)])
    assert done.exit_code == 2
    assert done.stdout.splitlines() == lines
    assert f"{len(lines)} files or tables are not what they should be" in done.stderr


def test_a_wrong_split_of_two(copied):
    """Records that changed their places in the shards, by which no number changed."""
    train, test = (pq.read_table(copied.path / name) for name in (TRAIN, TEST))
    lines = rewritten(
        copied,
        {
            TRAIN: lambda table: pa.concat_tables([table.slice(1), test.slice(0, 1)]),
            TEST: lambda table: pa.concat_tables([table.slice(1), train.slice(0, 1)]),
        },
    )
    assert lines == [
        "splits/random.parquet: its part train is not what the rows of that part are",
        "splits/random.parquet: its part test is not what the rows of that part are",
    ]


def test_every_table_is_told(copied):
    spoil = with_column("bravais_lattice", lambda c: pc.binary_join_element_wise(c, "?", ""))
    lines = rewritten(copied, {TRAIN: spoil, TEST: spoil, PARTS: lambda table: table.drop_columns(["split"])})
    assert [line.split(":")[0] for line in lines] == ["data/train", "data/test", "splits/random.parquet"]
    assert "(16 records, first mp-" in lines[0]


def test_row_groups_are_counted_together(copied):
    table = with_column("band_gap", lambda c: pc.subtract(c, 60.0))(pq.read_table(copied.path / TRAIN))
    pq.write_table(table, copied.path / TRAIN, row_group_size=5)
    (line,) = rewritten(copied, {})
    assert "band_gap: no finite number in [0, 50] eV (16 records, first mp-" in line
    assert line.count("band_gap") == 1


def test_a_table_that_is_none(copied):
    (copied.path / PARTS).write_bytes(b"PAR1")
    (line,) = rewritten(copied, {})
    assert "random.parquet: cannot be read" in line


def test_columns_of_the_manifest(copied):
    columns = [name for name in copied.manifest.columns if name != "lattice"] + ["colour"]
    assert rewritten(copied, {}, columns=columns) == [
        "manifest.json: columns: colour is no column, lattice is missing"
    ]


def test_added_splits(copied):
    mpclean.split(copied.path, "formula", workers=1)
    release = mpclean.open_release(copied.path)
    assert release.verify() == []
    (train,) = release.manifest.more_splits["formula"].rows["train"].files
    assert rewritten(release, {train: lambda table: table.slice(1)}) == [
        "splits/formula.parquet: its part train is not what the rows of that part are"
    ]
    spoil = with_column("band_gap", lambda c: pc.subtract(c, 60.0))
    lines = rewritten(release, {train: spoil})
    assert "train of the split formula: breaks the schema in 1 ways: band_gap" in lines[0]
