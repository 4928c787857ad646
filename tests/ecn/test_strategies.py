"""Training and evaluation on a split that was added to a release."""

import csv
import io
import json
import shutil
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner

import mpclean
from ecn.cli import main
from ecn.runs import checkpoint
from mpclean import build, open_release
from mpclean.sources.demo import documents
from mpclean.splits import STRATEGIES
from mpclean.vocabulary.schema import PARTS


def call(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A release with its own split and three folds of other rows; not to be changed."""
    out = tmp_path_factory.mktemp("releases") / "demo"
    source = out.with_suffix(".jsonl")  # with ids that count up
    lines = [json.dumps(d | {"material_id": f"mp-{k}"}) for k, d in enumerate(islice(documents(), 60))]
    source.write_text("\n".join(lines))
    build(source=source, out=out, workers=1)
    mpclean.split(out, "k-fold", "fold", folds=3)
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
    n = {s: labelled(release.table(s, split="fold-2")) for s in ("train", "validation", "test")}
    assert (config["n_train"], config["n_validation"]) == (n["train"], n["validation"])
    assert n["test"] != labelled(release.table("test"))
    assert config["release"]["split"] == "fold-2"
    assert config["release"]["split_sha256"] == release.manifest.files["splits/fold-2.parquet"].sha256
    evaluated = call("evaluate", run, "--json")
    assert json.loads(evaluated.stdout.splitlines()[-1])["n"] == n["test"]
    assert "not the release" not in evaluated.stderr


def test_the_test_rows_that_are_predicted_are_those_of_the_runs_split(folder, run):
    """Those of another split may be rows that it was trained on."""
    test = open_release(folder).table("test", split="fold-2")["material_id"].to_pylist()
    done = call("predict", run, folder, "--part", "test")
    assert {row["material_id"] for row in csv.DictReader(io.StringIO(done.stdout))} == set(test)


def test_models_of_different_splits_have_no_test_rows_in_common(folder, run, tmp_path):
    other = tmp_path / "other"
    call("fit", folder, "--preset", "fast", "--epochs", 1, "--out", other)
    done = call("predict", run, folder, "--with", other, "--part", "test")
    assert done.exit_code == 2
    assert "trained on different splits (fold-2, that of the build): predict without --part" in done.stderr
    assert call("predict", run, folder, "--with", other).stdout


@pytest.fixture(scope="module")
def split_every_way(built, tmp_path_factory):
    """A release with a split of every strategy."""
    path = Path(shutil.copytree(built, tmp_path_factory.mktemp("every") / "release"))
    lists = path.parent / "lists.csv"
    ids = open_release(path).table(columns=["material_id"])["material_id"].to_pylist()
    lists.write_text("material_id,split\n" + "".join(f"{i},{PARTS[k % 3]}\n" for k, i in enumerate(ids)))
    given = {"leave-element-out": {"element": "O"}, "time": {"by": "id"}, "published": {"lists": lists}}
    for strategy in STRATEGIES:
        mpclean.split(path, strategy, f"by-{strategy}", workers=1, **given.get(strategy, {}))
    return open_release(path)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_splits_of_every_strategy_are_trained_on(split_every_way, tmp_path, strategy):
    release = split_every_way
    name = next(name for name in release.splits if name.startswith(f"by-{strategy}"))
    done = call(
        "fit", release.path, "--preset", "fast", "--epochs", 1, "--split", name, "--out", tmp_path / "run"
    )
    assert done.exit_code == 0, done.output
    config = json.loads((tmp_path / "run" / checkpoint.CONFIG).read_text())
    assert config["release"]["split"] == name
    assert config["n_train"] == labelled(release.table("train", split=name)) > 0


def test_a_replaced_split_is_said_to_be_another(folder, run):
    """The content hash does not cover it, and rows of its test may be those that were trained on."""
    before = open_release(folder).content_hash
    mpclean.split(folder, "k-fold", "fold", folds=3, seed=1, force=True)
    assert open_release(folder).content_hash == before
    assert "is not the one that the run was trained on" in call("evaluate", run).stderr


def test_a_split_that_is_not_there(folder, tmp_path):
    done = call("fit", folder, "--split", "fold-4", "--out", tmp_path / "other")
    assert done.exit_code == 2
    assert done.stderr.startswith(
        f"Error: {folder}: unknown split 'fold-4'; did you mean 'fold-3'? Known: random, fold-1"
    )
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "other").exists()
