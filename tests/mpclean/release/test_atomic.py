"""A folder that is replaced is the old one or the new one, however the command that does it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mpclean
from mpclean import UserError
from mpclean.release import atomic as staging
from mpclean.release.atomic import move_into_place, require_free, staging_folder
from mpclean.release.layout import LEDGER, MANIFEST
from mpclean.release.update import amended


@pytest.fixture
def new(tmp_path):
    """A folder beside another one that it is to replace."""
    for name in ("new", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    for name in (MANIFEST, LEDGER):  # all that tells a release from another folder
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / name).touch()
    return tmp_path / "new"


@pytest.fixture
def exchanges(tmp_path):
    """Skips where two folders cannot change places in one step."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    if not staging._rename(tmp_path / "a", tmp_path / "b", staging._EXCHANGE):
        pytest.skip("this system, or this file system, cannot exchange two folders")


def test_the_place_is_never_empty(exchanges, new, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "rename", lambda *_: 1 / 0)
    move_into_place(new, tmp_path / "out", replace=True)
    assert (tmp_path / "out" / "file").read_text() == "new"


@pytest.mark.parametrize("place", ["out", "free"])
def test_where_that_cannot_be_done(new, tmp_path, monkeypatch, place):
    monkeypatch.setattr(staging, "_rename", lambda *_: False)
    move_into_place(new, tmp_path / place, replace=True)
    assert (tmp_path / place / "file").read_text() == "new"
    assert not new.exists()


def test_a_place_that_is_not_there_is_not_exchanged(new, tmp_path):
    assert not staging._rename(new, tmp_path / "nothing", staging._EXCHANGE)
    assert (new / "file").read_text() == "new"


KILLED = """
import os, sys
from pathlib import Path
from mpclean import UserError
from mpclean.release import atomic as staging
from mpclean.release.layout import LEDGER, MANIFEST
from mpclean.release.update import amended
staging._rename = lambda *_: False
rename = Path.rename
def once(path, target):
    rename(path, target)
    os._exit(9)
Path.rename = once
with amended(sys.argv[1]):
    pass
"""


@pytest.mark.slow
def test_killed_between_two_steps(copied):
    """Where there is no one step: the next command puts the old release back."""
    before = {path.name: path.read_bytes() for path in copied.path.rglob("*") if path.is_file()}
    done = subprocess.run([sys.executable, "-c", KILLED, str(copied.path)], env=os.environ)
    assert done.returncode == 9
    assert not copied.path.exists()
    with amended(copied.path):
        pass
    assert {path.name: path.read_bytes() for path in copied.path.rglob("*") if path.is_file()} == before
    assert mpclean.open_release(copied.path).verify() == []
    assert [path.name for path in copied.path.parent.iterdir()] == [copied.path.name]


def test_nothing_is_left_beside(new, tmp_path):
    out = tmp_path / "out"
    with staging_folder(out) as folder:
        new.rename(folder / "new")
        move_into_place(folder / "new", out, replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "file").read_text() == "new"


def test_what_came_meanwhile_is_kept(new, tmp_path):
    """An export or a report replaces nothing; a build only a release."""
    for place, replace in (("out", False), ("mine", True)):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "notes").write_text("mine")
        with pytest.raises(UserError, match="came to be while this command worked"):
            move_into_place(new, tmp_path / place, replace=replace)
        assert (tmp_path / place / "notes").read_text() == "mine"
    (tmp_path / "late").write_text("mine")
    with pytest.raises(UserError, match="came to be while this command worked"):
        staging._into_free_place(new, tmp_path / "late")
    assert (tmp_path / "late").read_text() == "mine"


@pytest.mark.parametrize("role", ["building", "lock"])
@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_others_put_beside_stays(tmp_path, role, kind):
    (tmp_path / "elsewhere").write_text("mine")
    taken = tmp_path / f".out.{role}"
    if kind == "folder":
        taken.mkdir()
        (taken / "notes").write_text("mine")
    elif kind == "file":
        taken.write_text("mine")
    else:
        taken.symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(UserError, match="in the way, and not made by this program"),
        staging_folder(tmp_path / "out"),
    ):
        pass
    assert (tmp_path / "elsewhere").read_text() == "mine"
    assert (taken / "notes" if kind == "folder" else taken).read_text() == "mine"


def test_a_folder_of_a_killed_command_goes(tmp_path):
    (tmp_path / ".out.building").mkdir()
    (tmp_path / ".out.building" / ".mpclean").touch()
    (tmp_path / ".out.building" / "half").touch()
    with staging_folder(tmp_path / "out") as folder:
        assert [path.name for path in folder.iterdir()] == [".mpclean"]
    assert list(tmp_path.iterdir()) == []


def test_two_at_once(tmp_path):
    with (
        staging_folder(tmp_path / "out"),
        pytest.raises(UserError, match="another command is writing it"),
        staging_folder(tmp_path / "out"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_release_behind_a_link_stays_there(copied, tmp_path):
    link = tmp_path / "here" / "link"
    link.parent.mkdir()
    link.symlink_to(copied.path)
    with amended(link) as amendment:
        amendment.manifest = amendment.manifest.changed(name="mine")
    assert link.is_symlink()
    assert mpclean.open_release(copied.path).manifest.name == "mine"
    assert list(link.parent.iterdir()) == [link]


def test_a_persons_file_in_a_release_is_not_replaced(copied):
    require_free(copied.path, force=True)
    (copied.path / "source.jsonl").write_text("mine")
    with pytest.raises(UserError, match=r"no part of the release \(source.jsonl\)"):
        require_free(copied.path, force=True)
