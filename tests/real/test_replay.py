"""The replay of 2021.05 on real records, and the hashes of the files that it and Perov-5 are pinned to."""

import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

import mpclean
from mpclean.replay import recount
from mpclean.versions import find_version


def test_published_files_have_the_pinned_hashes(data: Path) -> None:
    for name, sha256 in find_version("2021.05").lists.sha256.items():
        assert hashlib.sha256((data / "mp_2021_05_ids" / name).read_bytes()).hexdigest() == sha256
    for name, sha256 in find_version("perov-5").data.sha256.items():
        packed = (data / "perov_5" / f"{name}.gz").read_bytes()
        assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == sha256


@pytest.mark.slow
def test_numbers_come_again_from_release_and_ledger(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "2021.05").symlink_to(data / "mp_2021_05_ids")
    monkeypatch.setenv("MPCLEAN_CACHE", str(tmp_path / "cache"))
    release = mpclean.build(
        version="2021.05", source=data / "mp_records.parquet", out=tmp_path / "mp", limit=1000, workers=1
    )
    manifest, found = release.manifest, recount(release)
    assert found["replay"] == manifest["replay"]
    assert found["stages"] == {stage["name"]: stage["left"] for stage in manifest["stages"]}
    for name, values in manifest["statistics"].items():
        assert found["statistics"][name] == pytest.approx(values)

    # The same by hand, from the files of the authors.
    listed = {
        material_id
        for name in find_version("2021.05").lists.sha256
        for material_id in json.loads((data / "mp_2021_05_ids" / name).read_bytes())
    }
    kept = set(release.table()["material_id"].to_pylist())
    ledger = release.ledger().to_pylist()
    extra = [row["material_id"] for row in ledger if row["rule"] == "split"]
    left = Counter(row["rule"] for row in ledger if row["material_id"] in listed)
    replay = manifest["replay"]
    assert kept <= listed
    assert listed.isdisjoint(extra)
    assert replay["listed"] == len(listed) == 78_649
    assert replay["agree"] == len(kept) > 500
    assert replay["extra"] == len(extra) > 0
    assert {way["rule"]: way["ids"] for way in replay["missing"]} == {
        **left,
        None: len(listed) - len(kept) - left.total(),
    }
    # None of the published crystals has a cell of one atom; ours have, and leave for it.
    assert replay["one_atom"]["agree"] == 0
    assert replay["one_atom"]["extra"] > 0
