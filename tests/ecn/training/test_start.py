"""What `ecn fit` chooses by itself: settings by the data, ensembles for few rows, trained starts."""

import json
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import ecn
from ecn.cli import main
from ecn.data.rows import find_rows, open_release
from ecn.runs import checkpoint
from ecn.runs.ensemble import ENSEMBLE, load_members, member_folders
from ecn.targets.goal import Goal
from ecn.training.folds import fold_rows
from ecn.training.state import STATE
from mpclean.errors import UserError

#: A network that trains in a moment.
SMALL = {"width": 8, "n_layers": 1, "epochs": 2}


@pytest.fixture(scope="module")
def ensemble(release, tmp_path_factory):
    return ecn.fit(release, folds=3, out=tmp_path_factory.mktemp("ensemble") / "run", **SMALL)


def test_few_rows_are_an_ensemble_over_folds_by_default(release, tmp_path, capsys):
    run = ecn.fit(release, out=tmp_path / "run", **SMALL)
    assert len(member_folders(run.path)) == 5
    said = capsys.readouterr().err
    assert "72 labelled crystals: an ensemble of 5" in said
    assert "cross-validation over 5 folds: MAE (eV/atom)" in said
    assert "training crystals are few" in said
    assert json.loads((run.path / "member-1" / "config.json").read_text())["preset"] == "best"


def test_a_preset_or_one_fold_is_a_single_run(release, tmp_path):
    run = ecn.fit(release, folds=1, out=tmp_path / "run", **SMALL)
    assert member_folders(run.path) == [run.path]


def test_members_hold_back_every_row_once(release):
    opened = open_release(release)
    goal = Goal.named("formation_energy", opened)
    parts = [find_rows(opened, part, goal.tasks) for part in ("train", "validation")]
    ids = sorted(np.concatenate([part.read().material_ids for part in parts]))
    held_back = []
    for fold in (1, 2, 3):
        train, validation = fold_rows(*parts, fold, 3, seed=0)
        ours = [rows.read() for rows in (train, validation)]
        assert sorted([*ours[0].material_ids, *ours[1].material_ids]) == ids
        held_back += ours[1].material_ids
        known = dict(zip(parts[0].read().material_ids, parts[0].read().labels, strict=True))
        for name, label in zip(ours[0].material_ids, ours[0].labels, strict=True):
            assert known.get(name, label) == label
    assert sorted(held_back) == ids


def test_too_many_folds_are_refused_and_leave_nothing(release, tmp_path):
    with pytest.raises(UserError, match="--folds 60: 72 labelled rows are too few"):
        ecn.fit(release, folds=60, out=tmp_path / "run", **SMALL)
    assert not (tmp_path / "run").exists()


def test_an_ensemble_predicts_its_mean_with_a_standard_deviation(ensemble, release):
    (evaluation,) = ensemble.evaluate()
    rows = evaluation.to_pandas()
    assert (rows.standard_deviation > 0).all()
    alone = [ecn.evaluate(folder)[0].to_pandas().prediction for folder in member_folders(ensemble.path)]
    np.testing.assert_allclose(rows.prediction, np.mean(alone, axis=0), atol=1e-6)
    np.testing.assert_allclose(rows.standard_deviation, np.std(alone, axis=0, ddof=1), atol=1e-6)
    assert "ensemble of 3 ecn" in repr(ensemble)
    with pytest.raises(UserError, match="only the part test is held out"):
        ensemble.evaluate(part="validation")


def test_an_ensemble_that_was_killed_is_resumed(ensemble, tmp_path):
    copy = shutil.copytree(ensemble.path, tmp_path / "copy")
    shutil.rmtree(copy / "member-3")
    done = CliRunner().invoke(main, ["fit", "--resume", str(copy), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    for ours, theirs in zip(load_members(copy), load_members(ensemble.path), strict=True):
        assert ours.digest == theirs.digest
    with pytest.raises(SystemExit):
        main(["fit", "--resume", str(copy)])


def test_a_damaged_ensemble_is_one_line(ensemble, tmp_path):
    copy = shutil.copytree(ensemble.path, tmp_path / "copy")
    (copy / ENSEMBLE).write_text('{"members": ["../elsewhere"], "plan": {}}')
    with pytest.raises(UserError, match="damaged; train the ensemble again"):
        ecn.load(copy)


def test_a_trained_start_is_the_weights_of_the_other_run(run, release, tmp_path):
    start = checkpoint.load(run)
    again = ecn.fit(
        release, start=run, folds=1, epochs=1, learning_rate=1e-12, weight_decay=0.0, out=tmp_path / "run"
    )
    found = checkpoint.load(again.path)
    assert found.config.start == {"name": str(run), "checkpoint_hash": start.digest}
    for (name, ours), theirs in zip(found.model.named_parameters(), start.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_a_trained_start_decides_on_the_model(run, release, tmp_path):
    with pytest.raises(UserError, match="is a 'ecn' model; use --model ecn"):
        ecn.fit(release, start=run, model="cgcnn", out=tmp_path / "a")
    with pytest.raises(UserError, match="its model has width = 64, not 8; options follow from the weights"):
        ecn.fit(release, start=run, width=8, out=tmp_path / "b")
    with pytest.raises(
        UserError, match="unknown reference model 'formation'; did you mean 'formation-energy'"
    ):
        ecn.fit(release, start="formation", out=tmp_path / "c")


def test_a_snapshot_is_pointed_to_the_build(tmp_path):
    snapshot = tmp_path / "records.parquet"
    snapshot.touch()
    with pytest.raises(
        UserError, match=r"build one first: mpclean build --source .*records\.parquet --out rel"
    ):
        ecn.fit(snapshot)


def test_the_command_says_its_threads_and_when_it_will_end(release, tmp_path, monkeypatch):
    from ecn.training import loop

    monkeypatch.setattr(loop, "_ESTIMATE_AFTER", 0.0)
    before = torch.get_num_threads()
    arguments = ["fit", str(release), "--preset", "fast", "--epochs", "2", "--device", "cpu"]
    done = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "run")])
    assert "device: cpu, 1 of" in done.stderr
    assert done.stderr.count("to the end of the last epoch, at ") == 1
    assert "left\n" in done.stderr
    assert torch.get_num_threads() == before
    assert not (tmp_path / "run" / STATE).exists()


def test_without_torch_every_command_is_one_line(release, run, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.split(".")[0] in ("ecn", "torch")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    import ecn as fresh
    from ecn.cli import main as command

    line = "torch is not installed; networks need the extra ecn: pip install 'mpclean[ecn]'"
    for arguments in (["fit", release], ["evaluate", run], ["predict", run, release], ["export", run, "x"]):
        done = CliRunner().invoke(command, [str(argument) for argument in arguments])
        assert (done.exit_code, done.stderr) == (2, f"Error: {line}\n")
    with pytest.raises(Exception, match="torch is not installed; networks need the extra ecn"):
        fresh.load("formation-energy")
