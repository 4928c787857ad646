"""Builds from real snapshots of every kind."""

from pathlib import Path

import pyarrow.compute as pc
import pytest

import mpclean
from mpclean.vocabulary.schema import PARTS


def counted(release: mpclean.Release) -> tuple[int, int, int]:
    read = release.manifest.stages[0].kept
    return read, release.table().num_rows, release.ledger().num_rows


@pytest.mark.parametrize(
    ("name", "records"),
    [("mp_summary_docs.jsonl.gz", 2000), ("mp_legacy_docs", 3), ("mp_records.parquet", 1500)],
)
@pytest.mark.slow
def test_records_in_are_records_kept_and_in_the_ledger(
    data: Path, tmp_path: Path, name: str, records: int
) -> None:
    limit = records if name.endswith("parquet") else None
    release = mpclean.build(source=data / name, out=tmp_path / "release", limit=limit, workers=1)
    read, kept, left = counted(release)
    assert read == records
    assert kept + left == read
    assert release.verify() == []


@pytest.mark.slow
def test_one_and_two_workers_give_the_same_bytes(data: Path, tmp_path: Path) -> None:
    releases = [
        mpclean.build(source=data / "mp_records.parquet", out=tmp_path / f"{n}" / "mp", limit=1000, workers=n)
        for n in (1, 2)
    ]
    assert releases[0].manifest == releases[1].manifest


@pytest.mark.slow
def test_published_lists_keep_their_own_split(data: Path, tmp_path: Path) -> None:
    release = mpclean.build(
        source=data / "mp_records.parquet",
        out=tmp_path / "mp",
        split=data / "mp_2021_05_ids",
        limit=1500,
        workers=1,
    )
    read, kept, left = counted(release)
    assert kept + left == read == 1500
    on_no_list = release.ledger().filter(pc.equal(release.ledger()["rule"], "split"))
    (stage,) = (stage for stage in release.manifest.stages if stage.name == "split")
    assert on_no_list.num_rows == stage.excluded > 0
    # Ids of the paper's test split are left out of the file: that split has no rows and no shard.
    assert release.manifest.splits["test"] == 0
    assert [release.table(split).num_rows for split in PARTS] == [
        release.manifest.splits[split] for split in PARTS
    ]
    assert not list((release.path / "data").glob("test-*"))


def test_legacy_documents_give_their_labels(data: Path, tmp_path: Path) -> None:
    release = mpclean.build(source=data / "mp_legacy_docs", out=tmp_path / "legacy", workers=1)
    rows = {row["material_id"]: row for row in release.table().to_pylist()}
    ledger = {row["material_id"]: row["rule"] for row in release.ledger().to_pylist()}
    assert set(rows) | set(ledger) == {"mp-19", "mp-188", "mp-1234"}
    aluminium = rows["mp-188"]
    assert aluminium["formula"] == "Al1 Pt3"
    assert aluminium["spacegroup_number"] == 221
    assert aluminium["band_gap"] == pytest.approx(0.0399, abs=1e-4)
    assert aluminium["magnetization_per_atom"] == pytest.approx(1.8e-6 / 4)
    assert aluminium["is_hubbard"] is False
