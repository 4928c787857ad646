"""A release that something is added to: the old one or the new one, which describes itself."""

import os
import subprocess
import sys

import pytest

import mpclean
from mpclean import UserError
from mpclean.release import update as amend
from mpclean.release.update import amended


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_added_is_in_manifest_and_croissant(copied):
    inodes = {path: path.stat().st_ino for path in copied.path.glob("data/*")}
    with amended(copied.path) as amendment:
        assert amendment.release.content_hash == copied.content_hash
        (amendment.folder / "report").mkdir()
        (amendment.folder / "report" / "index.html").write_text("<html></html>")
        amendment.manifest = amendment.manifest.changed(name="mine")
    opened = mpclean.open_release(copied.path)
    assert opened.verify() == []
    assert opened.manifest.name == "mine"
    assert set(opened.manifest.files) - set(copied.manifest.files) == {"report/index.html"}
    assert '"report/index.html"' in (copied.path / "croissant.json").read_text()
    assert '"text/html"' in (copied.path / "croissant.json").read_text()
    # Nothing is copied, and nothing else is left.
    assert {path: path.stat().st_ino for path in copied.path.glob("data/*")} == inodes
    assert [path.name for path in copied.path.parent.iterdir()] == [copied.path.name]


def test_what_is_replaced_and_what_is_removed(copied):
    for texts, removed in (
        ({"a.html": "old", "b.html": "old"}, set()),
        ({"a.html": "new"}, {"report/b.html"}),
    ):
        with amended(copied.path) as amendment:
            (amendment.folder / "report").mkdir()
            for name, text in texts.items():
                (amendment.folder / "report" / name).write_text(text)
            amendment.removed |= removed
    opened = mpclean.open_release(copied.path)
    assert opened.verify() == []
    assert set(opened.manifest.files) - set(copied.manifest.files) == {"report/a.html"}
    assert (copied.path / "report" / "a.html").read_text() == "new"


def test_what_was_wrong_before_is_not_made_good(copied):
    damaged, lost = sorted(name for name in copied.manifest.files if name.startswith("data/"))[:2]
    (copied.path / damaged).write_bytes(b"half")
    (copied.path / lost).unlink()
    (copied.path / "notes.txt").write_text("mine")
    before = copied.verify()
    assert before == [f"missing: {lost}", "extra: notes.txt", f"changed: {damaged}"]
    with (
        pytest.raises(UserError, match="3 files differ from the manifest"),
        amended(copied.path) as amendment,
    ):
        amendment.manifest = amendment.manifest.changed(name="mine")
    assert mpclean.open_release(copied.path).verify() == before
    assert (copied.path / "notes.txt").read_text() == "mine"


def test_where_files_have_one_name_only(copied, monkeypatch):
    def refuse(self, target):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    with amended(copied.path) as amendment:
        amendment.manifest = amendment.manifest.changed(name="mine")
    assert mpclean.open_release(copied.path).verify() == []


@pytest.mark.parametrize("where", ["seal", "move_into_place"])
def test_an_error_changes_nothing(copied, monkeypatch, where):
    before = contents(copied.path.parent)
    monkeypatch.setattr(amend, where, lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError), amended(copied.path) as amendment:
        (amendment.folder / "README.md").write_text("mine")
    assert contents(copied.path.parent) == before


KILLED = """
import os, sys
from mpclean.release import update as amend
def die(*args, **options):
    os._exit(9)
{where} = die
with amend.amended(sys.argv[1]) as amendment:
    (amendment.folder / "README.md").write_text("mine")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "where", ["amend.seal", "amend.describe_files", "amend.move_into_place", "amend.shutil.copytree"]
)
def test_killed(copied, where):
    before = contents(copied.path)
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(where=where), str(copied.path)], env=os.environ
    )
    assert done.returncode == 9
    assert contents(copied.path) == before
    with amended(copied.path):
        pass
    assert contents(copied.path) == before
    assert [path.name for path in copied.path.parent.iterdir()] == [copied.path.name]


def test_no_release(tmp_path):
    with pytest.raises(UserError, match="no such release"), amended(tmp_path / "deep" / "nothing"):
        pass
    assert list(tmp_path.iterdir()) == []
