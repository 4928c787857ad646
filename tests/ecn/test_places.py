"""Every command of ecn that writes ends in one line where it cannot, and keeps what was saved before."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from ecn.cli import main

_FIT = ["fit", "{release}", "--preset", "fast", "--epochs", "2", "--logger", "none", "--device", "cpu"]

#: Commands that write; ``{out}`` is the place.
COMMANDS = {
    "fit": [*_FIT, "--folds", "1", "--out", "{out}"],
    "fit of an ensemble": [*_FIT, "--folds", "2", "--out", "{out}"],
    "evaluate to CSV": ["evaluate", "{run}", "--table", "{out}.csv"],
    "evaluate to Parquet": ["evaluate", "{run}", "--table", "{out}.parquet"],
    "predict to CSV": ["predict", "{run}", "{release}", "--workers", "1", "--out", "{out}.csv"],
    "predict to JSON": ["predict", "{run}", "{release}", "--workers", "1", "--out", "{out}.json"],
    "predict to Parquet": ["predict", "{run}", "{release}", "--workers", "1", "--out", "{out}.parquet"],
    "export": ["export", "{run}", "{out}"],
    "patterns": ["patterns", "--lattice", "cF", "--figure", "{out}.png"],
    "benchmark": [
        *("benchmark", "{release}", "--models", "ecn:P1bar", "--seeds", "0", "--preset", "fast"),
        *("--epochs", "1", "--device", "cpu", "--out", "{out}"),
    ],
}

PLACES = {
    "/proc/nope/x": "No such file or directory",
    "/sys/x": "ermi",
    "{tmp}/file/x": "Not a directory",
    "{tmp}/" + 300 * "x": "File name too long",
}


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def copied(run, tmp_path_factory):
    """A run of its own, whose figures may be written."""
    return shutil.copytree(run, tmp_path_factory.mktemp("own") / "run")


@pytest.fixture
def invoke(copied, release):
    return lambda words, out: CliRunner().invoke(
        main, [word.format(out=out, run=copied, release=release) for word in words]
    )


def last(text):
    """The line of the error; what is said of the rows comes before it."""
    return text.splitlines()[-1]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_place_where_nobody_can_write(command, place, invoke, tmp_path):
    if place.startswith(("/proc", "/sys")) and not Path("/proc").exists():
        pytest.skip("not Linux")
    (tmp_path / "file").write_text("mine")
    before = contents(tmp_path)
    out = place.format(tmp=tmp_path)
    done = invoke(COMMANDS[command], out)
    assert done.exit_code == 2, (done.output, done.exception)
    assert last(done.stderr).startswith("Error: ")
    assert out.rpartition("/")[0] in last(done.stderr)
    assert PLACES[place] in last(done.stderr)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk(command, invoke, no_file_larger_than, tmp_path):
    with no_file_larger_than(100):
        done = invoke(COMMANDS[command], tmp_path / "new")
    assert done.exit_code == 2, (done.output, done.exception)
    assert "File too large" in last(done.stderr)
    assert "Traceback" not in done.output
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
