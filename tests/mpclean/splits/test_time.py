"""Trained on the old, tested on the new."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpclean
from mpclean import UserError
from mpclean.splits import STRATEGIES
from mpclean.vocabulary.schema import PARTS

THIRDS = (0.4, 0.3, 0.3)


def make(ids, dates=None, by="id", fractions=THIRDS):
    keys = pa.table({"material_id": sorted(ids)})
    if dates is not None:
        keys = keys.append_column("date", pa.array([dates.get(i) for i in sorted(ids)], pa.string()))
    (table,) = STRATEGIES["time"].make(keys, by=by, fractions=fractions).values()
    return dict(zip(table["material_id"].to_pylist(), table["split"].to_pylist(), strict=True))


@given(numbers=st.sets(st.integers(0, 10**7), min_size=10, max_size=60))
@settings(max_examples=50, deadline=None)
def test_ids_count_up(numbers):
    placed = make([f"mp-{n}" for n in numbers])
    assert len(placed) == len(numbers)
    parts = [[int(i[3:]) for i, part in placed.items() if part == name] for name in PARTS]
    assert max(parts[0]) < min(parts[1])
    assert max(parts[1]) < min(parts[2])
    assert [len(part) for part in parts] == pytest.approx([f * len(numbers) for f in THIRDS], abs=1)


def test_ids_without_a_number_are_left_out():
    ids = ["mp-7", "mp-10", "mp-9", "mvc-1", "mp-fa", "demo-3"]
    assert make(ids) == {"mp-7": "train", "mp-9": "validation", "mp-10": "test"}


def test_dates_before_ids():
    dates = {"mp-1": "2020-01-02", "mp-2": "2011-05-01", "mp-10": "2011-05-01", "x": "2012-01-01"}
    placed = make([*dates, "mp-3"], dates, by="date", fractions=(0.5, 0.25, 0.25))
    assert placed == {"mp-2": "train", "mp-10": "train", "x": "validation", "mp-1": "test"}


@pytest.mark.parametrize("dates", [None, {"a": "2020-01-02"}])
def test_no_time(dates):
    with pytest.raises(
        UserError, match=f"of 4 records {len(dates or ())} have a date .* and 0 a numeric id"
    ) as e:
        make("abcd", dates, by="date" if dates else "id")
    assert "\n" not in str(e.value)


@pytest.fixture
def dated(rock_salt, write_lines, tmp_path):
    """Twenty salts, the first of which are the newest; one has no date."""
    documents = [rock_salt(n, created_at=f"20{40 - n}-01-31T12:00:00") for n in range(19)]
    documents.append(rock_salt(19))
    return mpclean.build(
        source=write_lines(tmp_path / "docs.jsonl", documents), out=tmp_path / "r", workers=1
    )


def test_a_release_keeps_dates_and_is_split_by_them(dated):
    assert dated.table(columns=["date"])["date"].null_count == 1
    assert mpclean.split(dated.path, "time") == {"time": {"train": 15, "validation": 2, "test": 2}}
    mpclean.split(dated.path, "time", "by-id", by="id")
    release = mpclean.open_release(dated.path)
    more = release.manifest.more_splits
    assert more["time"].parameters == {"by": "date", "fractions": [0.8, 0.1, 0.1]}
    newest = release.table("test", ["material_id"], split="time")["material_id"].to_pylist()
    assert sorted(newest) == ["mp-1", "mp-2"]
    newest = release.table("test", ["material_id"], split="by-id")["material_id"].to_pylist()
    assert sorted(newest) == ["mp-19", "mp-20"]
    assert release.verify() == []


def test_without_dates_the_ids_decide(small_release, copied_salts):
    assert "date" not in small_release.manifest.columns
    mpclean.split(copied_salts, "time")
    assert mpclean.open_release(copied_salts).manifest.more_splits["time"].parameters["by"] == "id"


def test_unknown_order(copied_salts):
    with pytest.raises(UserError, match="--by size: records are ordered by date or id"):
        mpclean.split(copied_salts, "time", by="size")
