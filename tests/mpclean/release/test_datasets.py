"""What `datasets.load_dataset` makes of a release folder."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import mpclean
from mpclean.release import writer
from mpclean.vocabulary.schema import TARGETS

datasets = pytest.importorskip("datasets")
NonMatchingSplitsSizesError = datasets.utils.info_utils.NonMatchingSplitsSizesError


@pytest.fixture
def load(tmp_path):
    """`load_dataset` with a cache of its own, the same one throughout a test."""
    datasets.disable_progress_bars()

    def load(path, name=None, **options):
        return datasets.load_dataset(str(path), name, cache_dir=str(tmp_path / "cache"), **options)

    return load


def test_default(demo_release, load):
    loaded = load(demo_release.path)
    assert {split: len(rows) for split, rows in loaded.items()} == demo_release.manifest.splits
    for split, rows in loaded.items():
        table = demo_release.table(split)
        assert rows.column_names == table.column_names
        assert rows["material_id"][:] == table["material_id"].to_pylist()
        assert rows["edge_image"][0] == table["edge_image"][0].as_py()


@pytest.mark.parametrize("name", ["insulators", *TARGETS])
def test_configurations(demo_release, load, name):
    loaded = load(demo_release.path, name)
    for split, rows in loaded.items():
        table = demo_release.table(split)
        if name == "insulators":
            expected = table.filter(pc.fill_null(pc.greater(table["band_gap"], 0), False))
            assert set(rows.column_names) == set(table.column_names)
        else:
            expected = table.filter(table[name].is_valid())
            assert set(TARGETS) & set(rows.column_names) == {name}
        assert rows["material_id"][:] == expected["material_id"].to_pylist()
        assert len(rows)


def test_streaming(demo_release, load):
    rows = load(demo_release.path, "insulators", split="test", streaming=True)
    ids = [row["material_id"] for row in rows]
    assert len(ids) == demo_release.manifest.counts["insulators"]["test"].num_examples


def test_rebuilding_under_the_same_path_gives_the_new_rows(rock_salt, write_lines, load, tmp_path):
    """The number of rows stays the same: what the cache goes by must be the content."""
    out = tmp_path / "salts"
    for shift in (0.0, 1.0):
        documents = [rock_salt(n, efermi=n + shift) for n in range(10)]
        path = write_lines(tmp_path / "docs.jsonl", documents)
        release = mpclean.build(source=path, out=out, workers=1, force=True)
        for name in (None, "efermi"):
            loaded = load(out, name)
            assert loaded["train"]["efermi"][:] == release.table("train")["efermi"].to_pylist()


def test_splits_without_rows(rock_salt, write_lines, load, tmp_path):
    source = write_lines(tmp_path / "docs.jsonl", [rock_salt(n) for n in range(4)])
    split = tmp_path / "split.csv"
    split.write_text("material_id,split\nmp-1,train\nmp-2,train\nmp-3,test\n")
    release = mpclean.build(source=source, out=tmp_path / "r", split=split, workers=1)
    assert release.manifest.splits == {"train": 2, "validation": 0, "test": 1}
    assert release.manifest.shards == {"train": 1, "validation": 0, "test": 1}
    loaded = load(release.path)
    assert {name: len(rows) for name, rows in loaded.items()} == {"train": 2, "test": 1}
    assert release.table("validation").num_rows == 0
    assert release.table("validation").schema == release.table("train").schema


def test_a_configuration_without_rows_is_left_out(rock_salt, write_lines, load, tmp_path):
    documents = [rock_salt(n, band_gap=0.0, efermi=None) for n in range(12)]
    source = write_lines(tmp_path / "docs.jsonl", documents)
    release = mpclean.build(source=source, out=tmp_path / "r", workers=1)
    names = datasets.get_dataset_config_names(str(release.path))
    assert set(names) == {"default", *TARGETS} - {"efermi"}
    assert len(load(release.path, "band_gap")["train"]) == 9


def test_several_shards(snapshot, small_release, load, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "SHARD_BYTES", 4000)
    release = mpclean.build(source=snapshot, out=tmp_path / "salts", workers=1)
    assert release.manifest.shards["train"] > 2
    rows = load(release.path, "insulators", split="train")
    expected = small_release.table("train")
    expected = expected.filter(pc.equal(expected["is_insulator"], pa.scalar(True)))
    assert rows["material_id"][:] == expected["material_id"].to_pylist()


def ids(rows):
    return sorted(row["material_id"] for row in rows)


def test_added_splits_are_configurations(demo_release, load, tmp_path):
    """One split, folds that share files, and parts of one that leave records out."""
    path = Path(shutil.copytree(demo_release.path, tmp_path / "demo"))
    before = datasets.get_dataset_config_names(str(path))
    mpclean.split(path, "formula", workers=1)
    mpclean.split(path, "k-fold", "fold", folds=3)
    mpclean.split(path, "learning-curve", "less", of="formula")
    release = mpclean.open_release(path)
    names = [*release.manifest.more_splits]
    assert datasets.get_dataset_config_names(str(path)) == [*before, *names]
    assert names == [*(f"fold-{k}" for k in (1, 2, 3)), "formula", *(f"less-{s}" for s in (0.125, 0.25, 0.5))]
    for name in names:
        loaded = load(path, name)
        counts = release.manifest.more_splits[name].splits
        assert {split: len(rows) for split, rows in loaded.items()} == counts
        for split, rows in loaded.items():
            expected = release.table(split, split=name)
            assert rows.column_names == expected.column_names
            assert ids(rows) == ids(expected.to_pylist())
            streamed = load(path, name, split=split, streaming=True)
            assert ids(streamed) == ids(expected.to_pylist())
    by_id = {row["material_id"]: row for row in load(path, "formula", split="test")}
    assert by_id == {row["material_id"]: row for row in release.table("test", split="formula").to_pylist()}
    assert len(load(path)["train"]) == release.manifest.splits["train"]


def test_a_replaced_split_is_loaded_anew(small_release, load, tmp_path):
    """Rows and bytes stay equal in number under an equal name: what the cache goes by must be the split."""
    path = Path(shutil.copytree(small_release.path, tmp_path / "salts"))
    described, lists = [], tmp_path / "lists.csv"
    for held_back in ("mp-2,train\nmp-6,test", "mp-6,train\nmp-2,test"):  # MgS and MgF
        lists.write_text(f"material_id,split\nmp-5,validation\n{held_back}\n")
        mpclean.split(path, "published", "mine", lists=lists, force=True)
        entry = mpclean.open_release(path).manifest.more_splits["mine"]
        described.append({split: (p.num_examples, p.num_bytes) for split, p in entry.rows.items()})
        assert ids(load(path, "mine", split="test")) == [held_back.splitlines()[1].split(",")[0]]
        assert ids(load(path, split="test")) == ids(small_release.table("test").to_pylist())
    assert described[0] == described[1]


def test_a_number_of_rows_that_is_not_right_is_refused(small_release, load, tmp_path):
    """What a card says of an added split is checked as it is of any other."""
    path = Path(shutil.copytree(small_release.path, tmp_path / "salts"))
    mpclean.split(path, "formula", workers=1)
    (shard,) = (path / "splits" / "formula").glob("test-*")
    pq.write_table(pq.read_table(shard).slice(1), shard)
    with pytest.raises(NonMatchingSplitsSizesError):
        load(path, "formula")
