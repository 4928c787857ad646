"""The loop: schedules, seeds, interruption, time."""

import csv
import dataclasses
import itertools

import pytest
import torch

from ecn import checkpoint, training
from ecn.errors import UserError
from ecn.models.ecn import ECNConfig
from ecn.presets import PRESETS

SHORT = dataclasses.replace(
    PRESETS["paper"],
    options={"ecn": {"width": 8, "n_layers": 1, "symmetry_breaking": False}},
    epochs=3,
    batch_size=16,
)


def fit(release, run, preset=SHORT, **changes):
    arguments = {
        "target": "formation_energy",
        "model": "ecn",
        "options": {},
        "preset_name": "paper",
        "preset": preset,
        "seed": 0,
        "device": "cpu",
    }
    return training.fit(release, run, **(arguments | changes))


def history(run):
    with (run / checkpoint.METRICS).open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def test_the_paper_preset_is_the_table_of_the_paper():
    paper, published = PRESETS["paper"], ECNConfig()
    assert paper.options == {}
    assert (paper.learning_rate, paper.weight_decay, paper.batch_size, paper.epochs) == (
        1e-3,
        1e-15,
        128,
        1000,
    )
    assert (paper.schedule, paper.plateau_factor, paper.plateau_patience) == ("plateau", 0.5, 25)
    assert paper.min_learning_rate == 1e-6
    assert not paper.standardise
    assert (published.width, published.n_layers, published.group) == (100, 6, "S8")
    assert (published.symmetry_breaking, published.side, published.pooling) == (True, 2, "mean")
    assert (published.n_centres, published.basis_stop, published.basis_width) == (20, 6.0, 0.6)


def test_equal_seeds_give_equal_runs_and_others_do_not(release, tmp_path):
    runs = [tmp_path / name for name in "abc"]
    for run, seed in zip(runs, (1, 1, 2), strict=True):
        fit(release, run, seed=seed)
    digests = [checkpoint.load(run).digest for run in runs]
    assert digests[0] == digests[1] != digests[2]
    scores = [[row["validation_score"] for row in history(run)] for run in runs]
    assert scores[0] == scores[1] != scores[2]


def test_parts_of_a_batch_add_up_to_its_gradient(release, tmp_path, monkeypatch):
    fit(release, tmp_path / "whole")
    monkeypatch.setattr(training, "max_edges", lambda model, device: 50)
    fit(release, tmp_path / "parts")
    for a, b in zip(history(tmp_path / "whole"), history(tmp_path / "parts"), strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-4)
        assert a["validation_score"] == pytest.approx(b["validation_score"], rel=1e-3)


def test_the_best_epoch_is_the_one_that_is_kept(release, tmp_path, monkeypatch):
    scores = iter([3.0, 1.0, 2.0])
    saved = []
    monkeypatch.setattr(
        training.checkpoint, "save_weights", lambda run, model, epoch, score: saved.append(epoch)
    )
    monkeypatch.setattr("ecn.tasks.Task.score", lambda *_: next(scores))
    fitted = fit(release, tmp_path / "run")
    assert saved == [1, 2]
    assert fitted.best.epoch == 2


def test_a_plateau_halves_the_learning_rate_and_ends_the_training(release, tmp_path, monkeypatch):
    monkeypatch.setattr("ecn.tasks.Task.score", lambda *_: 1.0)
    patient = dataclasses.replace(SHORT, epochs=100, plateau_patience=2, min_learning_rate=3e-4)
    fit(release, tmp_path / "run", patient)
    assert [row["learning_rate"] for row in history(tmp_path / "run")] == [1e-3] * 4 + [5e-4] * 3


def test_a_cosine_ends_at_zero(release, tmp_path):
    fit(release, tmp_path / "run", dataclasses.replace(SHORT, schedule="cosine", epochs=4))
    rates = [row["learning_rate"] for row in history(tmp_path / "run")]
    assert all(a > b for a, b in itertools.pairwise(rates))
    assert 0 < rates[-1] < 0.02 * 1e-3


def test_time_ends_a_training(release, tmp_path, monkeypatch):
    clock = itertools.count(step=10.0)
    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))
    fit(release, tmp_path / "run", dataclasses.replace(SHORT, epochs=1000), time_limit=2.0)
    assert len(history(tmp_path / "run")) < 5
    assert checkpoint.load(tmp_path / "run").epoch >= 1


def test_standardised_targets_are_predicted_in_their_unit(release, tmp_path):
    fit(release, tmp_path / "run", dataclasses.replace(SHORT, standardise=True))
    config = checkpoint.load(tmp_path / "run").config
    assert config.shift == pytest.approx(config.train_mean)
    assert config.scale > 0
    output = torch.tensor([0.0, 1.0])
    assert checkpoint.load(tmp_path / "run").predict(output).tolist() == pytest.approx(
        [config.shift, config.shift + config.scale]
    )


def _interrupted_after(n):
    def stopping(epochs):
        yield from itertools.islice(epochs, n)
        raise KeyboardInterrupt

    return stopping


def test_an_interrupted_training_keeps_its_best_epoch(release, tmp_path, monkeypatch, capsys):
    epochs = training._Loop.epochs
    monkeypatch.setattr(
        training._Loop, "epochs", lambda self, seed: _interrupted_after(2)(epochs(self, seed))
    )
    fitted = fit(release, tmp_path / "run")
    assert fitted.interrupted
    assert checkpoint.load(tmp_path / "run").epoch == fitted.best.epoch
    assert f"stopped by the user: best epoch {fitted.best.epoch}" in capsys.readouterr().err


def test_a_training_stopped_in_its_first_epoch_leaves_nothing(release, tmp_path, monkeypatch):
    monkeypatch.setattr(training._Loop, "epochs", lambda self, seed: _interrupted_after(0)(iter(())))
    with pytest.raises(UserError, match="nothing to keep"):
        fit(release, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_diverges_is_named_and_leaves_nothing(release, tmp_path):
    with pytest.raises(UserError, match="no finite number any more; lower the learning rate"):
        fit(release, tmp_path / "run", dataclasses.replace(SHORT, learning_rate=1e30))
    assert not (tmp_path / "run").exists()


def test_a_run_that_cannot_be_made_is_named(release, tmp_path):
    (tmp_path / "nacl.cif").touch()
    with pytest.raises(UserError, match="run: cannot be made"):
        fit(release, tmp_path / "nacl.cif" / "run")


def test_a_run_is_never_overwritten(release, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="exists already"):
        fit(release, tmp_path / "run")


def test_one_row_is_too_few(release, tmp_path):
    with pytest.raises(UserError, match="1 training rows"):
        fit(release, tmp_path / "run", limit=1)


def test_an_unknown_device_is_named(release, tmp_path):
    with pytest.raises(UserError, match="device 'abacus'"):
        fit(release, tmp_path / "run", device="abacus")


def test_a_class_is_learned_with_cross_entropy(release, tmp_path):
    quick = dataclasses.replace(SHORT, epochs=20, learning_rate=1e-2, standardise=True)
    fit(release, tmp_path / "run", quick, target="is_metal")
    config = checkpoint.load(tmp_path / "run").config
    assert (config.shift, config.scale) == (0.0, 1.0)
    assert history(tmp_path / "run")[-1]["validation_score"] < 0.5
