"""A folder that is replaced is the old one or the new one, however the command that does it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mpclean
from mpclean.release import atomic as staging
from mpclean.release.atomic import move_into_place, staging_folder
from mpclean.release.update import amended


@pytest.fixture
def new(tmp_path):
    """A folder beside another one that it is to replace."""
    for name in ("new", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    return tmp_path / "new"


@pytest.fixture
def exchanges(tmp_path):
    """Skips where two folders cannot change places in one step."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    if not staging._exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this system, or this file system, cannot exchange two folders")


def test_the_place_is_never_empty(exchanges, new, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "rename", lambda *_: 1 / 0)
    move_into_place(new, tmp_path / "out")
    assert (tmp_path / "out" / "file").read_text() == "new"


@pytest.mark.parametrize("place", ["out", "free"])
def test_where_that_cannot_be_done(new, tmp_path, monkeypatch, place):
    monkeypatch.setattr(staging, "_exchange", lambda *_: False)
    move_into_place(new, tmp_path / place)
    assert (tmp_path / place / "file").read_text() == "new"
    assert not new.exists()


def test_a_place_that_is_not_there_is_not_exchanged(new, tmp_path):
    assert not staging._exchange(new, tmp_path / "nothing")
    assert (new / "file").read_text() == "new"


KILLED = """
import os, sys
from pathlib import Path
from mpclean.release import atomic as staging
from mpclean.release.update import amended
staging._exchange = lambda *_: False
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
        move_into_place(folder / "new", out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out / "file").read_text() == "new"
