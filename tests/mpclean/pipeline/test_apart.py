"""A source and a release that lie in one another, by whatever name: nothing of a person is ever replaced."""

import os
import shutil

import pytest

import mpclean
from mpclean import UserError


@pytest.fixture
def taken(small_release, tmp_path):
    """A release that --force may replace."""
    return shutil.copytree(small_release.path, tmp_path / "r")


def source_in_release(snapshot, taken):
    return shutil.copy(snapshot, taken / "docs.jsonl"), taken


def source_in_a_folder_of_the_release(snapshot, taken):
    (taken / "mine").mkdir()
    return shutil.copy(snapshot, taken / "mine" / "docs.jsonl"), taken


def release_is_the_source(snapshot, taken):
    return taken, taken


def link_into_the_release(snapshot, taken):
    shutil.copy(snapshot, taken / "docs.jsonl")
    (taken.parent / "link.jsonl").symlink_to(taken / "docs.jsonl")
    return taken.parent / "link.jsonl", taken


def release_behind_a_link(snapshot, taken):
    shutil.copy(snapshot, taken / "docs.jsonl")
    (taken.parent / "link").symlink_to(taken)
    return taken / "docs.jsonl", taken.parent / "link"


def release_is_the_file_of_the_source(snapshot, taken):
    source = shutil.copy(snapshot, taken.parent / "docs.jsonl")
    return source, source


@pytest.mark.parametrize(
    "lay",
    [
        source_in_release,
        source_in_a_folder_of_the_release,
        release_is_the_source,
        link_into_the_release,
        release_behind_a_link,
        release_is_the_file_of_the_source,
    ],
)
def test_an_overlap_is_refused_and_touches_nothing(lay, snapshot, taken, tmp_path):
    source, out = lay(snapshot, taken)
    before = {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")}
    with pytest.raises(UserError):
        mpclean.build(source=source, out=out, workers=1, force=True)
    assert {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")} == before


def test_another_name_of_a_file_of_the_release_stays(snapshot, taken, tmp_path):
    """A hard link: the release lets go of its name, and the file stays under the other."""
    shard = next(taken.glob("data/train-*"))
    os.link(shard, tmp_path / "mine.parquet")
    content = shard.read_bytes()
    mpclean.build(source=snapshot, out=taken, workers=1, force=True)
    assert (tmp_path / "mine.parquet").read_bytes() == content


def test_a_folder_of_records_may_hold_the_release(snapshot, tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    shutil.copy(snapshot, folder / "docs.jsonl")
    first = mpclean.build(source=folder, out=folder / "r", workers=1)
    again = mpclean.build(source=folder, out=folder / "r", workers=1, force=True)
    assert first.content_hash == again.content_hash
    assert (folder / "docs.jsonl").read_bytes() == snapshot.read_bytes()


@pytest.mark.parametrize("words", [("cif", "r/cif"), ("jsonl", "r/README.jsonl")])
def test_an_export_into_a_release_harms_nothing_and_is_not_replaced(taken, tmp_path, words):
    from mpclean.release.export import export

    release, (kind, name) = mpclean.open_release(taken), words
    before = {path: path.read_bytes() for path in taken.rglob("*") if path.is_file()}
    export(release, kind, tmp_path / name)
    assert {path: path.read_bytes() for path in before} == before
    with pytest.raises(UserError, match="no part of the release"):
        mpclean.build(version="demo", limit=20, out=taken, workers=1, force=True)
