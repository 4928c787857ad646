"""Every command that writes ends in one line where it cannot, names the place, and loses nothing."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from mpclean.cli import main
from mpclean.inspection.report import SECTIONS

#: Commands that make something new; ``{out}`` is the place.
NEW = {
    "build": ["build", "--source", "{source}", "--workers", "1", "--out", "{out}"],
    "report": ["report", "{release}", "--workers", "1", "--out", "{out}"],
    "export cif": ["export", "{release}", "--format", "cif", "--out", "{out}"],
    "export jsonl": ["export", "{release}", "--format", "jsonl", "--out", "{out}.jsonl"],
    "export extxyz": ["export", "{release}", "--format", "extxyz", "--out", "{out}.extxyz"],
    "export ase-db": ["export", "{release}", "--format", "ase-db", "--out", "{out}.db"],
    "export matbench": [
        *("export", "{release}", "--format", "matbench", "--target", "band_gap", "--out", "{out}.json.gz"),
    ],
    "export cgcnn": ["export", "{release}", "--format", "cgcnn", "--target", "band_gap", "--out", "{out}"],
}  # fmt: skip

#: Commands that change a release.
CHANGES = {
    "split": ["split", "{release}", "--strategy", "formula", "--workers", "1"],
    "bump": ["bump", "{release}", "minor"],
    "report": ["report", "{release}", "--workers", "1"],
}

#: Places where nobody can write, whoever asks, and why.
PLACES = {
    "/proc/nope/x": ("/proc/nope", "No such file or directory"),
    "/proc/x": ("/proc/x", "No such file or directory"),
    "/sys/x": ("/sys/x", "Permission denied"),
    "{tmp}/file/x": ("{tmp}/file", "Not a directory"),
    "{tmp}/" + 300 * "x": ("{tmp}/xxx", "File name too long"),
}


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture(autouse=True)
def short_report(monkeypatch):
    """A report of one section: they are written in the same way."""
    monkeypatch.setattr("mpclean.inspection.report.SECTIONS", SECTIONS[:1])


def run(words, **places):
    return CliRunner().invoke(main, [word.format(**places) for word in words])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", NEW)
def test_a_place_where_nobody_can_write(command, place, small_release, snapshot, tmp_path):
    if place.startswith(("/proc", "/sys")) and not Path("/proc").exists():
        pytest.skip("not Linux")
    (tmp_path / "file").write_text("mine")
    before = contents(tmp_path)
    out = place.format(tmp=tmp_path)
    done = run(NEW[command], out=out, source=snapshot, release=small_release.path)
    named, cause = PLACES[place]
    assert done.exit_code == 2, done.output
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"Error: {named.format(tmp=tmp_path)}")
    assert cause in done.stderr
    assert contents(tmp_path) == before


@pytest.mark.parametrize("command", NEW)
def test_a_full_disk_and_something_new(command, small_release, snapshot, no_file_larger_than, tmp_path):
    out = tmp_path / "new"
    with no_file_larger_than(600):
        done = run(NEW[command], out=out, source=snapshot, release=small_release.path)
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith(f"Error: {out}"), done.stderr
    # SQLite keeps the number that the system gave to itself.
    said = "disk I/O error" if "ase-db" in command else "File too large; what was saved before is whole"
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name != ".new.unfinished"] == []
    assert run(NEW[command], out=out, source=snapshot, release=small_release.path).exit_code == 0


@pytest.mark.parametrize("command", CHANGES)
def test_a_full_disk_and_a_release(command, copied, no_file_larger_than, tmp_path):
    before = contents(tmp_path)
    with no_file_larger_than(600):
        done = run(CHANGES[command], release=copied.path)
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith(f"Error: {copied.path}: File too large"), done.stderr
    assert done.stderr.count("\n") == 1
    assert contents(tmp_path) == before
    assert run(CHANGES[command], release=copied.path).exit_code == 0
