"""A training that was killed or stopped and resumed is one that never was."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from ecn.inference.forward import OutOfMemoryError
from ecn.runs import checkpoint
from ecn.training.loop import Loop
from ecn.training.run import resume
from ecn.training.state import STATE, load_state, save_state
from mpclean.errors import UserError

pytestmark = pytest.mark.slow  # trainings are killed, and go on

#: Every kind of state: of the optimizer, the plateau, the average, the draws of dropout and of the order.
SETTINGS = {
    "precision": "64-true",
    "average_decay": 0.9,
    "warmup_epochs": 0.5,
    "clip_norm": 1.0,
    "plateau_patience": 0,
    "epochs": 4,
    "batch_size": 16,
}

#: Begins a training in a process of its own for every moment, and kills it there with SIGKILL.
KILLED = """
import json, os, signal, sys
from dataclasses import replace
from pathlib import Path

import mpclean.release.atomic, ecn.runs.checkpoint, ecn.training.logs, ecn.training.loop, ecn.training.state
from ecn.training.presets import PRESETS
from ecn.training.run import Plan, fit

release, folder, settings, moments = sys.argv[1], Path(sys.argv[2]), *map(json.loads, sys.argv[3:])
preset = replace(PRESETS["paper"], **settings, options={"ecn": json.loads(OPTIONS)})
replace_file, step = mpclean.release.atomic.replace_file, ecn.training.loop.Loop._step
counts = {}

def at(moment):
    counts[moment] = counts.get(moment, 0) + 1
    return moment == what and counts[moment] == number

def killed_step(self, *arguments):
    if at("step"):
        os.kill(os.getpid(), signal.SIGKILL)
    step(self, *arguments)

def killed_write(path, write):
    if at(f"before {path.name}"):
        os.kill(os.getpid(), signal.SIGKILL)
    if at(f"within {path.name}"):
        partial = path.with_name(path.name + ".partial")
        write(partial)
        partial.write_bytes(partial.read_bytes()[: partial.stat().st_size // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    replace_file(path, write)

for what, number, save_every in moments:
    if os.fork() == 0:
        ecn.training.loop.Loop._step = killed_step
        for module in (ecn.runs.checkpoint, ecn.training.logs, ecn.training.state):
            module.replace_file = killed_write
        ecn.training.loop._SAVE_EVERY = save_every
        run = folder / f"{what} {number}"
        plan = Plan(target="formation_energy", options={}, preset_name="x", preset=preset, seed=3)
        fit(Path(release), run, plan, device="cpu")
        os._exit(0)
    _, status = os.wait()
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, (what, number, status)
"""

#: What is under way, how often it was before, and seconds between states within an epoch.
MOMENTS = [
    ("before state.safetensors", 1, 300.0),  # before there is any state
    ("before metrics.csv", 1, 300.0),  # before the first step
    ("before state.safetensors", 2, 300.0),  # weights of the first epoch whose state is not there yet
    ("step", 3, 300.0),  # in the first epoch
    ("step", 7, 0.0),  # in the second one, with a state of every step
    ("within state.safetensors", 3, 300.0),
    ("within model.safetensors", 2, 300.0),
    ("before state.safetensors", 4, 300.0),  # a better epoch whose state is not there yet
    ("before metrics.csv", 5, 300.0),  # at the very end
]

OPTIONS = {"width": 8, "n_layers": 1, "symmetry_breaking": False, "dropout": 0.2}


def content(run):
    """All that a run holds but for the seconds that it took."""
    lines = [line.rpartition(",")[0] for line in (run / checkpoint.METRICS).read_text().splitlines()]
    config = json.loads((run / checkpoint.CONFIG).read_text())
    kept = checkpoint.load(run)
    return lines, config | {"preset": ""}, kept.epoch, kept.digest


@pytest.mark.slow
def test_a_run_killed_at_any_moment_ends_as_one_that_never_was(fit, release, tmp_path):
    program = KILLED.replace("OPTIONS", repr(json.dumps(OPTIONS)))
    arguments = [release, tmp_path, json.dumps(SETTINGS), json.dumps(MOMENTS)]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)
    fit(release, tmp_path / "whole", seed=3, options=OPTIONS, **SETTINGS)
    whole = content(tmp_path / "whole")
    assert len(whole[0]) == 1 + SETTINGS["epochs"]
    for what, number, _ in MOMENTS:
        run = tmp_path / f"{what} {number}"
        resume(run, device="cpu")
        assert content(run) == whole, run.name
        assert sorted(p.name for p in run.iterdir()) == ["config.json", "metrics.csv", "model.safetensors"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_resumed_within_its_epoch(
    fit, release, tmp_path, interrupt, monkeypatch, number
):
    fit(release, tmp_path / "whole")
    with monkeypatch.context():
        interrupt(step=6, number=number)
        assert fit(release, tmp_path / "run").interrupted
        monkeypatch.undo()
    progress = load_state(tmp_path / "run" / STATE)["loop"]["progress"]
    assert (progress["epoch"], progress["batches"], progress["step"]) == (2, 2, 6)
    assert not resume(tmp_path / "run", device="cpu").interrupted
    assert content(tmp_path / "run") == content(tmp_path / "whole")


def test_a_run_stopped_in_its_first_epoch_is_resumed_too(fit, release, tmp_path, interrupt, capsys):
    interrupt(step=2)
    assert fit(release, tmp_path / "run").best is None
    assert f"resume with: ecn fit --resume {tmp_path / 'run'}" in capsys.readouterr().err
    with pytest.raises(UserError, match="ended before the first epoch did"):
        checkpoint.load(tmp_path / "run")
    assert resume(tmp_path / "run", device="cpu").best.epoch == 3


def test_the_time_already_spent_counts(fit, release, tmp_path, interrupt, monkeypatch, history):
    clock = iter(range(0, 10**6, 2))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    interrupt(step=10)
    fit(release, tmp_path / "run", epochs=1000, time_limit=5.0)
    spent = load_state(tmp_path / "run" / STATE)["loop"]["progress"]["seconds"]
    assert 0.0 < spent < 300.0
    resume(tmp_path / "run", device="cpu")
    assert 250.0 < sum(row["seconds"] for row in history(tmp_path / "run")) < 330.0


@pytest.fixture
def stopped(fit, release, tmp_path, interrupt, monkeypatch):
    with monkeypatch.context():
        interrupt(step=5)
        fit(release, tmp_path / "run")
        monkeypatch.undo()
    return tmp_path / "run"


def test_another_release_is_refused(stopped, make_release, rows):
    from mpclean.release.manifest import seal_values

    other = make_release(**rows)
    manifest = json.loads((other / "manifest.json").read_text()) | {"content_hash": "1" * 64}
    (other / "manifest.json").write_bytes(seal_values(manifest))
    with pytest.raises(
        UserError, match=r"not the release and split that .* was trained on \(content_hash differs\)"
    ):
        resume(stopped, device="cpu", release=other)


def test_a_release_that_was_moved_is_named(stopped, release, tmp_path):
    moved = shutil.copytree(release, tmp_path / "moved")
    assert resume(stopped, device="cpu", release=moved).best


def test_changed_settings_are_refused(stopped):
    path = stopped / checkpoint.CONFIG
    config = json.loads(path.read_text())
    config["training"]["learning_rate"] = 1.0
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"changed since the training began \(training\)"):
        resume(stopped, device="cpu")


def test_a_damaged_state_is_named(stopped):
    path = stopped / STATE
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"state.safetensors: damaged"):
        resume(stopped, device="cpu")


@pytest.mark.parametrize("place", [-1, 500])
def test_a_changed_byte_of_a_state_is_named(stopped, place):
    path = stopped / STATE
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"state.safetensors: damaged"):
        resume(stopped, device="cpu")


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("targets", [{}], "damaged, its targets cannot be read"),
        ("training", {"precision": 1}, "precision = 1"),
    ],
)
def test_damaged_settings_are_named(stopped, entry, value, message):
    path = stopped / checkpoint.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | {entry: value}))
    with pytest.raises(UserError, match=message):
        resume(stopped, device="cpu")


def test_a_state_of_another_network_is_named(stopped, fit, release, tmp_path, interrupt, monkeypatch):
    with monkeypatch.context():
        interrupt(step=5)
        fit(release, tmp_path / "other", options={"width": 4})
        monkeypatch.undo()
    state = load_state(stopped / STATE) | {"loop": load_state(tmp_path / "other" / STATE)["loop"]}
    save_state(stopped / STATE, state)
    with pytest.raises(UserError, match=r"state\.safetensors: written by another version of ecn \(Error"):
        resume(stopped, device="cpu")


def test_rows_beyond_the_memory_have_a_way_out(stopped, fit, release, tmp_path, monkeypatch):
    """A new run can be told to stream them; one that goes on cannot, its rows would come in another order."""

    def to(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("ecn.data.rows.Dataset.to", to)
    with pytest.raises(
        OutOfMemoryError, match=r"not enough memory on cpu; stream the rows: --set data_memory=GIB"
    ):
        fit(release, tmp_path / "another")
    with pytest.raises(OutOfMemoryError, match=r"; resume on a machine with more memory, or train"):
        resume(stopped, device="cpu")
    assert (stopped / STATE).exists()


@pytest.mark.parametrize(("number", "save_every"), [(5, 300.0), (3, 0.0)])
def test_a_run_beyond_the_memory_goes_on_with_smaller_passes(
    fit, release, tmp_path, monkeypatch, number, save_every
):
    """After its first epoch, or within it where a state was saved."""

    def step(self, *arguments):
        if self.progress.step == number:
            raise torch.OutOfMemoryError("CUDA out of memory")
        original(self, *arguments)

    run, original = tmp_path / "run", Loop._step
    with monkeypatch.context():
        monkeypatch.setattr(Loop, "_step", step)
        monkeypatch.setattr("ecn.training.loop._SAVE_EVERY", save_every)
        with pytest.raises(OutOfMemoryError, match=r"a pass has 8,000 edges: allow fewer with --max-edges"):
            fit(release, run)
        monkeypatch.undo()
    kept = {300.0: 4, 0.0: 3}[save_every]  # the state after the first epoch, or after every step
    assert load_state(run / STATE)["loop"]["progress"]["step"] == kept
    assert resume(run, device="cpu", max_edges=100).best
    assert checkpoint.load_config(run).training["max_edges"] == 100
    assert (run / checkpoint.METRICS).read_text().count("\n") == 1 + 3


def test_a_training_that_is_over_is_not_resumed(fit, release, tmp_path):
    fit(release, tmp_path / "run")
    with pytest.raises(UserError, match="its training is over"):
        resume(tmp_path / "run", device="cpu")


def test_no_run_is_not_resumed(tmp_path):
    with pytest.raises(UserError, match="not a run of `ecn fit`"):
        resume(tmp_path, device="cpu")


def test_a_state_comes_back_as_it_was(tmp_path):
    shared = torch.arange(3.0)
    state = {
        "state": {0: {"step": torch.tensor(2.0), "a": shared}, 1: {"b": shared}},
        "groups": [{"lr": 0.1, "betas": [0.9, 0.999], "none": None, "on": True}],
        "best": float("inf"),
    }
    save_state(tmp_path / "state", state)
    again = load_state(tmp_path / "state")
    assert torch.equal(again["state"][0]["a"], shared)
    assert torch.equal(again["state"][1]["b"], shared)
    assert float(again["state"][0]["step"]) == 2.0
    assert (again["groups"], again["best"]) == (state["groups"], state["best"])


def test_a_full_disk_leaves_the_last_state_to_resume_from(fit, release, tmp_path, monkeypatch):
    """The write of the second epoch's state fails, as on a full disk; the first epoch's is whole."""
    from click.testing import CliRunner

    from ecn.cli import main
    from ecn.training import run as training

    whole = tmp_path / "whole"
    fit(release, whole)
    save, calls = training.save_state, iter(range(1, 100))

    def full(path, state):
        if next(calls) == 2:
            raise OSError(28, "No space left on device", str(path))
        save(path, state)

    monkeypatch.setattr(training, "save_state", full)
    run = tmp_path / "run"
    with pytest.raises(OSError, match="No space left"):
        fit(release, run)
    monkeypatch.setattr(training, "save_state", save)
    done = CliRunner().invoke(main, ["fit", "--resume", str(run), "--device", "cpu", "--logger", "none"])
    assert done.exit_code == 0, done.output
    assert checkpoint.load(run).digest == checkpoint.load(whole).digest


def test_a_disk_that_cannot_be_written_is_one_line(release, tmp_path, monkeypatch):
    from click.testing import CliRunner

    from ecn.cli import main
    from ecn.training import run as training

    def full(path, state):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(training, "save_state", full)
    arguments = ["fit", str(release), "--preset", "fast", "--epochs", "1", "--set", "width=8"]
    done = CliRunner().invoke(main, [*arguments, "--device", "cpu", "--out", str(tmp_path / "run")])
    assert done.exit_code == 2
    line = done.stderr.splitlines()[-1]
    assert line.endswith("state.safetensors: No space left on device; what was saved before is whole")
