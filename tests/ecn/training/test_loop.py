"""The loop: schedules, seeds, interruption, time."""

import dataclasses
import itertools
import time

import pytest
import torch

from ecn.models.ecn import ECNConfig
from ecn.runs import checkpoint
from ecn.training.loop import Loop
from ecn.training.presets import PRESETS
from ecn.training.schedule import Schedule
from mpclean.errors import UserError


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


def test_equal_seeds_give_equal_runs_and_others_do_not(fit, release, tmp_path, history):
    runs = [tmp_path / name for name in "abc"]
    for run, seed in zip(runs, (1, 1, 2), strict=True):
        fit(release, run, seed=seed)
    digests = [checkpoint.load(run).digest for run in runs]
    assert digests[0] == digests[1] != digests[2]
    scores = [[row["validation_score"] for row in history(run)] for run in runs]
    assert scores[0] == scores[1] != scores[2]


def test_parts_of_a_batch_add_up_to_its_gradient(fit, release, tmp_path, history):
    fit(release, tmp_path / "whole")
    fit(release, tmp_path / "parts", max_edges=50)
    for a, b in zip(history(tmp_path / "whole"), history(tmp_path / "parts"), strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-4)
        assert a["validation_score"] == pytest.approx(b["validation_score"], rel=1e-3)


def test_the_best_epoch_is_the_one_that_is_kept(fit, release, tmp_path, monkeypatch):
    scores = iter([3.0, 1.0, 2.0])
    saved = []
    monkeypatch.setattr(checkpoint, "save_weights", lambda run, model, epoch, score: saved.append(epoch))
    monkeypatch.setattr("ecn.targets.tasks.Task.score", lambda *_: next(scores))
    fitted = fit(release, tmp_path / "run")
    assert saved == [1, 2]
    assert fitted.best.epoch == 2


def test_a_plateau_halves_the_learning_rate_and_ends_the_training(
    fit, release, tmp_path, monkeypatch, history
):
    monkeypatch.setattr("ecn.targets.tasks.Task.score", lambda *_: 1.0)
    fit(release, tmp_path / "run", epochs=100, plateau_patience=2, min_learning_rate=3e-4)
    assert [row["learning_rate"] for row in history(tmp_path / "run")] == [1e-3] * 4 + [5e-4] * 3


def test_a_cosine_ends_at_zero(fit, release, tmp_path, history):
    fit(release, tmp_path / "run", schedule="cosine", epochs=4)
    rates = [row["learning_rate"] for row in history(tmp_path / "run")]
    assert all(a > b for a, b in itertools.pairwise(rates))
    assert 0 < rates[-1] < 0.02 * 1e-3


@pytest.mark.parametrize("minutes", [2.0, 2.5, 3.0])
def test_time_ends_a_training(fit, release, tmp_path, monkeypatch, history, minutes):
    clock = itertools.count(step=10.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    fit(release, tmp_path / "run", epochs=1000, time_limit=minutes)
    assert 0 < len(history(tmp_path / "run")) < 8
    # Time that ends between two epochs makes no epoch without a step.
    assert all(row["train_loss"] > 0 for row in history(tmp_path / "run"))
    assert checkpoint.load(tmp_path / "run").epoch >= 1


def test_standardised_targets_are_predicted_in_their_unit(fit, release, tmp_path):
    fit(release, tmp_path / "run", standardise=True)
    saved = checkpoint.load(tmp_path / "run")
    (target,) = saved.goal.targets
    assert target.shift == pytest.approx(target.train_mean)
    assert target.scale > 0
    assert saved.predict(torch.tensor([[0.0], [1.0]]))[:, 0].tolist() == pytest.approx(
        [target.shift, target.shift + target.scale]
    )


def test_an_interrupted_training_keeps_its_best_epoch(fit, release, tmp_path, interrupt, capsys):
    interrupt(step=10)
    fitted = fit(release, tmp_path / "run")
    assert fitted.interrupted
    assert checkpoint.load(tmp_path / "run").epoch == fitted.best.epoch == 2
    assert "stopped by the user: best epoch 2" in capsys.readouterr().err


def test_a_loss_that_diverges_is_named_and_leaves_nothing(fit, release, tmp_path):
    with pytest.raises(UserError, match="the loss is not finite any more; lower the learning rate"):
        fit(release, tmp_path / "run", learning_rate=1e30)
    assert not (tmp_path / "run").exists()


def test_a_loss_that_diverges_later_leaves_the_best(fit, release, tmp_path, monkeypatch):
    scores = iter([3.0, float("nan")])
    monkeypatch.setattr("ecn.targets.tasks.Task.score", lambda *_: next(scores))
    with pytest.raises(UserError, match=r"^epoch 2: .* lower the learning rate .*\(epoch 1, the best so far"):
        fit(release, tmp_path / "run")
    assert checkpoint.load(tmp_path / "run").epoch == 1


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
    ],
)
def test_a_batch_beyond_the_memory_is_named_with_the_way_out(fit, release, tmp_path, monkeypatch, error):
    def forward(*_):
        raise error

    monkeypatch.setattr("ecn.models.ecn.ECN.forward", forward)
    with pytest.raises(UserError, match=r"not enough memory on cpu; a pass has 8,000 edges: .* --max-edges"):
        fit(release, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_passes_of_one_edge_have_one_crystal(fit, release, tmp_path):
    options = {"symmetry_breaking": True}
    fit(release, tmp_path / "one", options=options, epochs=1, max_edges=1, precision="64-true")
    fit(release, tmp_path / "many", options=options, epochs=1, precision="64-true")
    one, many = (checkpoint.load(tmp_path / name).model.state_dict() for name in ("one", "many"))
    for name, tensor in many.items():
        torch.testing.assert_close(one[name], tensor)


def test_a_release_without_validation_rows_is_named(fit, make_release, rows, tmp_path):
    folder = make_release(train=rows["train"], test=rows["test"])
    with pytest.raises(UserError, match="no rows in the part 'validation'; build it from more records"):
        fit(folder, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_that_are_no_numbers_are_named_with_the_way_out(fit, make_release, rows, tmp_path):
    rows["train"][3]["formation_energy_per_atom"] = float("nan")
    with pytest.raises(UserError, match=r"first test-3\); mend the source, or leave them out of it"):
        fit(make_release(**rows), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_cannot_be_made_is_named(fit, release, tmp_path):
    (tmp_path / "nacl.cif").touch()
    with pytest.raises(UserError, match="run: cannot be created"):
        fit(release, tmp_path / "nacl.cif" / "run")


def test_a_run_is_never_overwritten(fit, release, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="exists already"):
        fit(release, tmp_path / "run")


def test_batches_are_filled_up_to_a_number_of_bonds(fit, release, tmp_path, monkeypatch):
    sizes = []
    step = Loop._step
    monkeypatch.setattr(
        Loop,
        "_step",
        lambda self, data, index, rate: (sizes.append(len(index)), step(self, data, index, rate)),
    )
    work = 4  # a rock salt: two atoms, and six equal bonds each way that count as one
    fit(release, tmp_path / "run", epochs=1, batch_edges=10 * work + 3)
    assert sizes == [10] * 5 + [4]


def test_a_warm_up_rises_linearly_to_the_schedule(short):
    settings = dataclasses.replace(short, warmup_epochs=2.0)
    assert Schedule(settings).rate(0.0, epochs=0.5) == pytest.approx(0.25e-3)
    assert Schedule(settings).rate(0.5, epochs=2.5) == pytest.approx(1e-3)
    cosine = Schedule(dataclasses.replace(settings, schedule="cosine"))
    assert cosine.rate(0.5, epochs=1.0) == pytest.approx(0.25e-3)


def test_an_average_of_the_weights_is_what_is_kept(fit, release, tmp_path, monkeypatch):
    states = []
    update = Loop._step

    def step(self, *arguments):
        states.append({name: w.clone() for name, w in self.network.state_dict().items()})
        update(self, *arguments)
        states.append({name: w.clone() for name, w in self.network.state_dict().items()})

    monkeypatch.setattr(Loop, "_step", step)
    fit(release, tmp_path / "run", epochs=2, batch_size=100, average_decay=0.75)
    # The average begins with the weights of the first step.
    kept = checkpoint.load(tmp_path / "run")
    assert kept.epoch == 2
    decay = 2 / 11  # of the second step; 0.75 is for later
    expected = {n: decay * states[1][n] + (1 - decay) * states[3][n] for n in states[0]}
    for name, weight in kept.model.state_dict().items():
        torch.testing.assert_close(weight, expected[name])


def test_clipped_gradients_are_no_longer_than_asked(fit, release, tmp_path, monkeypatch):
    norms = []
    optimizer_step = torch.optim.AdamW.step

    def step(self, *arguments, **more):
        norms.append(
            torch.stack([p.grad.norm() for group in self.param_groups for p in group["params"]]).norm()
        )
        return optimizer_step(self, *arguments, **more)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    fit(release, tmp_path / "run", clip_norm=1e-3)
    assert max(norms) <= 1.0001e-3


@pytest.mark.parametrize("loss", ["mse", "l1", "huber"])
def test_every_loss_learns(fit, release, tmp_path, loss, history):
    fit(release, tmp_path / "run", epochs=20, learning_rate=1e-2, standardise=True, loss=loss)
    scores = [row["validation_score"] for row in history(tmp_path / "run")]
    assert min(scores) < 0.3 * scores[0]


def test_half_precision_gives_nearly_the_same(fit, release, tmp_path, history):
    for precision in ("32-true", "bf16-mixed", "64-true"):
        fit(release, tmp_path / precision, precision=precision)
    single, half, double = (history(tmp_path / name) for name in ("32-true", "bf16-mixed", "64-true"))
    for a, b, c in zip(single, half, double, strict=True):
        assert a["train_loss"] == pytest.approx(c["train_loss"], rel=1e-3)
        assert a["train_loss"] != b["train_loss"] == pytest.approx(c["train_loss"], rel=0.05)
    assert checkpoint.load(tmp_path / "64-true").model.site.weight.dtype == torch.float32


def test_one_row_is_too_few(fit, release, tmp_path):
    with pytest.raises(UserError, match="1 training rows"):
        fit(release, tmp_path / "run", limit=1)


def test_an_unknown_device_is_named(fit, release, tmp_path):
    with pytest.raises(UserError, match="--device abacus: unknown device; use --device cpu"):
        fit(release, tmp_path / "run", device="abacus")


def test_a_class_is_learned_with_cross_entropy(fit, release, tmp_path, history):
    fit(release, tmp_path / "run", epochs=20, learning_rate=1e-2, standardise=True, target="is_metal")
    (target,) = checkpoint.load(tmp_path / "run").goal.targets
    assert (target.shift, target.scale) == (0.0, 1.0)
    assert history(tmp_path / "run")[-1]["validation_score"] < 0.5
