"""Training and evaluation on a split that was added to a release."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from ecn import checkpoint
from ecn.cli import main
from mpclean import build, open_release
from mpclean.splits.add import add_split


def call(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A release with its own split and three folds of other rows; not to be changed."""
    out = tmp_path_factory.mktemp("releases") / "demo"
    build(version="demo", limit=60, out=out, workers=1)
    add_split(out, "k-fold", "fold", folds=3)
    return out


@pytest.fixture
def folder(built, tmp_path):
    """The same, for a test to change."""
    return Path(shutil.copytree(built, tmp_path / "release"))


@pytest.fixture
def run(folder, tmp_path):
    """A run on the second fold."""
    out = tmp_path / "run"
    done = call("fit", folder, "--preset", "fast", "--epochs", 1, "--split", "fold-2", "--out", out)
    assert done.exit_code == 0, done.output
    return out


def labelled(table):
    return table.num_rows - table["formation_energy_per_atom"].null_count


def test_the_named_split_is_trained_on_and_evaluated(folder, run):
    release = open_release(folder)
    config = json.loads((run / checkpoint.CONFIG).read_text())
    n = {s: labelled(release.table(s, strategy="fold-2")) for s in ("train", "validation", "test")}
    assert (config["n_train"], config["n_validation"]) == (n["train"], n["validation"])
    assert n["test"] != labelled(release.table("test"))
    assert config["release"]["split"] == "fold-2"
    assert config["release"]["split_sha256"] == release.manifest["files"]["splits/fold-2.parquet"]["sha256"]
    evaluated = call("evaluate", run, "--json")
    assert json.loads(evaluated.stdout.splitlines()[-1])["n"] == n["test"]
    assert "not the release" not in evaluated.stderr


def test_a_replaced_split_is_said_to_be_another(folder, run):
    """The content hash does not cover it, and rows of its test may be those that were trained on."""
    before = open_release(folder).content_hash
    add_split(folder, "k-fold", "fold", folds=3, seed=1, force=True)
    assert open_release(folder).content_hash == before
    assert "not the release that the run was trained on, or not its split" in call("evaluate", run).stderr


def test_a_split_that_is_not_there(folder, tmp_path):
    done = call("fit", folder, "--split", "fold-4", "--out", tmp_path / "other")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"ecn: {folder}: no split 'fold-4'; it has random, fold-1, fold-2, fold-3")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "other").exists()
