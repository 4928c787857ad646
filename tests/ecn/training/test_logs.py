"""Where numbers go besides metrics.csv, and that no key of an account goes there."""

import sys
import time
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ecn.training.run import resume
from mpclean.errors import UserError


def scalars(run, name):
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_tensorboard_has_the_numbers_of_every_epoch(fit, release, tmp_path, history):
    fit(release, tmp_path / "run", loggers=["tensorboard"])
    lines = history(tmp_path / "run")
    for name in ("train_loss", "validation_score", "learning_rate"):
        found = scalars(tmp_path / "run", name)
        assert found == [(int(line["epoch"]), pytest.approx(line[name], rel=1e-6)) for line in lines]


def test_a_resumed_run_goes_on_in_tensorboard(fit, release, tmp_path, interrupt):
    interrupt(step=6)
    fit(release, tmp_path / "run", loggers=["tensorboard"])
    resume(tmp_path / "run", device="cpu", loggers=["tensorboard"])
    assert [step for step, _ in scalars(tmp_path / "run", "train_loss")] == [1, 2, 3]


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for the package, that notes how it is called."""
    calls = SimpleNamespace(init=[], log=[], finished=0)

    def init(**arguments):
        calls.init.append(arguments)
        return SimpleNamespace(
            log=lambda values, step: calls.log.append((step, values)),
            finish=lambda: setattr(calls, "finished", calls.finished + 1),
        )

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Error=ConnectionError))
    monkeypatch.setenv("WANDB_API_KEY", "a-secret-key")
    return calls


def test_weights_and_biases_has_one_run_that_is_resumed(fit, release, tmp_path, wandb, interrupt, capsys):
    run = tmp_path / "run"
    interrupt(step=6)
    fit(release, run, loggers=["wandb"])
    resume(run, device="cpu", loggers=["wandb"])
    first, second = (arguments["id"] for arguments in wandb.init)
    assert first == second == (run / "wandb.id").read_text()
    assert {arguments["project"] for arguments in wandb.init} == {"ecn"}
    assert wandb.init[0]["config"]["model"] == "ecn"
    assert [step for step, _ in wandb.log] == [1, 2, 3]
    assert set(wandb.log[0][1]) >= {"train_loss", "validation_score", "learning_rate"}
    assert wandb.finished == 2
    written = [path for path in run.rglob("*") if path.is_file()]
    assert written
    assert not any(b"a-secret-key" in path.read_bytes() for path in written)
    assert "a-secret-key" not in str(wandb) + "".join(capsys.readouterr())


def test_an_account_that_is_not_there_is_named(fit, release, tmp_path, wandb, monkeypatch):
    def init(**_):
        raise ConnectionError("No API key configured.\nUse `wandb login` to log in.")

    monkeypatch.setattr(sys.modules["wandb"], "init", init)
    with pytest.raises(UserError, match=r"^Weights & Biases: No API key configured\.; log in, or choose"):
        fit(release, tmp_path / "run", loggers=["wandb"])
    assert not (tmp_path / "run").exists()


def test_weights_and_biases_itself_takes_the_numbers(fit, release, tmp_path, monkeypatch):
    for name, value in {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    fit(release, tmp_path / "run", loggers=["wandb"])
    (written,) = (tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    end = time.monotonic() + 60.0  # a process of its own writes the file, on a busy machine after the run
    while written.read_bytes().count(b"validation_score") < 3:
        assert time.monotonic() < end, "the numbers of three epochs never came"
        time.sleep(0.1)


def test_a_logger_that_is_not_installed_is_named(fit, release, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"not installed: pip install 'mpclean\[wandb\]'"):
        fit(release, tmp_path / "run", loggers=["wandb"])
    assert not (tmp_path / "run").exists()
